"""Keeps what is known of users' events as it should be: follows the log, replays it for what comes, frees what goes.

    the log ──► follower ──► who lives in what is held here? ──► users' events
                   replay ──► the same, for partitions that came later
                      all ──► what is counted over everybody (`shard.online.statistics`)

Whoever takes over a partition, opens a new snapshot, or starts after a crash, goes the same way: `want` names what is
held, and the log is replayed for whatever of it is not whole yet, once for all of these together. A replay begins only
once the log is followed, and reads at least up to where following began, so that nothing falls between the two; where
they overlap does no harm (`shard.online.state`). A partition is reported warm once that is done;
but a log that cannot be read keeps nothing from being served: it is tried again, and until then what is served is of
the snapshot alone, and says so.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from time import time
from typing import Never

import structlog

from shard.online.losses import Loss, Losses
from shard.online.residents import Residents
from shard.online.shown import Shown
from shard.online.state import Event, compact
from shard.online.statistics import Statistic, Statistics
from shard.online.users import Users, only
from shard.scene import Kind, Piece
from trunkshow.eventlog.log import EventLog, LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.follower import AGAIN_AFTER_S, Follower
from trunkshow.online.forgotten import Forgotten, Tombstone, following
from trunkshow.online.forgotten_file import ForgottenFile
from trunkshow.online.growth import Growth
from trunkshow.online.positions import Position
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.online.weights import SHARES
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

SENT_AGAIN_MS = 3_600_000
"""An event that every snapshot here has is known for so long behind the newest: it may be sent again."""

STEPS_AT_ONCE = 256

WAITED_MAX = 20
"""So many times longer is waited for a replay that goes on, where others serve meanwhile."""

REPLAYS = metrics.counter("trunkshow_shard_replays_total", "Times that the log was replayed, by outcome.", ("outcome",))

USERS = metrics.gauge("trunkshow_shard_online_users", "Users of whom events since the snapshot are kept.")
KEPT = metrics.gauge("trunkshow_shard_online_events", "Events since the snapshot that are kept.")
SHOWN = metrics.gauge("trunkshow_shard_online_impressions", "Impressions that are kept.")

log = structlog.get_logger()


class Upkeep:
    """Of one shard.

    Attributes:
        users: everybody's events.
        shown: what everybody was shown.
        losses: of the log.
        follower: of it.
        statistics: of everybody's events.
        trends: what one of these found; nothing until somebody says where to look.

    Args:
        source: the log.
        tombstones: beside it; nobody is forgotten where None.
        listeners: that count something over everybody's events.
        items: the log of new items beside it; none come where None.
        file: with the tombstones that were heard before, and that are heard now; none where None.
        events_max: kept, of all users.
        impressions_max: kept, of all users.
        within_s: without progress, after which a partition is served though the log was not replayed for it; one that
            is in no other shard, with progress too.
        busy: whether there are requests to answer.
        clock: a port: monotonic seconds.
        wall: a port: seconds since the epoch.
    """

    def __init__(
        self,
        source: EventLog,
        tombstones: EventLog | None = None,
        listeners: Sequence[Statistic] = (),
        *,
        items: EventLog | None = None,
        file: ForgottenFile | None = None,
        events_max: int,
        impressions_max: int,
        within_s: float,
        busy: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
        wall: Clock = time,
    ) -> None:
        self.users = Users(events_max)
        self.shown = Shown(impressions_max)
        self.losses = Losses(source, self._lost, wall)
        self.follower = Follower(self.losses, self._hear, overhear=self._overhear, busy=busy, clock=clock)
        self.forgotten = Forgotten()
        self.forgotten.listen(self._forget)
        self._file = file
        if file is not None:
            file.recall(self.forgotten)
        self.statistics = Statistics(listeners, self.forgotten, clock=clock, wall=wall)
        self.trends: Callable[[], Trends] = lambda: NO_TRENDS
        self._tombstones = tombstones
        self._growth = Growth(items) if items is not None else None
        self._within_s = within_s
        self._clock = clock
        self._wall = wall
        self._residents: dict[str, Residents] = {}
        self._current = ""
        self._wanted_since: dict[Piece, float] = {}
        self._sole: frozenset[Piece] = frozenset()
        self._replayed_at = -math.inf  # so far a replay got on
        self._given_up: set[str] = set()
        self._newest_ms = 0
        self._untidy = False
        self._poked = asyncio.Event()
        self._turned = asyncio.Event()
        USERS.set_function(lambda: len(self.users))
        KEPT.set_function(lambda: self.users.events)
        SHOWN.set_function(lambda: self.shown.impressions)

    # --- what comes in -------------------------------------------------------------------------------------------

    def prepare(self, snapshot: Snapshot) -> None:
        """Read what it takes to know where a snapshot's users live, and what they do there. Blocking."""
        _ = snapshot.directory, snapshot.kinds

    def admit(self, snapshot: Snapshot) -> Residents:
        """A snapshot, prepared, is served from now on."""
        admitted = Residents(
            snapshot,
            self.users,
            self.follower,
            self.forgotten,
            self.shown,
            self._clock,
            self._wall,
            lambda: self.trends(),
            self.losses.concern,
        )
        self._residents[snapshot.version] = admitted
        if self._growth is not None:
            self._growth.admit(snapshot)
        self._hold()
        return admitted

    def dismiss(self, version: str) -> None:
        """A snapshot is not served any more."""
        self._residents.pop(version, None)
        if self._growth is not None:
            self._growth.dismiss(version)
        self._given_up.discard(version)
        self._turn()
        self._tidy_up()

    def point(self, version: str) -> None:
        """This version is the current one: what is said of users and items in general is as it has them."""
        self._current = version

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = ()) -> None:
        """These are held, or are to be: their users' events are wanted; of these `sole` are in no other shard."""
        homes = {piece for piece in pieces if piece.kind is Kind.HOME}
        if self._sole != frozenset(sole):
            self._sole = frozenset(sole)
            self._turn()  # who waits may wait longer, or not so long
        if homes == self._wanted_since.keys():
            return
        gone = self._wanted_since.keys() - homes
        now = self._clock()
        self._wanted_since = {piece: self._wanted_since.get(piece, now) for piece in homes}
        self._hold()
        if gone:
            self._turn()  # nobody waits for them any more
            self._tidy_up()

    async def whole(self, piece: Piece) -> None:
        """Return once the log was replayed for a partition, or cannot be, or need not, or that takes too long."""
        while not self._is_settled(piece):
            left_s = self._waited_for_until(piece) - self._clock()
            if left_s <= 0:
                log.warning("log.not_waited_for", snapshot=piece.version, number=piece.number)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._turned.wait()

    def segment_of(self, user_id: str) -> str:
        """The segment that the current snapshot has somebody in, by its name; empty for none."""
        current = self._general()
        return current.segment_of(user_id) if current is not None else ""

    def usual_share(self, item_id: str) -> float | None:
        """The part of everything bought that an item had, by the same snapshot; None where nobody knows."""
        current = self._general()
        return current.usual_share(item_id) if current is not None else None

    def is_caught_up(self) -> bool:
        """Whether all events until now were heard."""
        return self.follower.progress.is_caught_up(self._clock())

    def lives_here(self, user_id: str) -> bool:
        """Whether somebody lives in what is held."""
        return any(one.has(user_id) for one in self._residents.values())

    def category_of(self, item_id: str) -> str:
        """An item's category, by the same snapshot; empty where that has none."""
        current = self._general()
        return "" if current is None else current.category_of(item_id)

    # --- what runs -----------------------------------------------------------------------------------------------

    async def run(self) -> Never:
        """Follow and replay, until cancelled; who is to be forgotten is known before anything is heard."""
        async with asyncio.TaskGroup() as all_of_them:
            if self._file is not None:
                all_of_them.create_task(self._file.keep())
            if self._tombstones is not None:
                all_of_them.create_task(following(self.forgotten, self._tombstones))
                await self.forgotten.known()
            all_of_them.create_task(self.follower.run(from_end=True))
            all_of_them.create_task(self._replay_again_and_again())
            all_of_them.create_task(self._learn())
            if self._growth is not None:
                all_of_them.create_task(self._growth.run())
        raise AssertionError("none has an end")

    async def _learn(self) -> None:
        """Have the log's past heard by statistics, once what is held is whole, or that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._within_s):
                while not self._is_whole():
                    await self._turned.wait()
        await self.statistics.learn(self.follower)

    async def _replay_again_and_again(self) -> Never:
        while True:
            self._poked.clear()
            failed = [one for one in list(self._residents.values()) if one.lacking and not await self._replay(one)]
            if self._untidy:
                self._untidy = False
                await self._tidy()
            if failed:
                await asyncio.sleep(AGAIN_AFTER_S)
            elif not any(one.lacking for one in self._residents.values()):
                await self._poked.wait()

    async def _replay(self, residents: Residents) -> bool:
        """Replay the log for the partitions of a snapshot that lack it; whether that was done."""
        lacking, began = residents.replaying(), self._clock()
        try:
            await self.follower.began()
            self._join(await self.follower.replay(residents.since.start, partial(self._hear_again, residents, lacking)))
        except LogUnavailable as error:
            if residents.version not in self._given_up:
                log.error("log.not_replayed", snapshot=residents.version, error=str(error))
            self._given_up.add(residents.version)
            REPLAYS.labels("failed").inc()
            self._turn()
            return False
        residents.replayed(lacking)
        self._given_up.discard(residents.version)
        self._untidy = True  # newcomers were kept who turned out to live elsewhere
        took = round(self._clock() - began, 3)
        log.info("log.replayed", snapshot=residents.version, partitions=len(lacking), users=len(self.users), s=took)
        REPLAYS.labels("done").inc()
        self._turn()
        return True

    # --- how -----------------------------------------------------------------------------------------------------

    def _join(self, end: Watermark) -> None:
        """Refuse a replay that ended before where following began, or went on in a log that went back."""
        start, known = self.follower.start, self.follower.progress.watermark
        if start is None or start.log != end.log:
            return
        counts = known.counts if known is not None and known.log == start.log else start.counts
        if any(end.counts.get(lane, 0) < min(count, counts.get(lane, 0)) for lane, count in start.counts.items()):
            raise LogUnavailable(f"it ends at {end}, before {start}, from where it is followed")

    def _hear(self, event: pb.Event, at: Position) -> None:
        if event.interaction == pb.INTERACTION_IMPRESSION:  # most events
            self._show(event, at)
            return
        if event.interaction not in SHARES:
            return
        if self.forgotten.covers(event.user_id, at, event.timestamp.ToMilliseconds()):
            return
        # All of them are asked: each has newcomers of its own.
        takers = [one for one in self._residents.values() if one.takes(event, at, one.held)]
        if takers:
            self._keep(event, at)

    def _hear_again(self, residents: Residents, partitions: frozenset[int], event: pb.Event, at: Position) -> None:
        self._replayed_at = self._clock()
        if residents is not self._residents.get(residents.version):
            return  # its snapshot was closed meanwhile
        if self.forgotten.covers(event.user_id, at, event.timestamp.ToMilliseconds()):
            return
        if event.interaction == pb.INTERACTION_IMPRESSION:
            self._show(event, at)
        elif event.interaction in SHARES and residents.takes(event, at, partitions):
            self._keep(event, at)

    def _show(self, event: pb.Event, at: Position) -> None:
        """Something was shown to somebody, who matters if they live here; nobody moves in by it."""
        user_id = event.user_id
        if self.forgotten.covers(user_id, at, event.timestamp.ToMilliseconds()):
            return
        if user_id in self.shown or any(one.has(user_id) for one in self._residents.values()):
            self.shown.add(user_id, event.item_id, event.timestamp.seconds // 60)

    def _forget(self, tombstone: Tombstone) -> None:
        """Somebody's online events go at once."""
        for one in self._residents.values():
            one.forget(tombstone.user_id)
        self.shown.drop(tombstone.user_id)
        self.users.keep(tombstone.user_id, lambda event: not tombstone.covers(event.at, event.time_ms))

    def _keep(self, event: pb.Event, at: Position) -> None:
        kept = compact(event, at)
        self._newest_ms = max(self._newest_ms, kept.time_ms)
        self.users.add(event.user_id, kept)

    def _hold(self) -> None:
        for version, residents in self._residents.items():
            residents.hold(frozenset(piece.number for piece in self._wanted_since if piece.version == version))
        self._poked.set()

    def _overhear(self, record: log_pb2.Record, at: Position) -> None:
        self.statistics.follow(record, at, self.follower.progress.watermark)

    def _general(self) -> Residents | None:
        """Of the current snapshot; until that is open here, of the one opened last."""
        return self._residents.get(self._current) or next(reversed(self._residents.values()), None)

    def _lost(self, loss: Loss) -> None:
        """Something was lost: also to statistics, unless they had heard it before."""
        known, at = self.follower.progress.watermark, loss.at
        followed = known is not None and known.log == at.log and at.number <= known.counts.get(at.lane, 0)
        if not followed or self.statistics.known_from_ms is None:
            self.statistics.missed(at, loss.time_ms)

    def _is_whole(self) -> bool:
        residents = self._residents.values()
        return any(one.whole for one in residents) and not any(one.lacking for one in residents)

    def _waited_for_until(self, piece: Piece) -> float:
        """Where nobody else has a partition, being served comes before being fresh."""
        since = self._wanted_since[piece]
        if piece in self._sole:
            return since + self._within_s
        return min(max(since, self._replayed_at) + self._within_s, since + WAITED_MAX * self._within_s)

    def _is_settled(self, piece: Piece) -> bool:
        residents = self._residents.get(piece.version)
        if residents is None or piece not in self._wanted_since:
            return True
        return piece.number in residents.whole or piece.version in self._given_up

    def _turn(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()

    def _tidy_up(self) -> None:
        self._untidy = True
        self._poked.set()

    async def _tidy(self) -> None:
        """Free the events of who is not held any more, and those that every snapshot here has."""
        known_until = self._newest_ms - SENT_AGAIN_MS
        everybody = list(self._residents.values())

        def wanted(event: Event) -> bool:
            return event.time_ms > known_until or any(one.since.is_new(event.at, event.time_ms) for one in everybody)

        def held(user_id: str) -> bool:
            return any(one.has(user_id) for one in everybody)

        for number, _ in enumerate(chain(only(self.users, held, wanted), self.shown.only(held))):
            if number % STEPS_AT_ONCE == 0:
                await asyncio.sleep(0)
