"""Implicit-feedback ALS: taste vectors of users and items whose inner product is the score.

Training is irspack's IALS++ (docs/adr/0003-als-library.md says how it was chosen); it is imported only while
fitting, so that a shard needs numpy alone. Formulas and their source: `trunkshow.models.fold_in`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from trunkshow.largest import largest
from trunkshow.models import neighbour_blend, sweeps
from trunkshow.models.fold_in import (
    ITEM_DAMPING,
    REGULARIZATION_EXPONENT,
    USER_DAMPING,
    Confidence,
    NormalEquations,
)
from trunkshow.models.neighbour_blend import NeighbourBlend
from trunkshow.models.protocol import NOTHING, Arrays, Candidates, Floats, NewItems, Query, Rows, Shelf, Training

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

EXACT_FROM = 150
"""Candidates asked for from which on a filter is applied before the search, not after it."""

WARM_EPOCHS = 5
"""Sweeps from factors that were fitted to nearly the same history; measured in docs/adr/0031-warm-start.md."""

EXACT_FACTORS_MAX = 64
"""Up to so many factors a sweep solves each user and item exactly; above, by blocks of them, from where they were."""

TRAINING = "train ials"
"""What progress is told of, once per sweep."""

CONTEXT_WEIGHT = 1.0
"""What an item in hand counts as, in event weights, when it is folded in."""


class ImplicitALS:
    """The factor model over its fitted arrays.

    Args:
        arrays: `vectors` (items, factors) float32; `gram` (factors, factors) float64, already weighted; `item_scale`
            (items,) float32; `parameters` (3,) float64: unobserved weight, regularisation, mean degree of users. Where
            it was fitted with a share of item neighbours, also what `NeighbourBlend` takes.

    Attributes:
        vectors: (items, factors) float32.
        equations: that fold users in.
        blend: puts candidates in order with the neighbours of the user's own items; None leaves them as they are.
    """

    name: ClassVar[str] = "ials"
    carousel: ClassVar[str] = "for-you"
    title: ClassVar[str] = "For you"

    def __init__(self, arrays: Arrays) -> None:
        unobserved, regularization, mean_degree = arrays["parameters"].tolist()
        self.vectors: Floats = arrays["vectors"]
        self.equations = NormalEquations(
            self.vectors,
            np.array(arrays["gram"]),
            Confidence(arrays["item_scale"], mean_degree),
            unobserved,
            regularization,
        )
        self.blend = NeighbourBlend.of(arrays)

    @property
    def factors(self) -> int:
        """Dimensions of a taste vector."""
        return int(self.vectors.shape[1])

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Alternate between users and items, `Settings.epochs` times; less often from a warm start."""
        settings = training.settings
        damped, item_scale, mean_degree = _damp(training.matrix)
        cells = damped.shape[0] * damped.shape[1]
        unobserved = settings.unobserved_ratio * float(damped.data.sum()) / max(cells, 1)
        vectors = _train(damped, unobserved, training)
        wide = vectors.astype(np.float64)
        fitted = {
            "vectors": vectors,
            "gram": unobserved * (wide.T @ wide),
            "item_scale": item_scale,
            "parameters": np.array([unobserved, settings.regularization, mean_degree]),
        }
        return {**fitted, **neighbour_blend.fit(training, vectors, cls(fitted).user_vectors)}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The model, its item factors read from where they lie."""
        return cls(arrays)

    def user_vectors(self, matrix: csr_matrix) -> Floats:
        """(users, factors) float32 vectors of the histories in a (users, items) matrix of summed weights."""
        solved = np.zeros((matrix.shape[0], self.factors), np.float32)
        for user, (start, stop) in enumerate(zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)):
            solved[user] = self.equations.solve(matrix.indices[start:stop], matrix.data[start:stop])
        return solved

    def scores(self, folded: Floats, matrix: csr_matrix) -> Floats:
        """(users, items) float32 of all items, as `recommend` has them.

        Args:
            folded: (users, factors) float32 vectors.
            matrix: (users, items) histories that they were folded in from, of summed weights.
        """
        products: Floats = folded @ self.vectors.T
        return products if self.blend is None else self.blend.scores(matrix, products)

    def with_context(self, history: Rows, weights: Floats, context: Rows) -> Floats:
        """(factors,) vector of a history and the items in hand, each of which counts as one more event."""
        return self.equations.solve(*joined(history, weights, context))

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """The partition's items nearest to the user's vector; where there is a blend, the best of a pool of them."""
        if not query.vector.any():
            return NOTHING
        asked = count if self.blend is None else self.blend.pool(query, count)
        # Most filters let most items pass: the index is asked first, and the exact scan of what is allowed only when
        # the caller comes back for more.
        if query.mask is None or count < EXACT_FROM:
            rows, scores = shelf.nearest_items(query.vector, asked)
        else:
            rows, scores = shelf.best_items_where(query.vector, query.mask, asked)
        if self.blend is not None:
            rows, scores = self.blend.reordered(query, rows, scores, count)
        return Candidates(rows.tolist(), scores.tolist(), reasons=("Matches your taste",))

    def recommend_new(self, query: Query, items: NewItems, count: int) -> Candidates:
        """New items nearest to the user's vector; those of which nothing is known are near to nobody's."""
        if not query.vector.any():
            return NOTHING
        scores = items.vectors @ query.vector
        order = largest(scores, count)
        order = order[scores[order] > 0]
        return Candidates(items.rows[order].tolist(), scores[order].tolist(), reasons=("New, and near to your taste",))


def joined(history: Rows, weights: Floats, context: Rows) -> tuple[Rows, Floats]:
    """A history with the items in hand, each of which counts as one more event: rows, each once, and their weights."""
    rows, where = np.unique(np.concatenate([history, context]).astype(np.int32), return_inverse=True)
    worth = np.concatenate([weights, np.full(len(context), CONTEXT_WEIGHT, np.float32)])
    return rows, np.bincount(where, worth).astype(np.float32)


def _damp(matrix: csr_matrix) -> tuple[csr_matrix, Floats, float]:
    """Confidences as `Confidence` defines them, for all users at once; the item scale, and the mean degree."""
    degrees = np.diff(matrix.indptr)
    mean_degree = float(max(degrees[degrees > 0].mean(), 1)) if matrix.nnz else 1.0
    item_degrees = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
    item_scale = (item_degrees / item_degrees.mean()) ** -ITEM_DAMPING
    by_user = (np.maximum(degrees, 1) / mean_degree) ** -USER_DAMPING
    damped = matrix.astype(np.float64)
    damped.data *= item_scale[matrix.indices] * np.repeat(by_user, degrees)
    scale = 1 / damped.data.mean() if matrix.nnz else 1.0
    damped.data *= scale
    return damped.astype(np.float32), (item_scale * scale).astype(np.float32), mean_degree


def _train(confidences: csr_matrix, unobserved: float, training: Training) -> Floats:
    """(items, factors) float32 item factors."""
    settings = training.settings
    epochs = settings.epochs if training.start is None else min(settings.epochs, WARM_EPOCHS)

    def told(done: int, of: int) -> None:
        training.progress(TRAINING, done, of)

    if training.divided is None:
        return _train_here(confidences, unobserved, training, epochs, told)
    begin = sweeps.drawn(confidences.shape[1], settings.factors, settings.seed)
    terms = sweeps.Terms(settings.factors, unobserved, settings.regularization)
    return sweeps.train(
        training.divided, confidences, terms, begin=_started(begin, training.start), sweeps=epochs, progress=told
    )


def _train_here(
    confidences: csr_matrix, unobserved: float, training: Training, epochs: int, told: Callable[[int, int], None]
) -> Floats:
    """(items, factors) float32 after so many of irspack's own sweeps."""
    from irspack.recommenders.ials import IALSRecommender  # only a builder has it

    settings = training.settings
    learner = IALSRecommender(
        confidences,
        n_components=settings.factors,
        alpha0=unobserved,
        reg=settings.regularization,
        nu=REGULARIZATION_EXPONENT,
        loss_type="IALSPP",
        solver_type="IALSPP",
        random_seed=settings.seed,
        n_threads=settings.threads,
        train_epochs=epochs,
    )
    learner.start_learning()
    if training.start is not None:
        trainer = learner.trainer_as_ials.core_trainer
        trainer.item = _started(np.array(trainer.item, np.float32, order="C"), training.start)
        if settings.factors > EXACT_FACTORS_MAX:
            trainer.user = learner.compute_user_embedding(confidences)
    for epoch in range(epochs):
        learner.run_epoch()
        told(epoch + 1, epochs)
    return np.array(learner.get_item_embedding(), np.float32, order="C")


def _started(drawn: Floats, start: Floats | None) -> Floats:
    """(items, factors) to begin with: what there is to start from, and where that is zero, what was drawn."""
    return drawn if start is None else np.where(start.any(axis=1, keepdims=True), start, drawn)
