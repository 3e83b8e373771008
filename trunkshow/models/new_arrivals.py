"""What has come in lately, most wanted first."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from trunkshow.models.popularity import DAY_MS, decayed_counts
from trunkshow.models.protocol import NOTHING, Arrays, Candidates, NewItems, Query, Shelf, Training

ITEMS_MAX = 1000


class NewArrivals:
    """Items not older than `new_arrival_days` at the end of the data.

    Args:
        arrays: `rows` (k,) int32, best first, and `scores` (k,) float32, the decayed counts.
    """

    name: ClassVar[str] = "new-arrivals"
    carousel: ClassVar[str] = "new-arrivals"
    title: ClassVar[str] = "New arrivals"
    may_be_short: ClassVar[bool] = True

    def __init__(self, arrays: Arrays) -> None:
        self._rows = arrays["rows"]
        self._scores = arrays["scores"]

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Keep the newest items: those already wanted first, then those that nobody had yet, newest first."""
        oldest = training.now - training.settings.new_arrival_days * DAY_MS
        rows = np.flatnonzero((training.created >= oldest) & training.available)
        counts = decayed_counts(training)[rows]
        order = np.lexsort((rows, -training.created[rows], -counts))[:ITEMS_MAX]
        return {"rows": rows[order].astype(np.int32), "scores": counts[order].astype(np.float32)}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The list, read from where it lies."""
        return cls(arrays)

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """The first of the list, the same for everyone; the seen rule makes it personal."""
        del query, shelf
        if not len(self._rows):
            return NOTHING
        return Candidates(self._rows[:count].tolist(), self._scores[:count].tolist(), reasons=("New in the shop",))

    def recommend_new(self, query: Query, items: NewItems, count: int) -> Candidates:
        """What came since the build, newest first, before all that was there: scores go on upwards from the list's."""
        del query
        order = np.lexsort((items.rows, -items.created))[:count]
        highest = float(self._scores.max()) if len(self._scores) else 0.0
        scores = [highest + place for place in range(len(order), 0, -1)]
        return Candidates(items.rows[order].tolist(), scores, reasons=("Just in",))
