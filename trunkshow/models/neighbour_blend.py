"""The factor model's candidates in a better order: blended with the neighbours of the user's own items.

A factor model knows what kind of things somebody likes; which of them go with what they have, neighbours know better.
So the score of a candidate i, for a user of h items j, is

    (1 - s) x·v_i + s z / sqrt(h) sum_j w_j S_ji        S = Rᵀ R,  R = D_users^-p A D_items^-q

with S a linear filter over the items' shared users, both sides damped by their degrees (GF-CF: Shen, Wu, Zhang, Shan,
Zhang, Letaief, Li: "How Powerful is Graph Convolution for Recommendation?", CIKM 2021, arXiv:2108.07567), the share s
that a person chooses, and z such that both summands are of one size at the top of a list. Of each item's row of S only
the largest are kept. A history with events that came since needs no fold-in: it is summed over as it is. An item that
came since has no neighbours and keeps the factor model's score, which is of the same size.

What is a candidate is the factor model's to say (`trunkshow.models.ials`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from trunkshow.models.protocol import Arrays, Floats, Query, Rows, Training

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NEIGHBOURS_MAX = 100
"""Per item, itself among them: what comes back where repeats are allowed is worth its own item's share."""

POOL = 128
"""Candidates to be put in order, and as many more as the user has items, which lead every list."""

POOL_MAX = 1024
"""Of both together: whoever has had a thousand items gets fewer new ones to choose from."""

SEEDS_MAX = 200
"""Newest items of a history that are summed over."""

USER_DAMPING = 0.5
ITEM_DAMPING = 0.35

SAMPLE_USERS = 500
SAMPLE_TOP = 20
"""Users, and the top of their lists, on which the neighbours' size is made that of the factors."""

_BLOCK = 512


class NeighbourBlend:
    """Neighbours of every item, and how much they count.

    Args:
        rows: (items, k) int32, padded with -1.
        scores: (items, k) float16, times everything that they are to be multiplied by; 0 where padded.
        share: s, above 0 and below 1.
    """

    def __init__(self, rows: Rows, scores: NDArray[np.float16], share: float) -> None:
        self._rows = rows
        self._scores = scores
        self._share = share
        self._places = threading.local()  # who is asked on two threads must not mix them up

    @classmethod
    def of(cls, arrays: Arrays) -> Self | None:
        """The blend that a factor model's arrays tell of; None where it was fitted without."""
        if "near_rows" not in arrays:
            return None
        return cls(arrays["near_rows"], arrays["near_scores"], float(arrays["near_share"][0]))

    def pool(self, query: Query, count: int) -> int:
        """How many candidates to put in order where `count` are wanted."""
        return max(count, min(POOL + len(query.history), POOL_MAX))

    def reordered(self, query: Query, rows: Rows, scores: Floats, count: int) -> tuple[Rows, Floats]:
        """The best `count` of some candidates (n,) with the factor model's scores (n,), best first."""
        near = self.near(*seeds(query), rows)
        blended = scores if near is None else (1 - self._share) * scores + near
        order = np.argsort(-blended, kind="stable")[:count]
        return rows[order], blended[order].astype(np.float32)

    def near(self, items: Rows, worth: Floats, rows: Rows) -> NDArray[np.float64] | None:
        """(n,) what the neighbours of (h,) items say of (n,) candidates; None without items."""
        if not len(items):
            return None
        places = self._empty_places()
        places[rows] = np.arange(1, len(rows) + 1)
        at = places.take(self._rows.take(items, 0)).ravel()  # most are 0, no candidate: leaving them out costs more
        places[rows] = 0
        weighed = (self._scores.take(items, 0) * worth[:, None]).ravel()
        near: NDArray[np.float64] = np.bincount(at, weighed, len(rows) + 1)[1:] / len(items) ** 0.5
        return near

    def scores(self, matrix: csr_matrix, products: Floats) -> Floats:
        """(u, items) blended scores of users with histories (u, items) and the factor model's scores (u, items).

        As a shard has them, but of all items and not only of the pool.
        """
        everything = np.arange(products.shape[1], dtype=np.int32)
        blended = np.empty_like(products)
        for user, (start, stop) in enumerate(zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)):
            items, weights = matrix.indices[start:stop], matrix.data[start:stop]
            near = self.near(items, worths(weights), everything)
            blended[user] = products[user] if near is None else (1 - self._share) * products[user] + near
        return blended

    def _empty_places(self) -> NDArray[np.intp]:
        """(items + 1,) zeros, of this thread; the last is where padding points."""
        places: NDArray[np.intp] | None = getattr(self._places, "zeros", None)
        if places is None:
            places = self._places.zeros = np.zeros(len(self._rows) + 1, np.intp)
        return places


