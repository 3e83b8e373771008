"""What an event changes here: whose are kept, of whom something was shown, who is forgotten; and what is freed again.

An event is kept if somebody who lives in what is held did it, by any of the snapshots that are open. It is heard once
as it comes, and again in each replay, which does no harm (`shard.online.state`). One that raises is missing of its
user's, whose slates do not claim then to know everything; one without a moment that could be anywhere is nobody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import chain

from shard.online.opened import Opened
from shard.online.residents import Residents
from shard.online.shown import Shown
from shard.online.state import Event, compact
from shard.online.users import Users, only
from trunkshow.eventlog.reading import happened_ms
from trunkshow.online.forgotten import Forgotten, Tombstone
from trunkshow.online.positions import Position
from trunkshow.online.weights import SHARES
from trunkshow.serving import metrics
from trunkshow.stream.fatigue import MINUTE_MS
from trunkshow.v1 import events_pb2 as pb

SENT_AGAIN_MS = 3_600_000
"""An event that every snapshot here has is known for so long behind the newest: it may be sent again."""

STEPS_AT_ONCE = 256

USERS = metrics.gauge("trunkshow_shard_online_users", "Users of whom events since the snapshot are kept.")
KEPT = metrics.gauge("trunkshow_shard_online_events", "Events since the snapshot that are kept.")
SHOWN = metrics.gauge("trunkshow_shard_online_impressions", "Impressions that are kept.")


class Hearing:
    """Of one shard.

    Attributes:
        users: everybody's events.
        shown: what everybody was shown.

    Args:
        opened: who lives where.
        forgotten: who is to be forgotten.
        events_max: kept, of all users.
        impressions_max: kept, of all users.
    """

    def __init__(self, opened: Opened, forgotten: Forgotten, events_max: int, impressions_max: int) -> None:
        self.users = Users(events_max)
        self.shown = Shown(impressions_max)
        self._opened = opened
        self._forgotten = forgotten
        self._newest_ms = 0
        USERS.set_function(lambda: len(self.users))
        KEPT.set_function(lambda: self.users.events)
        SHOWN.set_function(lambda: self.shown.impressions)

    def hear(self, event: pb.Event, at: Position) -> None:
        """An event was followed."""
        try:
            self._hear(event, at)
        except Exception:
            self._miss(event, at)
            raise

    def hear_again(self, residents: Residents, partitions: Collection[int], event: pb.Event, at: Position) -> None:
        """An event was replayed, for these partitions of a snapshot."""
        try:
            self._hear_again(residents, partitions, event, at)
        except Exception:
            self._miss(event, at)
            raise

    def _hear(self, event: pb.Event, at: Position) -> None:
        if event.interaction == pb.INTERACTION_IMPRESSION:  # most events
            self.show(event, at)
            return
        if event.interaction not in SHARES:
            return
        time_ms = event.timestamp.ToMilliseconds()
        if self._forgotten.covers(event.user_id, at, time_ms):
            return
        # All of them are asked: each has newcomers of its own.
        takers = [one for one in self._opened if one.homes.takes(event, at, time_ms, one.homes.held)]
        if takers:
            self._keep(event, at, time_ms)

    def _hear_again(self, residents: Residents, partitions: Collection[int], event: pb.Event, at: Position) -> None:
        if residents is not self._opened.get(residents.version):
            return  # its snapshot was closed meanwhile
        user_id, kind = event.user_id, event.interaction
        if kind == pb.INTERACTION_IMPRESSION:
            if not self._was_heard(user_id, at, event.timestamp.ToMilliseconds()):
                self.show(event, at)
            return
        if kind not in SHARES:
            return
        time_ms = event.timestamp.ToMilliseconds()
        if self._forgotten.covers(user_id, at, time_ms):
            return
        if residents.homes.takes(event, at, time_ms, partitions) and not self._was_heard(user_id, at, time_ms):
            self._keep(event, at, time_ms)

    def _was_heard(self, user_id: str, at: Position, time_ms: int) -> bool:
        """Whether what is replayed was heard before: a version that comes finds most of its users here."""
        return any(one.homes.has_all(user_id, at, time_ms) for one in self._opened)

    def show(self, event: pb.Event, at: Position) -> None:
        """Something was shown to somebody, who matters if they live here; nobody moves in by it."""
        user_id, time_ms = event.user_id, event.timestamp.ToMilliseconds()
        if self._forgotten.covers(user_id, at, time_ms):
            return
        if user_id in self.shown or self._opened.has(user_id):
            self.shown.add(user_id, event.item_id, max(time_ms // MINUTE_MS, 0))

    def forget(self, tombstone: Tombstone) -> None:
        """Somebody's online events go at once."""
        for one in self._opened:
            one.forget(tombstone.user_id)
        self.shown.drop(tombstone.user_id)
        self.users.keep(tombstone.user_id, lambda event: not tombstone.covers(event.at, event.time_ms))

    async def tidy(self) -> None:
        """Free the events of who is not held any more, and those that every snapshot here has."""
        known_until = self._newest_ms - SENT_AGAIN_MS
        everybody = tuple(self._opened)

        def wanted(event: Event) -> bool:
            if event.time_ms > known_until:
                return True
            return any(one.homes.since.is_new(event.at, event.time_ms) for one in everybody)

        def held(user_id: str) -> bool:
            return any(one.homes.has(user_id) for one in everybody)

        for number, _ in enumerate(chain(only(self.users, held, wanted), self.shown.only(held))):
            if number % STEPS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _miss(self, event: pb.Event, at: Position) -> None:
        """An event could not be taken in."""
        time_ms = happened_ms(event)
        if time_ms is not None:
            self.users.miss(event.user_id, at, time_ms)

    def _keep(self, event: pb.Event, at: Position, time_ms: int) -> None:
        self._newest_ms = max(self._newest_ms, time_ms)
        self.users.add(event.user_id, compact(event, at, time_ms))
