"""Evaluation within the one fit: what some users did after the cut is held back from all but its last sweeps.

The model is measured before those, on what was held back: it knows of these users what they did before the cut, and of
everybody else all there is. So it costs no second fit, and nothing that is asked is known to who answers; but unlike in
an evaluation that fits apart (`builder.evaluating`) what others did later is. docs/adr/0035 says what that is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from builder.evaluate import Test, drawn, test_of
from builder.training import Numbered, matrix_of
from trunkshow.models.protocol import Rows

FINISHING_SWEEPS = 2
"""With everything, after the model was measured."""


@dataclass(frozen=True)
class HeldBack:
    """What the first sweeps learn from, and what is asked after them.

    Attributes:
        numbered: everything but what is held back, in the same rows.
        test: what is held back.
        events: how many.
    """

    numbered: Numbered
    test: Test
    events: int


def hold_back(numbered: Numbered, cut: int, *, repeat: bool, seed: int) -> HeldBack:
    """Hold back what as many users as are evaluated did after the cut.

    Asked are users and items that occur before it, as in an evaluation that fits apart: what was said there of a
    known item can be compared with what is said here.

    Args:
        numbered: everything.
        cut: milliseconds, the first moment that is held back.
        repeat: whether an item that the user had before counts as a hit.
        seed: of the sample where there are many users.
    """
    training = numbered.training
    after = training.times >= cut
    before = ~after
    known_users, known_items = (
        _occurring(rows[before], count)
        for rows, count in zip((training.users, training.items), training.matrix.shape, strict=True)
    )
    asked = after & (training.weights > 0)
    asked[asked] = known_users[training.users[asked]] & known_items[training.items[asked]]
    tested = np.zeros(training.matrix.shape[0], np.bool_)
    tested[drawn(np.flatnonzero(np.bincount(training.users[asked])), seed)] = True
    of_tested = tested[training.users]
    held_back = after & of_tested
    left = _without(numbered, held_back, tested)
    asked &= of_tested
    test = test_of(training.users[asked], training.items[asked], left.had(tested), repeat=repeat, seed=seed)
    return HeldBack(left, test, int(np.count_nonzero(held_back)))


def _occurring(rows: Rows, count: int) -> NDArray[np.bool_]:
    """(count,) whether each row occurs."""
    return np.bincount(rows, minlength=count) > 0


def _without(numbered: Numbered, dropped: NDArray[np.bool_], users: NDArray[np.bool_]) -> Numbered:
    """Without some events, all of which are of these users, in the same rows."""
    training, kept = numbered.training, ~dropped
    theirs = kept & users[training.users]
    row = np.cumsum(users) - 1
    left = matrix_of(
        row[training.users[theirs]],
        training.items[theirs],
        training.weights[theirs],
        (int(np.count_nonzero(users)), training.matrix.shape[1]),
    )
    events = {name: getattr(training, name)[kept] for name in ("users", "items", "times", "weights")}
    return replace(
        numbered,
        training=replace(training, matrix=_replaced(training.matrix, users, left), **events),
        marks=numbered.marks[kept],
    )


def _replaced(matrix: csr_matrix, rows: NDArray[np.bool_], by: csr_matrix) -> csr_matrix:
    """The matrix, some of its rows those of another one, in their order; the others are copied as they lie."""
    degrees = np.diff(matrix.indptr)
    old = np.repeat(rows, degrees)
    degrees[rows] = np.diff(by.indptr)
    new = np.repeat(rows, degrees)
    indices, data = np.empty(len(new), matrix.indices.dtype), np.empty(len(new), matrix.dtype)
    indices[~new], data[~new] = matrix.indices[~old], matrix.data[~old]
    indices[new], data[new] = by.indices, by.data
    starts = np.concatenate([[0], np.cumsum(degrees)]).astype(matrix.indptr.dtype)
    return csr_matrix((data, indices, starts), shape=matrix.shape)
