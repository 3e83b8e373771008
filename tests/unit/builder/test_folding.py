"""Many users folded in at once have the vectors that serving would work out for each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from builder.folding import fold_in
from trunkshow.models.ials import ImplicitALS

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("factors", [1, 8, 64])
def test_as_serving_solves_them(factors: int) -> None:
    """Users with much, little and nothing."""
    matrix = sparse.csr_matrix(sparse.random(40, 300, 0.05, "csr", np.float32, random_state=3))
    matrix.data[:] = RNG.integers(1, 5, matrix.nnz)
    matrix = sparse.vstack([matrix, sparse.csr_matrix((1, 300), dtype=np.float32)], "csr")
    vectors = (RNG.standard_normal((300, factors)) / factors**0.5).astype(np.float32)
    wide = vectors.astype(np.float64)
    model = ImplicitALS.open(
        {
            "vectors": vectors,
            "gram": 0.02 * (wide.T @ wide),
            "item_scale": RNG.random(300).astype(np.float32) + np.float32(0.5),
            "parameters": np.array([0.02, 0.005, 12.0]),
        }
    )
    folded = fold_in(model, matrix)
    assert np.abs(folded - model.user_vectors(matrix)).max() < 1e-4
    assert not folded[-1].any()
