"""What trends, as one shard found it and says it to routers: a value. Finding it is `shard.online.trends`' business.

Every shard hears the whole log, so their lists hardly differ. A router uses one of them (`chosen`): of those that are
as new as any, the one of whoever knows the log for longest, so that lists do not flicker between shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, cast

from trunkshow.v1 import events_pb2, shard_pb2

LISTED_MAX = 50
EVERYBODY = ""
AS_NEW_MS = 10_000
"""Lists that differ by less are equally new."""


class Listed(NamedTuple):
    """An item that trends.

    Attributes:
        item_id: which.
        surge: with 95 % probability, at least so many times what was expected.
        observed: events lately, decayed and weighted.
        expected: of them.
    """

    item_id: str
    surge: float
    observed: float
    expected: float


class TrendWindow(NamedTuple):
    """What happened lately to the items of one list, by one half-life; values of one length, as the list has its items.

    Attributes:
        half_life_s: of an event's weight.
        surges: with 95 % probability, at least so many times what was expected; 0 where there are too few to tell.
        observed: events, decayed and weighted.
        expected: of them; infinite where nobody can tell.
        counts: events by interaction, decayed, unweighted; of all others there was none.
    """

    half_life_s: float
    surges: tuple[float, ...]
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    counts: Mapping[int, tuple[float, ...]]

    @classmethod
    def from_message(cls, message: shard_pb2.TrendWindow) -> TrendWindow:
        """As a shard said it."""
        counts = {int(one.interaction): tuple(one.counts) for one in message.counts}
        numbers = tuple(message.surges), tuple(message.observed), tuple(message.expected)
        return cls(message.half_life_s, *numbers, counts)

    def to_message(self) -> shard_pb2.TrendWindow:
        """As a shard says it."""
        counts = [
            shard_pb2.InteractionCounts(interaction=cast("events_pb2.Interaction", kind), counts=counts)
            for kind, counts in self.counts.items()
        ]
        numbers = {"surges": self.surges, "observed": self.observed, "expected": self.expected}
        return shard_pb2.TrendWindow(half_life_s=self.half_life_s, counts=counts, **numbers)


@dataclass(frozen=True)
class Trends:
    """As of one moment.

    Attributes:
        known_from_ms: since when every event was heard, milliseconds since the epoch.
        known_to_ms: until when.
        lists: by segment name, and of everybody; largest surge first; those that have any.
        windows: what these were found by, by segment name, shortest half-life first; none of a shard that tells none.
    """

    known_from_ms: int = 0
    known_to_ms: int = 0
    lists: Mapping[str, tuple[Listed, ...]] = field(default_factory=lambda: MappingProxyType({}))
    windows: Mapping[str, tuple[TrendWindow, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, segment: str) -> tuple[Listed, ...]:
        """A segment's."""
        return self.lists.get(segment, ())

    @classmethod
    def from_message(cls, message: shard_pb2.Trends) -> Trends:
        """As a shard said it."""
        lists = {
            one.segment: tuple(map(Listed, one.item_ids, one.surges, one.observed, one.expected))
            for one in message.lists
        }
        windows = {
            one.segment: tuple(map(TrendWindow.from_message, one.windows)) for one in message.lists if one.windows
        }
        return cls(message.known_from_ms, message.known_to_ms, MappingProxyType(lists), MappingProxyType(windows))

    def to_message(self, *, windows: bool = True) -> shard_pb2.Trends:
        """As a shard says it, or without what its lists were found by."""
        lists = [
            shard_pb2.TrendList(
                segment=segment,
                item_ids=[one.item_id for one in listed],
                surges=[one.surge for one in listed],
                observed=[one.observed for one in listed],
                expected=[one.expected for one in listed],
                windows=[one.to_message() for one in self.windows.get(segment, ())] if windows else (),
            )
            for segment, listed in self.lists.items()
        ]
        return shard_pb2.Trends(known_from_ms=self.known_from_ms, known_to_ms=self.known_to_ms, lists=lists)


NO_TRENDS = Trends()
"""Of whoever knows of none."""


class Latest:
    """What trends now, as far as somebody told of it.

    Attributes:
        now: the newest.
    """

    def __init__(self) -> None:
        self.now = NO_TRENDS


def chosen(several: Iterable[Trends]) -> Trends:
    """Of several shards' the one to use."""
    known = [one for one in several if one.known_from_ms]
    newest_ms = max((one.known_to_ms for one in known), default=0)
    as_new = (one for one in known if one.known_to_ms >= newest_ms - AS_NEW_MS)
    return min(as_new, key=lambda one: one.known_from_ms, default=NO_TRENDS)
