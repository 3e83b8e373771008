"""What it means to trend: the rules, what an interaction is worth, and what is said of an item that does. Values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from trunkshow.v1 import events_pb2

EVENTS_MIN = 3.0
"""Fewer events in a window are no trend, whatever was expected."""

WEIGHTS: Mapping[int, float] = {
    events_pb2.INTERACTION_VIEW: 0.2,
    events_pb2.INTERACTION_CLICK: 0.3,
    events_pb2.INTERACTION_CART: 0.6,
    events_pb2.INTERACTION_ORDER: 1.0,
    events_pb2.INTERACTION_RENTAL: 1.0,
    events_pb2.INTERACTION_LIKE: 0.8,
}
"""What an interaction is worth; others do not count."""

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True)
class TrendingRules:
    """How trends are found.

    Attributes:
        half_lives_s: of the weights of events, shortest first.
        surge_min: the credible surge from which on an item is said to trend.
        settling_h: hours of history after which forecasts are used: what a day is like must be known.
        young_surge_min: as `surge_min`, until then.
        young_events_min: events of all items, decayed, without which nothing is said to trend until then.
        items_max: items that are counted, of all users; of a segment a tenth of them.
        segments_max: segments that are counted.
    """

    half_lives_s: tuple[float, ...] = (600.0, 1800.0)
    surge_min: float = 2.0
    settling_h: int = 24
    young_surge_min: float = 3.0
    young_events_min: float = 100.0
    items_max: int = 50_000
    segments_max: int = 32


RULES = TrendingRules()


class Window(NamedTuple):
    """What happened to an item lately, by one half-life.

    Attributes:
        half_life_s: of an event's weight.
        counts: events by interaction, decayed, unweighted; of all others there was none.
        observed: events that its decayed, weighted sum is worth.
        expected: of them; infinite where nobody can tell.
        surge: with 95 % probability, at least so many times what was expected; 0 where there are too few to tell.
    """

    half_life_s: float
    counts: Mapping[int, float]
    observed: float
    expected: float
    surge: float


class Trend(NamedTuple, Generic[Item]):
    """One item that trends.

    Attributes:
        item: which.
        best: the window with the largest surge: by that it trends.
        windows: one of each half-life, shortest first.
    """

    item: Item
    best: Window
    windows: tuple[Window, ...]
