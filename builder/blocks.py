"""Users a block at a time, each block a task: their taste vectors, and their best items over the whole catalogue.

A block's result does not depend on the others, and blocks are the same whoever does them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from builder import sparse
from builder.crew.port import Crew, Shared
from builder.folding import fold_in
from builder.partition import BestItems, best_items
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Arrays, Floats, Rows

BLOCK_USERS = 2048
"""A multiple of what `best_items` scores at once, so that where blocks begin changes no bit."""

FOLDED_USERS = 32_768
"""Each block of these begins with a product of all items' factors, 0.1 s for 100,000 items of 64."""


@dataclass(frozen=True)
class BlockTask:
    """Some users.

    Attributes:
        shared: what all blocks read.
        users: (b,) rows.
        count: how many items are asked for.
    """

    shared: Shared
    users: Rows
    count: int = 0


def user_vectors(crew: Crew, fitted: Arrays, matrix: csr_matrix) -> Floats:
    """(users, factors) float32 vectors of the histories in a (users, items) matrix, by the fitted factor model."""
    everybody = np.arange(matrix.shape[0], dtype=np.int32)
    with crew.share({**fitted, **sparse.named("matrix", matrix)}) as shared:
        solved = crew.each(
            "fold in users", _fold_in, [BlockTask(shared, users) for users in _blocks(everybody, FOLDED_USERS)]
        )
    return np.concatenate([np.empty((0, fitted["vectors"].shape[1]), np.float32), *solved])


def _fold_in(task: BlockTask) -> Floats:
    named = task.shared.arrays()
    return fold_in(ImplicitALS.open(named), sparse.rows(named, "matrix", task.users))


class Searched:
    """Exact search for many users: vectors, and what nobody must be shown, shared once and asked several times.

    Args:
        crew: does the tasks.
        shared: what `searched` named.
    """

    def __init__(self, crew: Crew, shared: Shared) -> None:
        self._crew = crew
        self._shared = shared

    def best(self, users: Rows, count: int) -> BestItems:
        """The `count` best items of each of (u,) users."""
        tasks = [BlockTask(self._shared, block, count) for block in _blocks(users)]
        found = self._crew.each(f"best {count} items", _best, tasks)
        return BestItems(users, np.concatenate([np.empty((0, found[0].shape[1] if found else 0), np.int32), *found]))


def searched(users: Floats, items: Floats, hidden: csr_matrix | None) -> Arrays:
    """What a search reads, ready to be shared: (users, factors), (items, factors), and what is hidden from whom."""
    named = {"users": users, "items": items}
    return named if hidden is None else {**named, **sparse.named("hidden", hidden)}


def _best(task: BlockTask) -> Rows:
    named = task.shared.arrays()
    hidden = sparse.rows(named, "hidden", task.users) if sparse.has(named, "hidden") else None
    asked = np.arange(len(task.users), dtype=np.int32)
    return best_items(asked, named["users"][task.users], named["items"], hidden, task.count).items


def _blocks(users: Rows, size: int = BLOCK_USERS) -> list[Rows]:
    return [users[at : at + size] for at in range(0, len(users), size)]
