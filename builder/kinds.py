"""Which kinds of items there are, and how much each of them is in what users do. See `trunkshow.snapshot.kinds`.

Where a data set has no categories, items whose vectors point the same way are of one kind: spherical k-means (Dhillon
and Modha: "Concept decompositions for large sparse text data using clustering", Machine Learning 42, 2001).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from trunkshow.models.protocol import Floats, Rows, Training
from trunkshow.snapshot.kinds import shares

KINDS_MAX = 200
ITEMS_PER_KIND = 20
"""On average, at least: with fewer, a kind is hardly more than an item."""

SWEEPS = 15
BLOCK = 16_384


def kinds(training: Training, vectors: Floats) -> tuple[Floats, Rows | None]:
    """(kinds,) shares in what users do; (items,) codes where the data set has no categories, else None.

    Args:
        training: what users did.
        vectors: (items, factors) float32 of the factor model.
    """
    named = len(training.category_names)
    codes = training.categories if named else clusters(vectors, training.settings.seed)
    worth = np.bincount(training.items, np.maximum(training.weights, 0), len(codes))
    known = codes >= 0
    count = named or int(codes.max(initial=-1)) + 1
    mix = shares(np.bincount(codes[known], worth[known], count).astype(np.float64))
    return mix, None if named else codes


def clusters(vectors: Floats, seed: int, count: int = 0) -> Rows:
    """(items,) int32 cluster of each item by the direction of its vector; as many as there may be where 0 are asked."""
    count = max(1, count or min(KINDS_MAX, len(vectors) // ITEMS_PER_KIND))
    if len(vectors) <= count:
        return np.zeros(len(vectors), np.int32)
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    centres = directions[np.random.default_rng(seed).choice(len(directions), count, replace=False)]
    nearest = _nearest(directions, centres)
    for _ in range(SWEEPS):
        members = csr_matrix(
            (np.ones(len(nearest), np.float32), (nearest, np.arange(len(nearest)))), (count, len(nearest))
        )
        sums = members @ directions
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        nearest = _nearest(directions, centres)
    return nearest


def _nearest(directions: Floats, centres: Floats) -> Rows:
    """(items,) centre of each direction; a block at a time, since a large catalogue times all centres is large."""
    starts = range(0, len(directions), BLOCK)
    return np.concatenate([(directions[at : at + BLOCK] @ centres.T).argmax(axis=1) for at in starts]).astype(np.int32)
