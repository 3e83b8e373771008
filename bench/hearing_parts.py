"""Who hears of events in `bench.hearing`: a shard and a keeper of a router, as servers put them together, and a log.

The log lies in memory, so that no time goes to a network; whatever hears it is the product's own.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import cast

from router.served.keeper import Keeper
from router.served.views import View
from shard.config import ShardConfig
from shard.online.features import FeatureCounters
from shard.online.statistics import Heard, Statistic, Statistics
from shard.online.trends import Trendspotting
from shard.online.upkeep import Upkeep
from shard.scene import Kind, Piece
from trunkshow.eventlog.log import EventLog, Read
from trunkshow.eventlog.reading import place_in
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten import Forgotten
from trunkshow.snapshot.reader import Snapshot

NAME = "bench"
"""Of the log."""


class Log:
    """A log of one lane in memory."""

    url = "memory:"
    age_s = None

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._moved = asyncio.Event()

    def append(self, records: Iterable[bytes]) -> Watermark:
        """More of it; where it ends now."""
        self._records += records
        self._moved.set()
        return Watermark(NAME, {0: len(self._records)})

    async def end(self, within_s: float) -> Watermark:
        """Where it ends."""
        del within_s
        return Watermark(NAME, {0: len(self._records)} if self._records else {})

    async def follow(self, after: Watermark | None) -> AsyncGenerator[Read, None]:
        """What comes."""
        place = place_in(NAME, after)
        while True:
            self._moved.clear()
            while (at := place.next_count(0)) < len(self._records):
                place, read = place.took(0, at + 1, self._records[at], len(self._records) - at - 1)
                if read is not None:
                    yield read
            await self._moved.wait()


class Nothing:
    """A statistic that keeps nothing."""

    name = "nothing"

    def hear(self, heard: Heard) -> None:
        """Nothing."""

    def forget(self, user_id: str) -> None:
        """Nothing."""


class Shard:
    """One that holds every partition of a snapshot, with its statistics."""

    def __init__(self, snapshot: Snapshot, log: Log, wall: Callable[[], float]) -> None:
        self.trends = Trendspotting(
            lambda user: self.upkeep.opened.segment_of(user),
            lambda item: self.upkeep.opened.usual_share(item),
            wall=wall,
        )
        config = ShardConfig(store="")
        self.features = FeatureCounters(config.feature_users_max, config.feature_items_max, wall)
        self.upkeep = Upkeep(
            cast("EventLog", log),
            None,
            (self.trends, self.features),
            events_max=config.online_events_max,
            impressions_max=config.online_impressions_max,
            within_s=0,
            wall=wall,
        )
        self.features.lives_here = self.upkeep.opened.has
        self.features.category_of = self.upkeep.opened.category_of
        self.upkeep.prepare(snapshot)
        residents = self.upkeep.admit(snapshot)
        self.upkeep.point(snapshot.version)
        self.upkeep.want(Piece(snapshot.version, Kind.HOME, number) for number in range(snapshot.partitions))
        residents.homes.replayed(frozenset(range(snapshot.partitions)))
        self.upkeep.statistics.known_from_ms = 0

    def counting(self, *listeners: Statistic, wall: Callable[[], float]) -> Statistics:
        """Statistics of some of this shard's alone."""
        made = Statistics(listeners, Forgotten(), wall=wall)
        made.known_from_ms = 0
        return made


def keeper_of(snapshot: Snapshot, versions: Sequence[str]) -> Keeper:
    """That has the snapshot open as each of these versions."""
    views = {}
    for version in versions:
        twin = copy.copy(snapshot)
        twin.version = version
        views[version] = View.of(twin)
    return cast("Keeper", SimpleNamespace(opened=views, now=SimpleNamespace(current=views[versions[0]])))
