"""What is bought most lately: in all, by segment of users, and by category of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Floats, Query, Rows, Shelf, Training

GLOBAL_ITEMS_MAX = 1000
SEGMENT_ITEMS_MAX = 500
CATEGORY_ITEMS_MAX = 100

SEEN_AT_LEAST = 0.5
"""Events that even an item of which none were seen is taken to have."""

DAY_MS = 86_400_000


def decayed_counts(training: Training, of: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """(items,) summed positive weights, each halved for every half-life that passed since the event.

    Args:
        training: the history.
        of: (n,) bool, which events to count; all where None.
    """
    half_life_ms = training.settings.popularity_half_life_days * DAY_MS
    age = (training.now - training.times) / half_life_ms
    worth = np.maximum(training.weights, 0) * np.exp2(-age)
    items = training.items
    if of is not None:
        items, worth = items[of], worth[of]
    return np.asarray(np.bincount(items, worth, minlength=training.matrix.shape[1]), np.float64)


def best(scores: NDArray[np.float64], allowed: NDArray[np.bool_], count: int) -> tuple[Rows, Floats]:
    """Rows of the `count` largest positive scores among the allowed, largest first; ties by row."""
    rows = np.flatnonzero((scores > 0) & allowed)
    order = np.lexsort((rows, -scores[rows]))[:count]
    return rows[order].astype(np.int32), scores[rows[order]].astype(np.float32)


class Popularity:
    """Popular lists with time decay; the last rungs of the ladder stand on them too.

    Args:
        arrays: `rows`, `scores` and `starts` of all lists end to end: the global one, then one per segment, then one
            per category; `segments` holds the number of segments.
    """

    name: ClassVar[str] = "popularity"
    carousel: ClassVar[str] = "popular"
    title: ClassVar[str] = "Popular right now"
    may_be_short: ClassVar[bool] = True

    def __init__(self, arrays: Arrays) -> None:
        self._rows = arrays["rows"]
        self._scores = arrays["scores"]
        self._starts = arrays["starts"].tolist()
        self._segments = int(arrays["segments"][0])

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Count, with decay, and keep the best of each list. Items that are not available are left out."""
        everything = decayed_counts(training)
        lists = [best(everything, training.available, GLOBAL_ITEMS_MAX)]
        by_user = training.segments[training.users] if len(training.segments) else training.users
        for code in range(len(training.segment_names)):
            counted = decayed_counts(training, by_user == code)
            lists.append(best(counted, training.available, SEGMENT_ITEMS_MAX))
        for code in range(len(training.category_names)):
            within = training.available & (training.categories == code)
            lists.append(best(everything, within, CATEGORY_ITEMS_MAX))
        starts = np.cumsum([0, *(len(rows) for rows, _ in lists)])
        return {
            "rows": np.concatenate([rows for rows, _ in lists]),
            "scores": np.concatenate([scores for _, scores in lists]),
            "starts": starts.astype(np.int64),
            "segments": np.array([len(training.segment_names)], np.int32),
        }

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The lists, read from where they lie."""
        return cls(arrays)

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """The list of the query's categories, else of its segment, else the global one."""
        del shelf  # popular lists are the catalogue's, not a partition's
        if query.categories:
            return self._of_categories(query.categories, count)
        of_segment = self.of_segment(query.segment, count)
        return of_segment if of_segment.rows else self.overall(count)

    def overall(self, count: int) -> Candidates:
        """The global list."""
        return self._candidates(0, count, "Popular with everyone")

    def of_segment(self, segment: int, count: int) -> Candidates:
        """A segment's list; nothing where the segment has none."""
        if not 0 <= segment < self._segments:
            return NOTHING
        return self._candidates(1 + segment, count, "Popular with shoppers like you")

    def shares(self, categories: Rows) -> NDArray[np.float64]:
        """(items,) the part of everything bought that each item has, by what stands in the lists.

        An item that stands in none has at most as much as the last of its category's, or the global list, where that
        is full; it is taken to have that: a share is rather too large than too small. None is zero.

        Args:
            categories: (items,) codes, -1 for none.
        """
        lists = [self._list(1 + self._segments + code) for code in range(len(self._starts) - 2 - self._segments)]
        everything = self._list(0)
        last = [_last(scores, CATEGORY_ITEMS_MAX) for _, scores in lists]
        counts = np.array([*last, _last(everything[1], GLOBAL_ITEMS_MAX)])[categories]  # -1 is the last of these
        for rows, scores in (*lists, everything):
            counts[rows] = scores
        counts += SEEN_AT_LEAST
        shares: NDArray[np.float64] = counts / counts.sum()
        return shares

    def _list(self, position: int) -> tuple[Rows, Floats]:
        where = slice(self._starts[position], self._starts[position + 1])
        return self._rows[where], self._scores[where]

    def _of_categories(self, categories: Sequence[int], count: int) -> Candidates:
        lists = [self._candidates(1 + self._segments + code, count, "") for code in categories]
        merged = sorted(
            (pair for found in lists for pair in zip(found.scores, found.rows, strict=True)),
            key=lambda pair: -pair[0],
        )[:count]
        return Candidates(
            [row for _, row in merged], [score for score, _ in merged], reasons=("Popular in this category",)
        )

    def _candidates(self, position: int, count: int, reason: str) -> Candidates:
        start = self._starts[position]
        stop = min(start + count, self._starts[position + 1])
        if start >= stop:
            return NOTHING
        return Candidates(self._rows[start:stop].tolist(), self._scores[start:stop].tolist(), reasons=(reason,))


def _last(scores: Floats, full: int) -> float:
    """What an item that does not stand in a list has at most."""
    return float(scores[-1]) if len(scores) >= full else 0.0
