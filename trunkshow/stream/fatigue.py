"""Impression fatigue: an item that was shown often and never clicked sinks in the lists that are shown next.

The rule, for one user and one item at a moment t:

    n(t) = sum over impressions since the user last acted on the item of  2^-((t - time) / HALF_LIFE)
    d(t) = max(2^-((n(t) - FREE) / HALVING), DISCOUNT_MIN)     1 where n ≤ FREE
    the item at rank r, counted from 1, goes where rank r / d is; ties keep their order

Exponential discounting in the number of impressions, and its weakening as the last ones lie back, is from Li,
Lakshmanan, Tiwari and Shah: "Modeling Impression Discounting in Large-scale Recommender Systems", KDD 2014, where it
fits the click rates of two products. They multiply scores; scores of different models are not comparable, and inner
products can be negative, so here the reciprocal of the rank is what is discounted. The parameters are starting points,
to be fitted to a shop's own impressions and clicks.

An action (a click, a cart, an order, …) clears what came before it, and what came in the same minute. Impressions of
one item in one minute are one: a page that is drawn again shows nothing new. So what is kept of a user is a set of
minutes by item, 8 bytes each, of which any order and any repetition of the same events makes the same; they need no
ids. Which ones are a user's is left to others, as is leaving out what was hidden or bought.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeVar

import numpy as np

from trunkshow.v1 import events_pb2

ACTIONS = frozenset(
    (
        events_pb2.INTERACTION_CLICK,
        events_pb2.INTERACTION_VIEW,
        events_pb2.INTERACTION_CART,
        events_pb2.INTERACTION_ORDER,
        events_pb2.INTERACTION_RENTAL,
        events_pb2.INTERACTION_LIKE,
    )
)
"""Interactions that show interest, and so clear the impressions before them."""

MINUTE_MS = 60_000

IMPRESSIONS_MAX = 512
"""Of a user, the newest: fifty pages of ten items. For a moment twice as many are kept."""


@dataclass(frozen=True)
class FatigueRule:
    """How fast an item sinks.

    Attributes:
        free: impressions that cost nothing.
        halving: impressions beyond them that halve an item's standing.
        half_life_ms: after this time an impression counts half.
        discount_min: as far as it sinks.
    """

    free: float = 2.0
    halving: float = 4.0
    half_life_ms: int = 3 * 86_400_000
    discount_min: float = 0.125

    def discount(self, impressions: float) -> float:
        """What an item's standing is multiplied by: 1 down to `discount_min`."""
        return float(max(0.5 ** (max(impressions - self.free, 0.0) / self.halving), self.discount_min))

    def count(self, minutes: Iterable[int], acted_ms: int, now_ms: int) -> float:
        """n: impressions in these minutes since the epoch, after the last action, -1 where there was none."""
        acted = acted_ms // MINUTE_MS
        ages_ms = (max(now_ms - minute * MINUTE_MS, 0) for minute in minutes if minute > acted)
        return float(sum(0.5 ** (age_ms / self.half_life_ms) for age_ms in ages_ms))


RULE = FatigueRule()


def key_of(item_id: str) -> int:
    """32 bits that stand for an item; where two share them, one sinks with the other."""
    return zlib.crc32(item_id.encode())


class Impressions:
    """What one user was shown: items, by their keys, in minutes since the epoch."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen = array("Q")  # key and minute in one number each, ascending

    def __len__(self) -> int:
        return len(self._seen)

    def record(self, key: int, minute: int) -> None:
        """An item was shown."""
        entry = key << 32 | minute
        at = bisect_left(self._seen, entry)
        if at < len(self._seen) and self._seen[at] == entry:
            return
        self._seen.insert(at, entry)
        if len(self._seen) > 2 * IMPRESSIONS_MAX:
            self._seen = array("Q", _newest(self._seen))

    def repeated(self, least: int) -> Mapping[int, Sequence[int]]:
        """Of each item that was shown in so many minutes or more, the minutes, ascending."""
        if len(self._seen) < least:
            return {}
        seen = self._seen if len(self._seen) <= IMPRESSIONS_MAX else _newest(self._seen)
        keys = np.asarray(seen, np.uint64) >> np.uint64(32)
        often = set(keys[: len(keys) - least + 1][keys[: len(keys) - least + 1] == keys[least - 1 :]].tolist())
        return {key: [entry & 0xFFFF_FFFF for entry in _of(seen, key)] for key in often}


def _newest(seen: Sequence[int]) -> list[int]:
    """The newest ones, ascending by key; of one minute those of the largest keys."""
    by_age = sorted(seen, key=lambda entry: (entry & 0xFFFF_FFFF, entry))
    return sorted(by_age[-IMPRESSIONS_MAX:])


def _of(seen: Sequence[int], key: int) -> Sequence[int]:
    return seen[bisect_left(seen, key << 32) : bisect_left(seen, (key + 1) << 32)]


_Candidate = TypeVar("_Candidate")


def sink(
    ranked: Sequence[_Candidate], discount: Callable[[_Candidate], float], most: int | None = None
) -> list[_Candidate]:
    """Candidates, best first, each moved from its rank to that divided by its discount, above 0 and at most 1.

    The first `most` of them where that is said; then who cannot be among them is not asked for a discount.
    """
    most = len(ranked) if most is None else most
    sunk: list[_Candidate] = []
    below: list[tuple[float, int]] = []  # a heap of those whose place has not come
    for at, candidate in enumerate(ranked):
        if len(sunk) >= most:
            break
        place = (at + 1) / discount(candidate)
        if place <= at + 1 and not below:  # nearly always
            sunk.append(candidate)
            continue
        heappush(below, (place, at))
        while below and below[0][0] <= at + 1:  # whoever comes after goes below that
            sunk.append(ranked[heappop(below)[1]])
    sunk += (ranked[at] for _, at in sorted(below))
    return sunk[:most]
