"""What people with the same taste had lately and this user may not know."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Query, Shelf, Training

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
        others = [(user, near) for user, near in found if near > 0 and not np.array_equal(user.items, query.history)]
        if not others:
            return NOTHING
        taken = [user.items[:NEWEST_ITEMS][user.weights[:NEWEST_ITEMS] > 0] for user, _ in others[:NEIGHBOURS]]
        votes = np.repeat([near for _, near in others[:NEIGHBOURS]], [len(rows) for rows in taken])
        rows, where = np.unique(np.concatenate(taken), return_inverse=True)
        scores = np.bincount(where, votes, minlength=len(rows))
        order = np.argsort(-scores, kind="stable")[:count]
        heads = np.bincount(where, minlength=len(rows))[order].tolist()
        reasons = [f"{heads_} of {len(taken)} shoppers nearest to your taste had it" for heads_ in heads]
        return Candidates(rows[order].tolist(), scores[order].tolist(), reasons=reasons)
