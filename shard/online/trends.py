"""What trends now, of everybody and of each segment: counted as events come, listed anew every second.

Counting and judging is `trunkshow.stream.trending`'s business. What many do trends, not what one does many times: of a
user an item counts once per interaction within `ONCE_WITHIN_S`. Nothing is kept of a person but, for as long, a number
that stands for these three; so there is nothing to forget. Nothing trends before the log's past was heard: it would be
past its own day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import time
from types import MappingProxyType
from typing import Never

import structlog

from shard.online.statistics import Heard, Statistics
from trunkshow.online.trends import EVERYBODY, LISTED_MAX, NO_TRENDS, Listed, Trends, TrendWindow
from trunkshow.online.turns import Sleep
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock
from trunkshow.serving.telemetry import Throttle
from trunkshow.stream.trend import RULES, WEIGHTS, Trend, TrendingRules, Window
from trunkshow.stream.trending import Trending
from trunkshow.v1 import events_pb2 as pb

RENEWED_EVERY_S = 1.0
ONCE_WITHIN_S = 1800.0
ONCE_MAX = 200_000
"""Of these numbers up to twice as many are kept, about 90 bytes each; where more happens the time is shorter."""

TRENDING = metrics.gauge("trunkshow_shard_trending_items", "Items that trend now, with everybody.")

log = structlog.get_logger()


class Trendspotting:
    """A statistic; see `shard.online.statistics`.

    Attributes:
        now: what trends, as of the last second.

    Args:
        segment_of: the segment of a user by its name; empty where they have none.
        usual_share: the part of everything that happens which an item is expected to have, as long as the log is too
            young to tell; nothing trends in its first day where None.
        rules: how trends are found.
        wall: a port: seconds since the epoch; best a clock that nobody sets (`shard.online.moments`).
        sleep: a port.
    """

    name = "trends"

    def __init__(
        self,
        segment_of: Callable[[str], str],
        usual_share: Callable[[str], float | None] | None = None,
        rules: TrendingRules = RULES,
        *,
        wall: Clock = time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.now = NO_TRENDS
        self._segment_of = segment_of
        self._wall, self._sleep = wall, sleep
        self._trending: Trending[str] = Trending(rules, WEIGHTS, usual_share)
        self._segments: dict[str, int] = {}
        self._once: tuple[set[int], set[int]] = set(), set()
        self._once_since_ms = 0
        self._throttle = Throttle()
        TRENDING.set_function(lambda: len(self.now.of(EVERYBODY)))

    def hear(self, heard: Heard) -> None:
        """Count an event."""
        event = heard.event
        if event.interaction not in WEIGHTS or not event.item_id or not self._is_first(event, heard.now_ms):
            return
        segment = self._segment_of(event.user_id)
        number = self._segments.setdefault(segment, len(self._segments)) if segment else -1
        self._trending.record(
            event.item_id, event.interaction, heard.time_ms / 1000, heard.now_ms / 1000, segment=number
        )

    def forget(self, user_id: str) -> None:
        """Nothing is kept of anybody."""

    async def run(self, statistics: Statistics, is_caught_up: Callable[[], bool]) -> Never:
        """Renew the lists every second, until cancelled.

        Args:
            statistics: that tell this one of events.
            is_caught_up: whether all events until now were heard.
        """
        while True:
            await self._sleep(RENEWED_EVERY_S)
            if statistics.known_from_ms is not None:
                try:
                    await self.renew(statistics.known_from_ms, is_caught_up=is_caught_up())
                except Exception as error:  # of these lists; those of a second ago stand
                    self._throttle.log(log.error, "trends.failed", exc_info=error)

    async def renew(self, known_from_ms: int, *, is_caught_up: bool) -> None:
        """List what trends now, a group at a time: others get their turns."""
        now_ms = round(self._wall() * 1000)
        found = {EVERYBODY: self._top(-1)}
        for segment, number in list(self._segments.items()):
            if self._trending.counts_apart(number):
                await self._sleep(0)
                found[segment] = self._top(number)
        lists = {segment: _listed(trends) for segment, trends in found.items() if trends}
        windows = {segment: _windows(trends) for segment, trends in found.items() if trends}
        known_to_ms = now_ms if is_caught_up else self.now.known_to_ms
        self.now = Trends(known_from_ms, known_to_ms, MappingProxyType(lists), MappingProxyType(windows))

    def _top(self, number: int) -> Sequence[Trend[str]]:
        return self._trending.top(self._wall(), LISTED_MAX, number)

    def _is_first(self, event: pb.Event, now_ms: int) -> bool:
        """Whether the user did not do the same with the same item a moment ago."""
        lately, before = self._once
        if now_ms - self._once_since_ms > ONCE_WITHIN_S * 1000 or len(lately) >= ONCE_MAX:
            self._once = lately, before = set(), lately
            self._once_since_ms = now_ms
        did = hash((event.user_id, event.item_id, event.interaction))
        if did in lately or did in before:
            return False
        lately.add(did)
        return True


def _listed(trends: Sequence[Trend[str]]) -> tuple[Listed, ...]:
    return tuple(Listed(one.item, one.best.surge, one.best.observed, one.best.expected) for one in trends)


def _windows(trends: Sequence[Trend[str]]) -> tuple[TrendWindow, ...]:
    """What some items were found by, a half-life at a time."""
    return tuple(map(_window, zip(*(one.windows for one in trends), strict=True)))


def _window(of_items: Sequence[Window]) -> TrendWindow:
    kinds = sorted({kind for one in of_items for kind in one.counts})
    return TrendWindow(
        of_items[0].half_life_s,
        tuple(one.surge for one in of_items),
        tuple(one.observed for one in of_items),
        tuple(one.expected for one in of_items),
        {kind: tuple(one.counts.get(kind, 0.0) for one in of_items) for kind in kinds},
    )