def seeds(query: Query) -> tuple[Rows, Floats]:
    """The items to sum over, those in hand first, then the newest liked ones; and what each counts."""
    liked = query.weights > 0
    items, weights = query.history[liked], query.weights[liked]
    if query.context:
        items = np.concatenate([np.array(query.context, np.int32), items])
        weights = np.concatenate([np.ones(len(query.context), np.float32), weights])
    return items[:SEEDS_MAX], worths(weights[:SEEDS_MAX])


def worths(weights: Floats) -> Floats:
    """What items count that have these summed event weights: what was had often counts more, but not as often."""
    return np.log2(1 + weights)


def fit(training: Training, vectors: Floats, users: Callable[[csr_matrix], Floats]) -> dict[str, NDArray[Any]]:
    """What `NeighbourBlend.of` wants beside the factor model's own arrays; nothing where no share is asked for.

    Args:
        training: the history.
        vectors: (items, factors) float32 of the factor model.
        users: folds (u, items) histories into (u, factors) vectors.
    """
    share = training.settings.neighbour_share
    if not share or not training.matrix.nnz:
        return {}
    rows, scores = nearest(training.matrix)
    drawn = np.random.default_rng(training.settings.seed).permutation(np.flatnonzero(np.diff(training.matrix.indptr)))
    sample = training.matrix[np.sort(drawn[:SAMPLE_USERS])]
    products = users(sample) @ vectors.T
    scale = _scale(NeighbourBlend(rows, scores.astype(np.float32), share), sample, products)
    held = np.clip(scores * (scale * share), 0, np.finfo(np.float16).max).astype(np.float16)
    return {"near_rows": rows, "near_scores": held, "near_share": np.array([share])}


def nearest(matrix: csr_matrix) -> tuple[Rows, NDArray[np.float64]]:
    """Each item's largest of S, nearest first: (items, k) rows, padded with -1, and scores."""
    from scipy.sparse import csr_matrix, diags  # only a builder has it

    items = matrix.shape[1]
    had = csr_matrix((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    degrees = np.maximum(np.diff(matrix.indptr), 1).astype(np.float64)
    item_degrees = np.maximum(np.bincount(matrix.indices, minlength=items), 1).astype(np.float64)
    damped = (diags(degrees**-USER_DAMPING) @ had @ diags(item_degrees**-ITEM_DAMPING)).tocsr()
    by_item = damped.T.tocsr()
    width = min(NEIGHBOURS_MAX, items)
    rows, scores = np.full((items, width), -1, np.int32), np.zeros((items, width))
    for start in range(0, items, _BLOCK):
        similar = (by_item[start : start + _BLOCK] @ damped).tocsr()
        for item, (begin, end) in enumerate(zip(similar.indptr[:-1], similar.indptr[1:], strict=True), start):
            others, near = similar.indices[begin:end], similar.data[begin:end]
            least = np.partition(near, -width)[-width] if width < len(near) else 0.0
            chosen = np.flatnonzero(near >= least)  # ties with the last one are decided below
            others, near = others[chosen], near[chosen]
            order = np.lexsort((others, -near))[:width]
            rows[item, : len(order)], scores[item, : len(order)] = others[order], near[order]
    return rows, scores


def _scale(blend: NeighbourBlend, histories: csr_matrix, products: Floats) -> float:
    """By how much the factors' scores of users' best new items exceed what neighbours say of their own best ones."""
    far: list[float] = []
    near: list[float] = []
    everything = np.arange(products.shape[1], dtype=np.int32)
    for user, (start, stop) in enumerate(zip(histories.indptr[:-1], histories.indptr[1:], strict=True)):
        items, weights = histories.indices[start:stop], histories.data[start:stop]
        said = blend.near(items, worths(weights), everything)
        if said is None:
            continue
        for values, kept in ((products[user].copy(), far), (said, near)):
            values[items] = -np.inf
            top = np.sort(values)[-SAMPLE_TOP:]
            kept.append(float(top[np.isfinite(top)].mean()))
    return max(float(np.mean(far)), 0.0) / max(float(np.mean(near)), 1e-12) if far else 0.0
