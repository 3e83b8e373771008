"""A user's taste vector from their history, with the item factors fixed: the same equations as in training.

The loss of implicit-feedback ALS with frequency-scaled regularisation is quadratic in one user's vector x:

    sum_i c_i (x·v_i - 1)² + a |Vx|² + r (a m + n)^nu |x|²

over the n items of the history, with confidences c_i, m items in all, unobserved weight a and strength r
(Rendle, Krichene, Zhang, Koren: "Revisiting the Performance of iALS on Item Recommendation Benchmarks", 2021,
arXiv:2110.14037, eq. 5 and 8). Its minimum solves (a VᵀV + sum c_i v_i v_iᵀ + r (a m + n)^nu I) x = sum c_i v_i.

A confidence is the summed weight of the user's events with the item, damped by how much the user and the item are
seen in all: c = s w (n / mean n)^-p (d_i / mean d)^-q, with d_i users of the item, and s such that the mean is one.
Heavy users and hits say less per event; docs/adr/0003-als-library.md has what that was measured to bring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

USER_DAMPING = 0.3
ITEM_DAMPING = 0.35
REGULARIZATION_EXPONENT = 1.0


@dataclass(frozen=True)
class Confidence:
    """How event weights become confidences.

    Attributes:
        item_scale: (items,) float32, s (d_i / mean d)^-q.
        mean_degree: mean number of items per user.
    """

    item_scale: Floats
    mean_degree: float

    def __call__(self, items: NDArray[np.int32], weights: Floats) -> Floats:
        """(h,) float32 confidences of a whole history: item rows (h,), each once, with positive weights (h,)."""
        return self.of(self.item_scale[items], weights)

    def of(self, scales: Floats, weights: Floats) -> Floats:
        """The same for a whole history of items whose scales (h,) are at hand."""
        damping = (len(weights) / self.mean_degree) ** -USER_DAMPING
        scaled: Floats = weights * scales * np.float32(damping)
        return scaled


class Solver(Protocol):
    """Who solves for a user."""

    def solve(self, items: NDArray[np.int32], weights: Floats) -> Floats:
        """The (factors,) vector of item rows (h,), each once, and their summed weights (h,)."""
        ...


@dataclass(frozen=True)
class NormalEquations:
    """What solving for a user takes besides the user's history.

    Attributes:
        vectors: (items, factors) float32 item factors.
        gram: (factors, factors) float64, a VᵀV.
        confidence: of event weights.
        unobserved: a, the weight of one unobserved cell.
        regularization: r.
    """

    vectors: Floats
    gram: NDArray[np.float64]
    confidence: Confidence
    unobserved: float
    regularization: float

    def solve(self, items: NDArray[np.int32], weights: Floats) -> Floats:
        """The (factors,) float32 vector of one history; zeros where no weight is positive.

        Args:
            items: (h,) item rows, each once.
            weights: (h,) summed event weights; what is not positive says nothing of taste and is left out.
        """
        liked = weights > 0
        if not liked.any():
            return np.zeros(self.vectors.shape[1], np.float32)
        rows = items[liked]
        return self.solve_for(self.vectors[rows], self.confidence.item_scale[rows], weights[liked])

    def solve_for(self, vectors: Floats, scales: Floats, weights: Floats) -> Floats:
        """The (factors,) float32 vector of a history of items at hand.

        Args:
            vectors: (h, factors) of its items.
            scales: (h,) of the items, as `Confidence.item_scale` has them.
            weights: (h,) positive summed event weights.
        """
        confidence = self.confidence.of(scales, weights)
        chosen = vectors.astype(np.float64)
        weighted = chosen * confidence[:, None]
        left = self.gram + weighted.T @ chosen
        strength = (self.unobserved * len(self.vectors) + len(weights)) ** REGULARIZATION_EXPONENT
        left.flat[:: len(left) + 1] += self.regularization * strength
        return np.linalg.solve(left, weighted.sum(axis=0)).astype(np.float32)
