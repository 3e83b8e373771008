"""Many users' taste vectors at once, by the training library's solver.

The equations are those that `trunkshow.models.fold_in` solves for one user at a time. The library solves them in single
precision and without a step of Python per user (`tests/unit/builder/test_folding.py` compares the two).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from trunkshow.models.fold_in import USER_DAMPING
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats
from trunkshow.models.sweeps import Terms, solve_rows


def fold_in(model: ImplicitALS, matrix: csr_matrix) -> Floats:
    """(users, factors) float32 vectors of the histories in a (users, items) matrix of summed weights; one thread."""
    equations = model.equations
    terms = Terms(model.factors, equations.unobserved, equations.regularization)
    return solve_rows(_confidences(model, matrix), model.vectors, terms)


def _confidences(model: ImplicitALS, matrix: csr_matrix) -> csr_matrix:
    """As `fold_in.Confidence` has them, for all rows."""
    confidence, degrees = model.equations.confidence, np.diff(matrix.indptr)
    damping = (np.maximum(degrees, 1) / confidence.mean_degree) ** -USER_DAMPING
    data = matrix.data * confidence.item_scale[matrix.indices] * np.repeat(damping, degrees).astype(np.float32)
    return csr_matrix((data.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
