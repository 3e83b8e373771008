"""What trends now: a carousel of the moment. It is fitted by nobody; lists come from the event log while it is served.

Those of the user's segment come first, then everybody's. What is not in this snapshot's catalogue, or not available,
is left out; what the user had, or filters do not allow, is others' business as with every model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from trunkshow.models.protocol import NOTHING, Candidates, Query, Shelf
from trunkshow.online.trends import EVERYBODY, NO_TRENDS, Listed, Trends
from trunkshow.snapshot.catalogue import Catalogue

Entries = tuple[list[int], list[float], list[str]]


class TrendingNow:
    """The lists of one snapshot's items.

    Args:
        catalogue: of the snapshot.
        segment_names: of the snapshot, in the order of their codes.
        now: what trends as of now.
    """

    name: ClassVar[str] = "trending"
    carousel: ClassVar[str] = "trending"
    title: ClassVar[str] = "Trending now"
    may_be_short: ClassVar[bool] = True

    def __init__(self, catalogue: Catalogue, segment_names: Sequence[str], now: Callable[[], Trends]) -> None:
        self._catalogue = catalogue
        self._segment_names = tuple(segment_names)
        self._now = now
        self._made: tuple[Trends, dict[int, Entries]] = NO_TRENDS, {}

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """What trends in the user's segment, and then in the whole shop."""
        del shelf  # trends are the shop's, not a partition's
        trends = self._now()
        if not trends.lists:
            return NOTHING
        of_trends, made = self._made
        if of_trends is not trends:
            made = {}
            self._made = trends, made
        segment = query.segment if 0 <= query.segment < len(self._segment_names) else -1
        if segment not in made:
            made[segment] = self._entries(trends, segment)
        rows, scores, reasons = made[segment]
        if not rows:
            return NOTHING
        return Candidates(rows[:count], scores[:count], reasons=reasons[:count])

    def _entries(self, trends: Trends, segment: int) -> Entries:
        own = trends.of(self._segment_names[segment]) if segment >= 0 else ()
        listed = [(one, " among shoppers like you") for one in own]
        listed += [(one, "") for one in trends.of(EVERYBODY)]
        entries: dict[int, tuple[float, str]] = {}
        score = np.inf
        for (one, whose), row in zip(listed, self._rows([one for one, _ in listed]), strict=True):
            if row >= 0 and row not in entries:
                score = min(score, one.surge)  # scores order the list: none is larger than the one before
                entries[row] = score, reason(one.surge) + whose
        return [*entries], [score for score, _ in entries.values()], [why for _, why in entries.values()]

    def _rows(self, listed: Sequence[Listed]) -> list[int]:
        """Rows in the catalogue, -1 for what it does not have or is not available."""
        found = [self._catalogue.row(one.item_id) for one in listed]
        rows = np.array([-1 if row is None else row for row in found], np.int32)
        mask, known = self._catalogue.filter().mask, np.flatnonzero(rows >= 0)
        if mask is not None and len(known):
            rows[known[~mask(rows[known])]] = -1
        return [int(row) for row in rows]


def reason(surge: float) -> str:
    """What is said of an item that trends."""
    times = f"{surge:.0f}" if surge >= 3 else f"{surge:.1f}".removesuffix(".0")
    return f"At least {times} times as many as usual"
