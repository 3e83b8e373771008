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

An action (a click, a cart, an order, …) clears what came before it. Impressions of one item within `SAME_VIEW_MS` are
one: a page that is drawn again shows nothing new. Events may come in any order. Which ones are a user's, and that each
comes once, is left to others, as is leaving out what was hidden or bought.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

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

SAME_VIEW_MS = 60_000
ITEMS_MAX = 256
"""Items of which a user's impressions are kept; beyond, those that were touched longest ago are forgotten."""

IMPRESSIONS_MAX = 16
"""Newest impressions kept per item: with the defaults, more of them discount no further."""


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


RULE = FatigueRule()


@dataclass(slots=True)
class _Shown:
    """One item's impressions, oldest first, and when the user last acted on it; milliseconds."""

    times: list[int] = field(default_factory=list)
    acted: int = -1

    @property
    def touched(self) -> int:
        return max(self.acted, self.times[-1] if self.times else -1)


class Impressions:
    """What one user was shown, and did not take up."""

    __slots__ = ("_shown",)

    def __init__(self) -> None:
        self._shown: dict[int, _Shown] = {}

    def __len__(self) -> int:
        return len(self._shown)

    def record(self, item: int, kind: int, time_ms: int) -> None:
        """Take an event in; of interactions that neither show nor take up, nothing is kept."""
        if kind == events_pb2.INTERACTION_IMPRESSION:
            shown = self._shown.setdefault(item, _Shown())
            if time_ms > shown.acted:
                insort(shown.times, time_ms)
                del shown.times[:-IMPRESSIONS_MAX]
        elif kind in ACTIONS:
            shown = self._shown.setdefault(item, _Shown())
            shown.acted = max(shown.acted, time_ms)
            shown.times = [time for time in shown.times if time > shown.acted]
        if len(self._shown) > ITEMS_MAX:
            del self._shown[min(self._shown, key=lambda one: (self._shown[one].touched, one))]

    def count(self, item: int, now_ms: int, rule: FatigueRule = RULE) -> float:
        """n: impressions since the last action, each view counted once and half after every half-life."""
        shown = self._shown.get(item)
        if shown is None:
            return 0.0
        total, last = 0.0, None
        for time in shown.times:
            if last is None or time - last >= SAME_VIEW_MS:
                total += 0.5 ** (max(now_ms - time, 0) / rule.half_life_ms)
                last = time
        return total

    def discounts(self, now_ms: int, rule: FatigueRule = RULE) -> dict[int, float]:
        """Each item that sinks, and its discount."""
        found = {item: rule.discount(self.count(item, now_ms, rule)) for item in self._shown}
        return {item: discount for item, discount in found.items() if discount < 1}


_Candidate = TypeVar("_Candidate")


def sink(ranked: Sequence[_Candidate], discount: Callable[[_Candidate], float]) -> list[_Candidate]:
    """Candidates, best first, each moved from its rank to that divided by its discount, above 0 and at most 1."""
    places = [rank / discount(candidate) for rank, candidate in enumerate(ranked, start=1)]
    return [ranked[at] for at in sorted(range(len(ranked)), key=lambda at: (places[at], at))]
