"""Where an item would lie that nobody has had yet: its vector, from what is said of it and the items that it is like.

The vectors of the items that were had most are regressed on what is said of them: their category, each attribute, each
word of the title (ridge regression, weighted by how often an item was had: the vector of one that hardly anybody had is
mostly noise). So what tells items apart counts, and what many different ones share does not. A guess of that kind is
shorter than what it guesses; it is stretched a part of the way, as much as makes a new item be shown as often as one
that is known. docs/adr/0025-new-items.md has what both were measured to bring, beside nearest neighbours.

The work at the beginning is bounded, whatever the size of the catalogue: `SAMPLE_MAX` items, `FEATURES_MAX` features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from trunkshow import pacing
from trunkshow.largest import largest
from trunkshow.models.fold_in import ITEM_DAMPING
from trunkshow.taste import unit

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]
Features = NDArray[np.int64]

SAMPLE_MAX = 20_000
FEATURES_MAX = 1000
FEATURE_ITEMS_MIN = 3
"""What is said of fewer items says nothing of others."""

PER_ITEM_MAX = 24
"""Features of one item, the most frequent first."""

RIDGE = 5.0
"""Strength, in items of mean weight."""

STRETCH = 0.6
"""Of the way, in logarithms, from the length of a guess to that of known vectors."""

_BLOCK = 1024
_WORD = re.compile(r"[^\W\d_]{3,}")
_TITLE_WORDS_MAX = 24


@dataclass(frozen=True)
class Description:
    """What is said of an item.

    Attributes:
        title: empty where there is none.
        category: empty where there is none.
        attributes: by name.
    """

    title: str = ""
    category: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def features(self) -> Iterator[str]:
        """Each thing that is said, as a word of its own."""
        if self.category:
            yield f"category\0{self.category}"
        for name, value in self.attributes.items():
            yield f"{name}\0\0{value}"
        yield from dict.fromkeys(_WORD.findall(self.title.lower())[:_TITLE_WORDS_MAX])


class Likeness:
    """What the vectors of items follow from.

    Args:
        rows: (n,) int32 of known items.
        described: of these.
        vectors: (n, factors) float32 of these.
        weights: (n,) how often each was had, in any unit.
        scales: (n,) as `Confidence.item_scale` has them.
        stretch: part of the way from the length of a guess to that of known vectors.
    """

    def __init__(
        self,
        rows: Rows,
        described: Sequence[Description],
        vectors: Floats,
        weights: NDArray[np.float64],
        scales: Floats,
        stretch: float = STRETCH,
    ) -> None:
        self._rows, self._units = rows, unit(vectors)
        said = [list(one.features()) for one in pacing.resting(described)]
        counts = Counter(feature for one in said for feature in one)
        frequent = sorted((-count, feature) for feature, count in counts.items() if count >= FEATURE_ITEMS_MIN)
        self._numbers = {feature: number for number, (_, feature) in enumerate(frequent[:FEATURES_MAX])}
        mean = float(weights.mean()) if len(weights) else 1.0
        self._mean, self._parts = _regressed(
            np.array([self._of(one) for one in pacing.resting(said)], np.int64).reshape(len(said), PER_ITEM_MAX),
            vectors,
            weights / (mean or 1.0),
            len(self._numbers),
            stretch,
        )
        self.scale = float(np.average(scales, weights=weights)) if weights.any() else 1.0

    def vector(self, description: Description) -> Floats:
        """The (factors,) vector of an item of which this is said; zeros where nothing of it was ever said before."""
        numbers = self._of(list(description.features()))
        if numbers[0] == len(self._numbers):
            return np.zeros_like(self._mean)
        found: Floats = self._mean + self._parts[numbers].sum(axis=0)
        return found

    def nearest(self, vector: Floats, count: int) -> tuple[Rows, Floats]:
        """Rows of known items by cosine with a (factors,) vector, nearest first, as far as that is positive."""
        near = self._units @ unit(vector[None])[0]
        order = largest(near, count)
        order = order[near[order] > 0]
        return self._rows[order], near[order]

    def _of(self, features: Sequence[str]) -> list[int]:
        """Numbers of those that are known, least first, filled up with one that stands for nothing."""
        nothing = len(self._numbers)
        known = sorted(self._numbers[feature] for feature in set(features) if feature in self._numbers)[:PER_ITEM_MAX]
        return known + [nothing] * (PER_ITEM_MAX - len(known))


def weights_of(scales: Floats) -> NDArray[np.float64]:
    """How often items were had, up to a factor, from their scales (`fold_in.Confidence`)."""
    found: NDArray[np.float64] = scales.astype(np.float64) ** (-1 / ITEM_DAMPING)
    return found


def _regressed(
    said: Features, vectors: Floats, weights: NDArray[np.float64], features: int, stretch: float
) -> tuple[Floats, Floats]:
    """The mean (factors,), and what each feature adds to it (features + 1, factors); the last one adds nothing."""
    factors, width = vectors.shape[1], features + 1
    parts: NDArray[np.float64] = np.zeros((width, factors))
    if not len(said) or not weights.any():
        return np.zeros(factors, np.float32), parts.astype(np.float32)
    mean = np.average(vectors.astype(np.float64), axis=0, weights=weights)
    left, right = np.zeros(width * width), np.zeros((width, factors))
    for start in range(0, len(said), _BLOCK):
        block, worth = said[start : start + _BLOCK], weights[start : start + _BLOCK]
        pairs = block[:, :, None] * width + block[:, None, :]
        left += np.bincount(pairs.ravel(), np.repeat(worth, PER_ITEM_MAX**2), minlength=width * width)
        present = np.zeros((len(block), width))
        np.put_along_axis(present, block, 1.0, axis=1)
        right += present.T @ ((vectors[start : start + _BLOCK] - mean) * worth[:, None])
        pacing.rest()
    square = left.reshape(width, width)[:features, :features]
    square.flat[:: features + 1] += RIDGE
    parts[:features] = np.linalg.solve(square, right[:features])
    longer = _longer(said, vectors, weights, mean, parts) ** stretch
    return (mean * longer).astype(np.float32), (parts * longer).astype(np.float32)


def _longer(
    said: Features,
    vectors: Floats,
    weights: NDArray[np.float64],
    mean: NDArray[np.float64],
    parts: NDArray[np.float64],
) -> float:
    """How many times longer known vectors are than what is guessed for them, at least once."""
    known, guessed = 0.0, 0.0
    for start in range(0, len(said), _BLOCK):
        block, worth = said[start : start + _BLOCK], weights[start : start + _BLOCK]
        known += float(worth @ np.linalg.norm(vectors[start : start + _BLOCK], axis=1))
        guessed += float(worth @ np.linalg.norm(mean + parts[block].sum(axis=1), axis=1))
    return max(known / guessed, 1.0) if guessed > 0 else 1.0
