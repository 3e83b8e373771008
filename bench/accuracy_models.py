"""The models whose accuracy is compared: each is fitted to a history, and gives scores of all items to users.

Peers' parameters are their authors' or the best of a few tried on Gowalla, as told beside each; ours are the product's
defaults, but for what a name says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from builder.evaluate import Scores
from builder.folding import fold_in
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Settings, Training

THREADS = 1
FACTORS = 64
SHARE = 0.3
"""Of neighbours in a blend: chosen on a part of Gowalla's training pairs (docs/adr/0032)."""

NEIGHBOURS, SHRINKAGE = 100, 10.0
EASE_REGULARIZATION = 500.0
EASE_ITEMS_MAX = 10_000
"""A dense matrix of so many items squared is inverted; of a larger catalogue only the most popular are ranked."""

Fit = Callable[[Training], Scores]


def popularity(training: Training) -> Scores:
    """How many users an item has, the same for everyone."""
    counts = np.bincount(training.matrix.indices, minlength=training.matrix.shape[1]).astype(np.float32)
    return lambda users: np.broadcast_to(counts, (len(users), len(counts)))


def item_knn(training: Training) -> Scores:
    """Item-based k-nearest neighbours of irspack by shrunk cosine, as our own carousel of neighbours is fitted."""
    from irspack.recommenders.knn import CosineKNNRecommender

    had = _binary(training.matrix)
    similar = csr_matrix(
        CosineKNNRecommender(had, shrinkage=SHRINKAGE, normalize=True, top_k=NEIGHBOURS + 1, n_threads=THREADS)
        .learn()
        .W
    )
    return lambda users: (had[users] @ similar).toarray()


def implicit_als(alpha: float) -> Fit:
    """The library `implicit`, an observed cell weighing `alpha` times an unobserved one."""

    def fitted(training: Training) -> Scores:
        from implicit.als import AlternatingLeastSquares

        learner = AlternatingLeastSquares(factors=FACTORS, alpha=alpha, random_state=0, num_threads=THREADS)
        learner.fit(training.matrix, show_progress=False)
        return _products(learner.user_factors, learner.item_factors)

    return fitted


def irspack_ials(training: Training) -> Scores:
    """Of irspack: iALS++ with plain confidences of mean one, unobserved cells weighted as ours."""
    from irspack.recommenders.ials import IALSRecommender

    settings = Settings()
    matrix = training.matrix / float(training.matrix.data.mean())
    unobserved = settings.unobserved_ratio * float(matrix.data.sum()) / (matrix.shape[0] * matrix.shape[1])
    learner = IALSRecommender(
        matrix,
        n_components=FACTORS,
        alpha0=unobserved,
        reg=settings.regularization,
        solver_type="IALSPP",
        random_seed=0,
        n_threads=THREADS,
        train_epochs=settings.epochs,
    ).learn()
    return _products(learner.get_user_embedding(), learner.get_item_embedding())


def ease(training: Training) -> Scores:
    """EASE (Steck: "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, arXiv:1905.03375), closed form."""
    had = _binary(training.matrix)
    counts = np.bincount(had.indices, minlength=had.shape[1])
    kept = np.sort(np.argsort(-counts, kind="stable")[:EASE_ITEMS_MAX])
    mine = had[:, kept].astype(np.float32)
    gram = (mine.T @ mine).toarray()
    gram.flat[:: len(gram) + 1] += EASE_REGULARIZATION
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)

    def scores(users: Any) -> Floats:
        found = np.full((len(users), had.shape[1]), -1e9, np.float32)
        found[:, kept] = mine[users] @ weights
        return found

    return scores


def ours(**chosen: Any) -> Fit:
    """The factor model as a build evaluates it; with a share, the blend."""

    def fitted(training: Training) -> Scores:
        settings = replace(Settings(factors=FACTORS, threads=THREADS), **chosen)
        model = ImplicitALS.open(ImplicitALS.fit(replace(training, settings=settings)))
        folded: list[Floats] = []

        def scores(users: Any) -> Floats:
            if not folded:  # asking, not fitting
                folded.append(fold_in(model, training.matrix))
            return model.scores(folded[0][users], training.matrix[users])

        return scores

    return fitted


MODELS: Mapping[str, Fit] = {
    "popularity": popularity,
    "item-knn": item_knn,
    "implicit-64": implicit_als(alpha=1.0),  # as it comes
    "implicit-64-weighted": implicit_als(alpha=50.0),  # the best of 1, 10, 20 and 50 on Gowalla
    "irspack-64": irspack_ials,
    "ease": ease,
    "ials-64": ours(),
    "ials-256": ours(factors=256),
    "blend-64": ours(neighbour_share=SHARE),
    "blend-256": ours(factors=256, neighbour_share=SHARE),
}


def _products(users: Floats, items: Floats) -> Scores:
    transposed = np.ascontiguousarray(items.T)
    return lambda rows: users[rows] @ transposed


def _binary(matrix: csr_matrix) -> csr_matrix:
    had = matrix.copy()
    had.data = np.ones_like(had.data)
    return had
