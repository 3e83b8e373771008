"""A folded-in vector is the minimum that training would have found, by brute force and by irspack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from trunkshow.models.fold_in import Confidence, NormalEquations
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Settings, Training

Floats = NDArray[np.float32]
quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def equations(seed: int, items: int = 30, factors: int = 5) -> NormalEquations:
    """A model of random item factors."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((items, factors)).astype(np.float32)
    wide, unobserved = vectors.astype(np.float64), rng.uniform(0.01, 0.5)
    scale = rng.uniform(0.3, 3, items).astype(np.float32)
    confidence = Confidence(scale, mean_degree=rng.uniform(1, 10))
    return NormalEquations(vectors, unobserved * wide.T @ wide, confidence, unobserved, rng.uniform(0.001, 0.1))


def a_history(seed: int, items: int = 30, signed: bool = False) -> tuple[NDArray[np.int32], Floats]:
    """Distinct items with weights."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(items, rng.integers(1, items), replace=False).astype(np.int32)
    return rows, rng.uniform(-2 if signed else 0.1, 5, len(rows)).astype(np.float32)


def loss(model: NormalEquations, rows: NDArray[np.int32], confidence: Floats, taste: NDArray[np.float64]) -> float:
    """The loss as the module's docstring states it, cell by cell."""
    scores = model.vectors.astype(np.float64) @ taste
    observed = float((confidence * (scores[rows] - 1) ** 2).sum())
    everything = model.unobserved * float((scores**2).sum())
    strength = model.regularization * (model.unobserved * len(model.vectors) + len(rows))
    return observed + everything + strength * float(taste @ taste)


@quick
@given(seed=seeds)
def test_the_vector_minimises_the_stated_loss(seed: int) -> None:
    """A minimiser that knows nothing of normal equations ends in the same place."""
    model, (rows, weights) = equations(seed), a_history(seed)
    confidence = model.confidence(rows, weights)
    found = minimize(lambda taste: loss(model, rows, confidence, taste), np.zeros(5), options={"gtol": 1e-8})
    assert np.abs(model.solve(rows, weights) - found.x).max() < 1e-4


@quick
@given(seed=seeds)
def test_what_is_not_liked_is_left_out(seed: int) -> None:
    """An item with a weight of zero or less changes nothing, not even the length of the history."""
    model, (rows, weights) = equations(seed), a_history(seed, signed=True)
    liked = weights > 0
    assert np.array_equal(model.solve(rows, weights), model.solve(rows[liked], weights[liked]))


@quick
@given(seed=seeds)
def test_the_order_of_a_history_does_not_matter(seed: int) -> None:
    """Fold-in knows what a user had, not when."""
    model, (rows, weights) = equations(seed), a_history(seed)
    assert np.allclose(model.solve(rows, weights), model.solve(rows[::-1], weights[::-1]), atol=1e-6)


@pytest.mark.parametrize("weights", [[], [0.0], [-1.0, -2.0]])
def test_nothing_liked_gives_zeros(weights: list[float]) -> None:
    """A user of whom nothing good is known has no taste."""
    vector = equations(1).solve(np.arange(len(weights), dtype=np.int32), np.array(weights, np.float32))
    assert vector.tolist() == [0.0] * 5


def training(matrix: csr_matrix, factors: int = 8) -> Training:
    """What the factor model looks at; the rest is empty."""
    rows = matrix.tocoo()
    nothing = np.full(matrix.shape[1], -1, np.int32)
    return Training(
        matrix=matrix,
        users=rows.row.astype(np.int32),
        items=rows.col.astype(np.int32),
        times=np.arange(matrix.nnz),
        weights=matrix.data,
        segments=np.full(matrix.shape[0], -1, np.int32),
        segment_names=(),
        categories=nothing,
        category_names=(),
        created=nothing.astype(np.int64),
        available=np.ones(matrix.shape[1], np.bool_),
        occasions={},
        settings=Settings(factors=factors, epochs=4),
    )


@pytest.fixture(scope="module")
def matrix() -> csr_matrix:
    """Sixty users, forty items, weights of one to three; a few users have nothing."""
    rng = np.random.default_rng(11)
    dense = rng.integers(1, 4, (60, 40)) * (rng.random((60, 40)) < 0.15)
    dense[:3] = 0
    return csr_matrix(dense.astype(np.float32))


def damped(model: ImplicitALS, matrix: csr_matrix) -> csr_matrix:
    """Every weight as the confidence that the model takes it for."""
    confidences = matrix.copy()
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        if stop > start:
            own = slice(start, stop)
            confidences.data[own] = model.equations.confidence(matrix.indices[own], matrix.data[own])
    return confidences


def irspacks_own(model: ImplicitALS, confidences: csr_matrix) -> Floats:
    """The users' vectors as irspack solves them, exactly, for the model's item factors."""
    from irspack.recommenders.ials import IALSRecommender

    learner: Any = IALSRecommender(
        confidences,
        n_components=model.factors,
        alpha0=model.equations.unobserved,
        reg=model.equations.regularization,
        nu=1.0,
        loss_type="IALSPP",
        solver_type="CHOLESKY",
        n_threads=1,
    )
    learner.start_learning()
    learner.trainer.core_trainer.item = np.asarray(model.vectors)
    return np.asarray(learner.compute_user_embedding(confidences))


def test_folding_in_is_what_irspack_does(matrix: csr_matrix) -> None:
    """Our few lines of numpy and the library that trained the factors agree on every user."""
    model = ImplicitALS.open(ImplicitALS.fit(training(matrix)))
    theirs = irspacks_own(model, damped(model, matrix))
    assert np.abs(model.user_vectors(matrix) - theirs).max() < 1e-4


def test_confidences_are_one_in_the_mean(matrix: csr_matrix) -> None:
    """The scale of the confidences is such that the unobserved weight keeps its meaning for any data."""
    model = ImplicitALS.open(ImplicitALS.fit(training(matrix)))
    assert damped(model, matrix).data.mean() == pytest.approx(1, abs=1e-5)


def test_items_in_hand_count_as_one_more_event(matrix: csr_matrix) -> None:
    """A known item in hand weighs one more, a new one weighs one."""
    model = ImplicitALS.open(ImplicitALS.fit(training(matrix)))
    history, weights = np.array([4, 9], np.int32), np.array([2, 1], np.float32)
    moved = model.with_context(history, weights, np.array([9, 20], np.int32))
    assert np.allclose(moved, model.equations.solve(np.array([4, 9, 20]), np.array([2, 2, 1], np.float32)), atol=1e-6)


def test_a_stranger_is_known_by_the_items_in_hand(matrix: csr_matrix) -> None:
    """Without a history, the items in hand are the history."""
    model, nobody = ImplicitALS.open(ImplicitALS.fit(training(matrix))), np.empty(0, np.int32)
    in_hand = np.array([3, 7], np.int32)
    vector = model.with_context(nobody, np.empty(0, np.float32), in_hand)
    assert np.allclose(vector, model.equations.solve(in_hand, np.ones(2, np.float32)), atol=1e-6)
