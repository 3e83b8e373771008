"""Training by blocks: a half sweep of ALS is one task per block of users, or of items.

Blocks are made by the data alone, so that the factors do not depend on how many workers there are. Each reads its own
rows of the confidences, and the other side's factors whole: a worker needs as much memory as these take, 256 MB for a
million users of 64 factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from builder import sparse
from builder.crew.port import Crew, Shared
from trunkshow.models.protocol import Floats, Training
from trunkshow.models.sweeps import HalfSweeps, Terms, solve_rows

BLOCK_CELLS = 500_000
BLOCK_ROWS = 16_384
"""A block has at most so many rows, and about so many cells: with 64 factors, some seconds."""


@dataclass(frozen=True)
class SweepTask:
    """Some rows of one side.

    Attributes:
        matrix: confidences, by user and by item.
        other: `factors` of the other side.
        side: whose rows, "users" or "items".
        start: the first of them.
        stop: behind the last.
        terms: of all rows.
    """

    matrix: Shared
    other: Shared
    side: str
    start: int
    stop: int
    terms: Terms


def divided(training: Training, crew: Crew) -> Training:
    """The same, to be trained by the crew, where there is enough for it to do."""
    from_cells = crew.trains_from
    if from_cells is None or training.matrix.nnz < from_cells:
        return training

    @contextmanager
    def halves(confidences: csr_matrix, terms: Terms) -> Iterator[HalfSweeps]:
        by_item = confidences.T.tocsr()
        with crew.share({**sparse.named("users", confidences), **sparse.named("items", by_item)}) as matrix:
            yield Halves(crew, matrix, terms, blocks(confidences.indptr), blocks(by_item.indptr))

    return replace(training, divided=halves)


@dataclass(frozen=True)
class Halves:
    """The half sweeps of one matrix.

    Attributes:
        crew: solves the blocks.
        matrix: shared with it.
        terms: of all rows.
        user_blocks: (first, behind the last) of each.
        item_blocks: likewise.
    """

    crew: Crew
    matrix: Shared
    terms: Terms
    user_blocks: list[tuple[int, int]]
    item_blocks: list[tuple[int, int]]

    def users(self, items: Floats) -> Floats:
        """(users, factors) float32 from (items, factors)."""
        return self._solved("users", self.user_blocks, items)

    def items(self, users: Floats) -> Floats:
        """(items, factors) float32 from (users, factors)."""
        return self._solved("items", self.item_blocks, users)

    def _solved(self, side: str, parts: list[tuple[int, int]], other: Floats) -> Floats:
        with self.crew.share({"factors": other}) as shared:
            tasks = [SweepTask(self.matrix, shared, side, start, stop, self.terms) for start, stop in parts]
            return np.concatenate(self.crew.each(f"solve {side}", _solve, tasks))


def blocks(indptr: NDArray[np.integer]) -> list[tuple[int, int]]:
    """(first row, behind the last) of each block of a matrix, by where its rows start: whole rows, at least one."""
    found, rows = [], len(indptr) - 1
    start = 0
    while start < rows:
        full = int(np.searchsorted(indptr, indptr[start] + BLOCK_CELLS, side="right")) - 1
        stop = min(max(full, start + 1), start + BLOCK_ROWS, rows)
        found.append((start, stop))
        start = stop
    return found


def _solve(task: SweepTask) -> Floats:
    rows = sparse.rows(task.matrix.arrays(), task.side, np.arange(task.start, task.stop))
    return solve_rows(rows, task.other.arrays()["factors"], task.terms)
