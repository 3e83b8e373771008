"""Items that the same users go for: nearest neighbours of each item, by cosine over users."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Floats, Query, Rows, Shelf, Training

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NEIGHBOURS_MAX = 100
SHRINKAGE = 10.0
"""Added to the cosine's denominator: an item that two users share by chance is no neighbour yet."""

PAIRS_AT_ONCE = 4_000_000
"""Pairs of items that one user had, counted at a time: some 50 MB in each thread."""

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
        """Cosine between the items' columns, users counted once each; counted by several threads."""
        from scipy.sparse import csr_matrix  # only a builder has it

        matrix = training.matrix
        by_user = csr_matrix((np.ones(matrix.nnz, np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
        by_item = by_user.T.tocsr()
        items = len(by_item.indptr) - 1
        width = min(NEIGHBOURS_MAX, max(items - 1, 1))
        with ThreadPoolExecutor(training.settings.threads) as threads:
            parts = threads.map(partial(_nearest, by_item, by_user, width), _blocks(by_item, by_user))
            nearest = [(np.full((0, width), -1, np.int32), np.zeros((0, width), np.float32)), *parts]
        rows, scores = (np.concatenate(part) for part in zip(*nearest, strict=True))
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


def _blocks(by_item: csr_matrix, by_user: csr_matrix) -> Iterator[slice]:
    """Items whose pairs are counted together: whole rows, at least one."""
    of_users = np.diff(by_user.indptr).astype(np.int64)
    pairs = np.concatenate([[0], np.cumsum(of_users[by_item.indices])])[by_item.indptr]
    start, items = 0, len(pairs) - 1
    while start < items:
        full = int(np.searchsorted(pairs, pairs[start] + PAIRS_AT_ONCE, side="right")) - 1
        stop = max(full, start + 1)
        yield slice(start, stop)
        start = stop


def _nearest(by_item: csr_matrix, by_user: csr_matrix, width: int, block: slice) -> tuple[Rows, Floats]:
    """(b, width) rows and scores of the nearest of some items, nearest first, of equal ones the lower row.

    The cosine of two sets is what they share, divided by the geometric mean of their sizes.
    """
    shared = by_item[block] @ by_user
    sizes = np.sqrt(np.diff(by_item.indptr))
    rows = np.full((shared.shape[0], width), -1, np.int32)
    scores = np.zeros((shared.shape[0], width), np.float32)
    for at in range(shared.shape[0]):
        mine = slice(shared.indptr[at], shared.indptr[at + 1])
        others, item = shared.indices[mine], block.start + at
        near = np.where(others == item, 0.0, shared.data[mine] / (sizes[others] * sizes[item] + SHRINKAGE))
        few = np.flatnonzero(near > 0)
        if len(few) > width:
            few = few[near[few] >= np.partition(near[few], -width)[-width]]  # and all that tie with the last one
        order = few[np.lexsort((others[few], -near[few]))][:width]
        rows[at, : len(order)] = others[order]
        scores[at, : len(order)] = near[order]
    return rows, scores
