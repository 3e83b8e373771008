"""What routers say of the other shards: the newest word of each, for as long as it is fresh.

Shards do not talk to one another. A router that has gone says nothing any more, and its last word soon counts for
nothing. What follows from the words is the business of `shard.holdings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkshow.errors import InvalidArgument
from trunkshow.v1 import shard_pb2

FRESH_S = 3.5
"""A word counts for so long; routers speak at every change, and every second."""

ROUTERS_MAX = 1024


@dataclass(frozen=True)
class Word:
    """What one router said.

    Attributes:
        at: when it was heard, in seconds of the monotonic clock.
        others: by snapshot and partition, how many other shards hold it warm, and stay.
        leaving: names of the shards that drain.
    """

    at: float
    others: Mapping[tuple[str, int], int] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()


def word_of(request: shard_pb2.ObserveRequest, now: float) -> Word:
    """A router's report as a value.

    Raises:
        InvalidArgument: arrays that belong together differ in length.
    """
    others: dict[tuple[str, int], int] = {}
    for held in request.held:
        if len(held.partitions) != len(held.others):
            message = f"held: {len(held.partitions)} partitions and {len(held.others)} counts"
            raise InvalidArgument(message, field="held", reason="LENGTHS_DIFFER")
        for number, count in zip(held.partitions, held.others, strict=True):
            others[held.snapshot_version, number] = count
    return Word(now, others, frozenset(request.leaving))


class Heard:
    """The newest word of each router."""

    def __init__(self) -> None:
        self._words: dict[str, Word] = {}

    def hear(self, router: str, word: Word) -> bool:
        """Take a word; whether it says anything new.

        Args:
            router: who says it: anything that tells one from the other.
            word: its newest one.
        """
        before = self._words.pop(router, None)
        self._words[router] = word
        if len(self._words) > ROUTERS_MAX:
            del self._words[next(iter(self._words))]
        return before is None or (before.others, before.leaving) != (word.others, word.leaving)

    def fresh(self, now: float) -> tuple[Word, ...]:
        """The words that count; those that do not are forgotten."""
        self._words = {router: word for router, word in self._words.items() if now - word.at <= FRESH_S}
        return tuple(self._words.values())
