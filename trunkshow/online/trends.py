"""What trends, as one shard found it and says it to routers: a value. Finding it is `shard.online.trends`' business.

Every shard hears the whole log, so their lists hardly differ. A router uses one of them (`chosen`): of those that are
as new as any, the one of whoever knows the log for longest, so that lists do not flicker between shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from trunkshow.v1 import shard_pb2

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


@dataclass(frozen=True)
class Trends:
    """As of one moment.

    Attributes:
        known_from_ms: since when every event was heard, milliseconds since the epoch.
        known_to_ms: until when.
        lists: by segment name, and of everybody; largest surge first; those that have any.
    """

    known_from_ms: int = 0
    known_to_ms: int = 0
    lists: Mapping[str, tuple[Listed, ...]] = field(default_factory=lambda: MappingProxyType({}))

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
        return cls(message.known_from_ms, message.known_to_ms, MappingProxyType(lists))

    def to_message(self) -> shard_pb2.Trends:
        """As a shard says it."""
        lists = [
            shard_pb2.TrendList(
                segment=segment,
                item_ids=[one.item_id for one in listed],
                surges=[one.surge for one in listed],
                observed=[one.observed for one in listed],
                expected=[one.expected for one in listed],
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
