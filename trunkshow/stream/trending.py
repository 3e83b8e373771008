"""What trends: items of which much more happens than was expected, of all users and of each segment.

What happens to an item is counted by interaction and decays (`trunkshow.stream.decayed`), with several half-lives: a
short one notices sooner, a long one sees items of few events. What was expected of the same stretch of time is the
forecast of `trunkshow.stream.seasons`, with the same decay. The score is the credible surge of
`trunkshow.stream.surges`, the largest over the half-lives; none where a surge is, with 95 % probability, over by the
shortest: a long one takes hours to forget.

Until a day was seen, what is expected of an item is its usual share of whatever happens, where somebody
knows that (`trunkshow.stream.shares`); else nothing is said to trend. Why no sketch of a library does this:
docs/adr/0023-stream-statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic

from trunkshow.stream.surging import Surges
from trunkshow.stream.trend import RULES, WEIGHTS, Item, Trend, TrendingRules


class Trending(Generic[Item]):
    """The trends of all users, and of segments.

    Args:
        rules: how.
        weights: of interactions.
        usual_share: of an item in everything that happens, as it was before there was a log; None where nobody knows.
            Of segments, nothing is said before they are known.
    """

    def __init__(
        self,
        rules: TrendingRules = RULES,
        weights: Mapping[int, float] = WEIGHTS,
        usual_share: Callable[[Item], float | None] | None = None,
    ) -> None:
        self._rules, self._weights = rules, weights
        self._everybody = Surges[Item](rules, weights, rules.items_max, usual_share)
        self._segments: dict[int, Surges[Item]] = {}

    def record(self, item: Item, kind: int, at_s: float, now_s: float, segment: int = -1) -> None:
        """Count one event.

        Args:
            item: with which something was done.
            kind: the interaction's number.
            at_s: when, in seconds since the epoch; later than now counts as now.
            now_s: the moment.
            segment: of the user, -1 for none; beyond `segments_max` of them, later ones are not counted apart.
        """
        self._everybody.record(item, kind, at_s, now_s)
        apart = self._segments.get(segment)
        if apart is None and segment >= 0 and len(self._segments) < self._rules.segments_max:
            items_max = max(self._rules.items_max // 10, 1)
            apart = self._segments[segment] = Surges(self._rules, self._weights, items_max)
        if apart is not None:
            apart.record(item, kind, at_s, now_s)

    def counts_apart(self, segment: int) -> bool:
        """Whether a segment is counted."""
        return segment in self._segments

    def top(self, now_s: float, count: int, segment: int = -1) -> list[Trend[Item]]:
        """Up to `count` items that trend, largest surge first; of a segment that is not counted apart, everybody's."""
        return self._segments.get(segment, self._everybody).top(now_s, count)
