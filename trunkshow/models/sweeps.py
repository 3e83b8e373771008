"""Sweeps of ALS, divided: each user is solved from the items' factors alone, and each item from the users'.

So the rows of one side can be solved in blocks, anywhere and in any order. Who divides them and who solves the blocks
is the builder's business; what is solved is what irspack solves in a sweep of its own, up to the last bits
(`tests/unit/builder/test_sweeps.py`). A sweep within one process is `trunkshow.models.ials`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.fold_in import REGULARIZATION_EXPONENT

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

INITIAL_SPREAD = 0.1
"""Length, about, of the vectors that training begins with."""


class Terms(NamedTuple):
    """What solving a row takes beside its confidences and the other side's factors.

    Attributes:
        factors: dimensions.
        unobserved: weight of one unobserved cell.
        regularization: strength r of `trunkshow.models.fold_in`.
    """

    factors: int
    unobserved: float
    regularization: float


class HalfSweeps(Protocol):
    """Solves all rows of either side of a matrix of confidences."""

    def users(self, items: Floats) -> Floats:
        """(users, factors) float32 from (items, factors)."""
        ...

    def items(self, users: Floats) -> Floats:
        """(items, factors) float32 from (users, factors)."""
        ...


Divided = Callable[["csr_matrix", Terms], AbstractContextManager[HalfSweeps]]
"""Makes the half sweeps of (users, items) confidences, for as long as the block lasts."""


def train(
    divided: Divided,
    confidences: csr_matrix,
    terms: Terms,
    *,
    begin: Floats,
    sweeps: int,
    progress: Callable[[int, int], None],
) -> Floats:
    """(items, factors) float32 after so many sweeps.

    Args:
        divided: makes who solves.
        confidences: (users, items).
        terms: of all rows.
        begin: (items, factors) float32.
        sweeps: how many.
        progress: told (done, of how many).
    """
    items = begin
    with divided(confidences, terms) as halves:
        for done in range(sweeps):
            items = halves.items(halves.users(items))
            progress(done + 1, sweeps)
    return items


def drawn(items: int, factors: int, seed: int) -> Floats:
    """(items, factors) float32 to begin with."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((items, factors), np.float32) * np.float32(INITIAL_SPREAD / factors**0.5)).astype(
        np.float32
    )


def solve_rows(confidences: csr_matrix, other: Floats, terms: Terms) -> Floats:
    """(n, factors) float32: each row solved exactly, on one thread.

    Args:
        confidences: (n, m) of these rows.
        other: (m, factors) float32, the other side's.
        terms: of all rows.
    """
    from irspack.recommenders import _ials_core as core  # only a builder has it
    from scipy.sparse import csr_matrix

    config = (
        core.IALSModelConfigBuilder()
        .set_K(terms.factors)
        .set_alpha0(terms.unobserved)
        .set_reg(terms.regularization)
        .set_nu(REGULARIZATION_EXPONENT)
        .set_loss_type(core.LossType.IALSPP)
        .build()
    )
    solver = core.IALSSolverConfigBuilder().set_n_threads(1).set_solver_type(core.SolverType.CHOLESKY).build()
    # A trainer of nothing draws no factors; what it is given as its items' it takes as they are.
    trainer = core.IALSTrainer(config, csr_matrix((1, 1), dtype=np.float32))
    trainer.item = np.ascontiguousarray(other, np.float32)
    solved: Floats = trainer.transform_user(confidences, solver)
    return solved
