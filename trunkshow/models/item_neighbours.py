"""Items that the same users go for: nearest neighbours of each item, by cosine over users."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Query, Shelf, Training

NEIGHBOURS_MAX = 100
SHRINKAGE = 10.0
"""Added to the cosine's denominator: an item that two users share by chance is no neighbour yet."""

SEEDS = 8
"""Newest liked items among which the one to name is looked for."""


class ItemNeighbours:
    """Item-based k-nearest neighbours.

    Args:
        arrays: `rows` (items, k) int32, nearest first, padded with -1; `scores` (items, k) float32.
    """

    name: ClassVar[str] = "item-neighbours"
    carousel: ClassVar[str] = "because-you-liked"
    title: ClassVar[str] = "Because you liked {item}"
    may_be_short: ClassVar[bool] = True

    def __init__(self, arrays: Arrays) -> None:
        self._rows = arrays["rows"]
        self._scores = arrays["scores"]

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Cosine between the items' columns, users counted once each (irspack's blocked, threaded k-NN)."""
        from irspack.recommenders.knn import CosineKNNRecommender  # only a builder has it
        from scipy.sparse import csr_matrix

        items = training.matrix.shape[1]
        width = min(NEIGHBOURS_MAX, max(items - 1, 1))
        binary = training.matrix.copy()
        binary.data = np.ones_like(binary.data)
        # One more than is kept: the nearest of all is the item itself.
        learner = CosineKNNRecommender(
            binary, shrinkage=SHRINKAGE, normalize=True, top_k=width + 1, n_threads=training.settings.threads
        ).learn()
        similar = csr_matrix(learner.W)
        rows = np.full((items, width), -1, np.int32)
        scores = np.zeros((items, width), np.float32)
        for item in range(items):
            start, stop = similar.indptr[item], similar.indptr[item + 1]
            others, near = similar.indices[start:stop], similar.data[start:stop]
            order = np.lexsort((others, -near))
            order = order[(others[order] != item) & (near[order] > 0)][:width]
            rows[item, : len(order)] = others[order]
            scores[item, : len(order)] = near[order]
        return {"rows": rows, "scores": scores}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The lists, read from where they lie."""
        return cls(arrays)

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """Neighbours of the first item in hand that has any, else of the user's newest liked ones."""
        del shelf  # neighbours are the catalogue's, not a partition's
        for seed in query.context:
            found = self.neighbours(seed, count)
            if found.rows:
                return found
        for seed in query.history[query.weights > 0][:SEEDS].tolist():
            found = self.neighbours(seed, count)
            if found.rows:
                return found
        return NOTHING

    def neighbours(self, item: int, count: int) -> Candidates:
        """Up to `count` items nearest to one, nearest first."""
        rows = self._rows[item, :count].tolist()
        held = rows.index(-1) if -1 in rows else len(rows)
        scores = self._scores[item, :held].tolist()
        return Candidates(rows[:held], scores, about=item, reasons=("Goes with {item}",))
