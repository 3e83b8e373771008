"""What people with the same taste had lately and this user may not know."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from trunkshow.largest import largest
from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Query, Rows, Shelf, Training

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
        found = shelf.nearest_users(query.vector, NEIGHBOURS + 1)
        # The nearest one is the user, where the user lives here; nobody recommends to themselves. The history tells
        # who that is, not the vector: items in hand move it.
        others = [(user, near) for user, near in found if near > 0 and not _same(user.items, query.history)]
        if not others:
            return NOTHING
        voters = others[:NEIGHBOURS]
        newest = [user.items[:NEWEST_ITEMS] for user, _ in voters]
        liked = np.concatenate([user.weights[:NEWEST_ITEMS] for user, _ in voters]) > 0
        votes = np.repeat([near for _, near in voters], [len(rows) for rows in newest])[liked]
        rows, where = np.unique(np.concatenate(newest)[liked], return_inverse=True)
        scores = np.asarray(np.bincount(where, votes, minlength=len(rows)), np.float64)
        order = largest(scores, count)
        heads = np.bincount(where, minlength=len(rows))[order].tolist()
        reasons = [f"{heads_} of {len(voters)} shoppers nearest to your taste had it" for heads_ in heads]
        return Candidates(rows[order].tolist(), scores[order].tolist(), reasons=reasons)


def _same(one: Rows, other: Rows) -> bool:
    """Whether two histories are the same; mostly their lengths tell."""
    return len(one) == len(other) and bool((one == other).all())
