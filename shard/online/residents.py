"""What the users of one snapshot did since, as predictions ask for it: folded in, lately, how much of it is known.

Whose events are kept is left to `shard.online.homes`. Only once the log was replayed for a partition, and while it is
followed closely, are that partition's slates FRESH. What was folded in before stays in, whatever becomes of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from time import time
from typing import cast

import numpy as np
from numpy.typing import NDArray

from shard.online.folding import NOBODY, Folded, Terms, fold
from shard.online.homes import Homes
from shard.online.lately import REPEATED_MIN, Lately, Sessions, discount_of, lately, session_of
from shard.online.shown import Shown
from shard.online.state import Events
from shard.online.users import Users
from trunkshow.eventlog.watermark import Watermark
from trunkshow.marks import marks_by_type
from trunkshow.models.popularity import Popularity
from trunkshow.online.follower import Follower
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.positions import Since
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.online.weights import weights_of
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.snapshot.additions import Additions
from trunkshow.snapshot.growing import GrowingCatalogue
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord

FOLDED_MAX = 8192
"""Users whose folded record is kept until their next event; one takes about 2 KB."""

CATEGORIES_KEPT = 16_384
"""Items whose category is kept; one takes about 200 bytes."""


class Residents:
    """Of one snapshot.

    Attributes:
        version: of the snapshot.
        homes: where they live.

    Args:
        snapshot: opened, its directory too.
        users: everybody's events.
        follower: of the log.
        forgotten: who is to be forgotten.
        shown: what everybody was shown.
        clock: a port: monotonic seconds.
        wall: a port: seconds since the epoch.
        trends: what trends as of now.
        misses: whether a snapshot that has seen the log up to there misses something that nobody can read any more.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        users: Users,
        follower: Follower,
        forgotten: Forgotten,
        shown: Shown,
        clock: Clock = monotonic,
        wall: Clock = time,
        trends: Callable[[], Trends] = lambda: NO_TRENDS,
        misses: Callable[[Since], bool] = lambda since: False,
    ) -> None:
        self.version = snapshot.version
        self.homes = Homes(snapshot, forgotten)
        self._users = users
        self._shown = shown
        self._wall = wall
        self._follower = follower
        self._clock = clock
        self._trends = trends
        self._misses = misses
        self._popularity = cast("Popularity", snapshot.models[Popularity.name])
        self._categories = snapshot.catalogue.categories
        self._segment_names = snapshot.segment_names
        self._catalogue = snapshot.catalogue
        self._id_of = snapshot.catalogue.id
        self._built_category = lru_cache(CATEGORIES_KEPT)(partial(_built_category, snapshot.catalogue))
        self._kinds = kinds = snapshot.kinds
        parameters = snapshot.manifest.parameters
        marks = marks_by_type(parameters.get("interactions", ()))
        row_of, weights = snapshot.catalogue.row, weights_of(parameters)
        self._terms = Terms(row_of, snapshot, weights, marks, self.homes.since, self._kinds)
        # Not by way of self: what is held in a circle stays mapped until a collector comes by, which holds requests up.
        self._sessions = Sessions(lambda record, events: session_of(record, events, row_of, kinds))
        self._folded: dict[str, tuple[Events, Folded | None]] = {}
        self._folded_with: Additions = self._catalogue.additions

    def forget(self, user_id: str) -> None:
        """Somebody asked to be forgotten."""
        self.homes.forget(user_id)
        self._folded.pop(user_id, None)
        self._sessions.forget(user_id)

    # --- what is said of users and items in general --------------------------------------------------------------

    def segment_of(self, user_id: str) -> str:
        """The segment that the snapshot has somebody in, by its name; empty for none."""
        home = self.homes.of(user_id)
        return self._segment_names[home.segment] if home is not None and home.segment >= 0 else ""

    def category_of(self, item_id: str) -> str:
        """An item's category; empty where neither the snapshot nor what came since knows one."""
        built = self._built_category(item_id)
        if built is not None:
            return built
        row = self._catalogue.additions.row(item_id)
        return "" if row is None else self._catalogue.category(row)

    def usual_share(self, item_id: str) -> float | None:
        """The part of everything bought before the snapshot that an item had; None for one that it does not know."""
        row = self._catalogue.built_row(item_id)
        return float(self._shares[row]) if row is not None and row < len(self._shares) else None

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        return self._popularity.shares(self._categories)

    # --- what a prediction asks ----------------------------------------------------------------------------------

    @property
    def trends(self) -> Trends:
        """What trends now."""
        return self._trends()

    def is_hidden(self, user_id: str) -> bool:
        """Whether what the snapshot knows of somebody must not be used."""
        return self.homes.is_hidden(user_id)

    def is_quiet(self, user_id: str) -> bool:
        """Whether somebody did nothing, was shown nothing often enough, and did not ask to be forgotten."""
        if self._users.of(user_id) or self.is_hidden(user_id):
            return False
        shown = self._shown.to(user_id)
        return shown is None or not shown.repeated(REPEATED_MIN)

    @property
    def watermark(self) -> str:
        """Up to which events are known."""
        return self._follower.progress.text

    def folded(self, user_id: str, record: UserRecord | None) -> Folded | None:
        """Somebody with their events, as far as the snapshot has not seen these.

        That is kept until their next event comes, or another item: one of their events may be with it.
        """
        events, additions = self._users.of(user_id), self._catalogue.additions
        if not events:
            return None
        if additions is not self._folded_with:  # kept once, and not by user: one holds every new item
            self._folded.clear()
            self._folded_with = additions
        known = self._folded.pop(user_id, None)
        if known is None or known[0] is not events:
            known = events, fold(record or NOBODY, events, self._terms)
        self._folded[user_id] = known
        if len(self._folded) > FOLDED_MAX:
            del self._folded[next(iter(self._folded))]
        return known[1]

    def lately(self, user_id: str, record: UserRecord | None, folded: Folded | None) -> Lately | None:
        """What somebody is doing right now; who did nothing, and was shown nothing, costs a look."""
        shown, events = self._shown.to(user_id), self._users.of(user_id)
        now_ms = round(self._wall() * 1000)
        session = folded.session if folded is not None else self._sessions.of(user_id, record, events, now_ms)
        if shown is None and session is None:
            return None
        discount = discount_of(shown, events, record, self._id_of, now_ms) if shown is not None else None
        return lately(session, discount, self._kinds, now_ms)

    def is_whole(self, user_id: str, partition: int) -> bool:
        """Whether everything up to the watermark is known of somebody who lives in a partition."""
        if partition not in self.homes.whole or self._misses(self.homes.since):
            return False
        if self.homes.has_lost(user_id, partition):
            return False
        return self._users.is_whole(user_id, self.homes.since)

    def is_fresh(self) -> bool:
        """Whether the log is followed closely."""
        return self._follower.progress.is_caught_up(self._clock())

    def lag_s(self) -> float:
        """Seconds since everything in the log was known."""
        return self._follower.progress.lag_s(self._clock())

    async def reached(self, watermark: Watermark, within_s: float) -> bool:
        """Whether everything up to a watermark is known, waiting for it so long at most."""
        return await self._follower.reached(watermark, within_s)


def _built_category(catalogue: GrowingCatalogue, item_id: str) -> str | None:
    """The category of an item that was there when the snapshot was built, empty for none; None for any other item."""
    row = catalogue.built_row(item_id)
    return None if row is None else catalogue.category(row)
