"""Feature windows of everybody and of every item that the log tells of: counted as events come, told when asked for.

The definition is `trunkshow.stream.windows`', and the builder's table has the same. Every shard counts everybody, and
not only who lives in what it holds: it hears all events anyway, a partition that it takes over needs no replay for
them, and any shard can tell where another is gone. Where there is no room for all, those who live here are kept for
longest, so that room grows with shards; of who had to go it is said since when they are known.

Who was forgotten has no windows any more. The counters of items are numbers that name nobody; they keep what the person
did until the shard starts again, or 30 days have passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import time

from shard.online.statistics import Heard, Statistics
from trunkshow.errors import InvalidArgument, SnapshotMismatch
from trunkshow.online.progress import Progress
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.stream.counters import BACK_S, FeatureWindows, onward
from trunkshow.stream.windows import KINDS, WINDOWS, Event, Features, begins
from trunkshow.v1 import events_pb2, features_pb2, shard_pb2

KEYS_MAX = 100
"""Users, and items, of one request."""

SLICE_S = 0.002
"""Of telling, after which others get their turn."""

KEPT = metrics.gauge("trunkshow_shard_feature_windows", "Users, and items, of whom feature windows are kept.", ("of",))

Read = Callable[[str, int], tuple[Features, int]]
"""Features of somebody at a moment in milliseconds, and before when events may be missing."""

_MS = 1000


class FeatureCounters:
    """Counts for users, and for items.

    Attributes:
        name: as a statistic.
        lives_here: whether a user does: they are forgotten last.
        category_of: an item's category; empty for none.

    Args:
        users_max: of whom windows are kept.
        items_max: likewise.
        wall: a port: seconds since the epoch; best a clock that nobody sets (`shard.online.moments`).
    """

    name = "features"

    def __init__(self, users_max: int, items_max: int, wall: Clock = time) -> None:
        self.lives_here: Callable[[str], bool] = lambda user_id: False
        self.category_of: Callable[[str], str] = lambda item_id: ""
        self._wall = wall
        self._now_ms = 0
        self._users = FeatureWindows[str](users_max, lambda user_id: self.lives_here(user_id))
        self._items = FeatureWindows[str](items_max)
        KEPT.labels("users").set_function(lambda: len(self._users))
        KEPT.labels("items").set_function(lambda: len(self._items))

    def hear(self, heard: Heard) -> None:
        """An event; a search without an item is its user's alone."""
        said, _, time_ms, now_ms = heard
        kind, item_id = said.interaction, said.item_id
        value = said.value if said.HasField("value") else None
        event = Event(time_ms, kind if 0 <= kind < KINDS else 0, value, self.category_of(item_id))
        self._users.record(said.user_id, event, now_ms)
        if item_id:
            self._items.record(item_id, event, now_ms)

    def forget(self, user_id: str) -> None:
        """Nothing is kept of them."""
        self._users.forget(user_id)

    def moment_ms(self) -> int:
        """Now; it never goes back, unless its clock is set right by more than that."""
        self._now_ms = onward(self._now_ms, round(self._wall() * _MS), BACK_S * _MS)
        return self._now_ms

    def user(self, user_id: str, now_ms: int) -> tuple[Features, int]:
        """A user's features, and before when events may be missing."""
        return self._users.features(user_id, now_ms), self._users.whole_from_ms(user_id)

    def item(self, item_id: str, now_ms: int) -> tuple[Features, int]:
        """An item's."""
        return self._items.features(item_id, now_ms), self._items.whole_from_ms(item_id)


class FeatureReader:
    """Answers ReadFeatures.

    Args:
        counters: to read.
        statistics: that tell them of events, and since when.
        progress: of who follows the log.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self, counters: FeatureCounters, statistics: Statistics, progress: Progress, clock: Clock = monotonic
    ) -> None:
        self._counters = counters
        self._statistics = statistics
        self._progress = progress
        self._clock = clock

    async def read(self, asked: shard_pb2.ReadFeaturesRequest) -> shard_pb2.ReadFeaturesResponse:
        """Everybody's features.

        Raises:
            InvalidArgument: too many are asked for.
            SnapshotMismatch: the log's past was not heard yet; another shard may know it.
        """
        for field, ids in (("user_ids", asked.user_ids), ("item_ids", asked.item_ids)):
            if len(ids) > KEYS_MAX:
                message = f"{field}: {len(ids)} given; at most {KEYS_MAX} are allowed"
                raise InvalidArgument(message, field=field, reason=f"{field.upper()}_TOO_MANY")
        answer = shard_pb2.ReadFeaturesResponse()
        began = self._clock()
        for ids, read, told in (
            (asked.user_ids, self._counters.user, answer.users),
            (asked.item_ids, self._counters.item, answer.items),
        ):
            for one in ids:
                told.append(self._told(one, read))
                if self._clock() - began > SLICE_S:
                    await asyncio.sleep(0)
                    began = self._clock()
        return answer

    def _told(self, key: str, read: Read) -> features_pb2.Features:
        """One user or item; what is counted meanwhile, while others get their turn, is in those that come after."""
        since_ms = self._statistics.known_from_ms
        if since_ms is None:
            raise SnapshotMismatch("the event log's past is being read still", reason="NOT_READ_YET")
        now_ms = self._counters.moment_ms()
        features, whole_from_ms = read(key, now_ms)
        known_from_ms = max(since_ms, whole_from_ms)
        told = features_pb2.Features(
            id=key,
            known=features.known,
            windows=_windows(features, now_ms // _MS, known_from_ms),
            last_price=features.last_value,
            last_category=features.last_category,
            watermark=self._progress.text,
        )
        told.moment.FromSeconds(now_ms // _MS)
        told.known_from.FromMilliseconds(known_from_ms)
        return told


def _windows(features: Features, second: int, known_from_ms: int) -> Iterator[features_pb2.WindowCounts]:
    for window, counts in zip(WINDOWS, features.counts, strict=True):
        first = begins(second, window)
        told = features_pb2.WindowCounts(
            window=window.name,
            complete=first * _MS >= known_from_ms,
            counts=[
                features_pb2.InteractionCount(interaction=events_pb2.Interaction.Name(kind), count=count)
                for kind, count in enumerate(counts)
                if count
            ],
        )
        told.begins.FromSeconds(first)
        yield told
