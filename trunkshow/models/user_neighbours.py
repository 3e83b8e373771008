"""What people with the same taste had lately and this user may not know."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trunkshow.largest import largest
from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Query, Rows, Shelf, Training

Votes = NDArray[np.float64]

NEIGHBOURS = 30
NEWEST_ITEMS = 40
"""Of each neighbour's history: old purchases say little of what is wanted now."""


class UserNeighbours:
    """User-based k-nearest neighbours over the partition's users, who share a taste because they share a partition."""

    name: ClassVar[str] = "user-neighbours"
    carousel: ClassVar[str] = "people-like-you"
    title: ClassVar[str] = "People like you"
    costly: ClassVar[bool] = True

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Nothing of its own: the partition's user index and histories are all it needs."""
        del training
        return {}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The model, which has no arrays."""
        del arrays
        return cls()

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """Items by the summed similarity of the neighbours who had them, each neighbour voting once per item."""
        if not len(query.vector):
            return NOTHING
        # The nearest one is the user, where the user lives here; nobody recommends to themselves. The history tells
        # who that is, not the vector: items in hand move it.
        found = shelf.neighbours(query.vector, NEIGHBOURS + 1, NEWEST_ITEMS, query.history)
        voters = min(sum(near > 0 for near in found.near), NEIGHBOURS)
        if not voters:
            return NOTHING
        votes = np.repeat(found.near[:voters], found.counts[:voters])
        liked = found.weights[: len(votes)] > 0
        rows, scores, heads = _counted(found.items[: len(votes)][liked], votes[liked])
        order = largest(scores, count)
        reasons = [f"{one} of {voters} shoppers nearest to your taste had it" for one in heads[order].tolist()]
        return Candidates(rows[order].tolist(), scores[order].tolist(), reasons=reasons)


def _counted(items: Rows, votes: Votes) -> tuple[NDArray[np.int64], Votes, NDArray[np.int64]]:
    """Rows, each once, ascending; the sum of the (n,) votes for each, and their number.

    As `np.unique` and its inverse say, in three quarters of the time: numbers are sorted faster than their positions
    are, so each row is sorted with its position below it.
    """
    keys = items.astype(np.int64) << 32 | np.arange(len(items))
    keys.sort()
    ordered = keys >> 32
    starts = np.concatenate((ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1]))
    where = starts.cumsum() - 1
    scores = np.asarray(np.bincount(where, votes[keys & 0xFFFF_FFFF]), np.float64)
    return ordered[starts], scores, np.bincount(where)
