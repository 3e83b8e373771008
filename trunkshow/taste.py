"""The hash that puts users of like taste into one partition, and the order in which partitions are probed.

Both kinds are a codebook: a matrix of one direction per partition. A vector belongs where its product with a
direction is largest, and is probed for in falling order of that product.

- **sign** (data-independent; Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002;
  orthogonal hyperplanes after Ji et al., "Super-Bit Locality-Sensitive Hashing", NIPS 2012). With hyperplanes H and
  a bucket's signs s in {-1, +1}^bits, s·Hx falls by twice the margin |h_i·x| for every bit in which x's own code
  differs: the direction s·H ranks buckets by the margins that a query would have to cross (query-directed probing:
  Lv et al., "Multi-Probe LSH", VLDB 2007).
- **spherical** (data-dependent; spherical k-means: Dhillon and Modha, Machine Learning 42, 2001), its clusters held
  to the size bound in every round.

How users are then assigned within a size bound is the same for both: `assign`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]
Kind = Literal["sign", "spherical"]

ROUNDS_MAX = 20
SAMPLE_PER_PARTITION = 2000
"""Users per partition that k-means learns from; more do not move the directions."""

_PRODUCTS = 1 << 22
"""Of users and directions, computed at once: 16 MiB."""


def unit(vectors: Floats) -> Floats:
    """The vectors (n, factors) at length one; zeros stay zeros."""
    lengths = np.sqrt(np.add.reduce(vectors * vectors, axis=1, keepdims=True))  # as linalg.norm has it, at a third
    scaled: Floats = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Codebook:
    """A taste hash.

    Attributes:
        kind: which of the two.
        directions: (partitions, factors) float32.
    """

    kind: Kind
    directions: Floats

    def probe(self, vector: Floats, count: int) -> list[int]:
        """The `count` partitions nearest to a (factors,) vector, nearest first."""
        order: list[int] = np.argsort(-(self.directions @ vector), kind="stable")[:count].tolist()
        return order

    def assign(self, vectors: Floats, size_max: int) -> Rows:
        """(n,) partition of each user (n, factors), no partition larger than `size_max`.

        Deferred acceptance (Gale and Shapley, 1962): everyone applies to the nearest partition that has not turned
        them away; a partition keeps the nearest `size_max` applicants. Nobody ends up in a partition while a nearer
        one holds somebody farther from it than they are.

        Raises:
            ValueError: there is not room for everyone.
        """
        partitions = len(self.directions)
        if size_max * partitions < len(vectors):
            message = f"{len(vectors)} users do not fit {partitions} partitions of {size_max}"
            raise ValueError(message)
        # One bit per user and partition, not one product: these are made again for the few who are turned away.
        refused = np.zeros((len(vectors), -(-partitions // 8)), np.uint8)
        home, near = self._nearest(vectors, refused)
        while len(away := _turned_away(home, near, size_max, partitions)):
            refused[away, home[away] >> 3] |= np.uint8(1) << (home[away] & 7).astype(np.uint8)
            home[away], near[away] = self._nearest(vectors[away], refused[away])
        return home

    def _nearest(self, vectors: Floats, refused: NDArray[np.uint8]) -> tuple[Rows, Floats]:
        """Of users (n, factors) the nearest partitions that did not refuse them, (n, partitions) bits; how near."""
        home, near = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
        step = max(1, _PRODUCTS // len(self.directions))
        for at in range(0, len(vectors), step):
            block = slice(at, at + step)
            products = unit(vectors[block]) @ self.directions.T
            if refused[block].any():
                bits = np.unpackbits(refused[block], axis=1, count=products.shape[1], bitorder="little")
                products[bits.view(np.bool_)] = -np.inf
            home[block] = products.argmax(axis=1)
            near[block] = np.take_along_axis(products, home[block, None], axis=1)[:, 0]
        return home, near


def _turned_away(home: Rows, near: Floats, size_max: int, partitions: int) -> NDArray[np.int64]:
    """Users whom partitions turn away, where more apply than there is room for: the farthest; of equals, later ones."""
    counts = np.bincount(home, minlength=partitions)
    by_home, ends = np.argsort(home.astype(np.uint16), kind="stable"), np.cumsum(counts)
    away = [by_home[:0]]
    for partition in np.flatnonzero(counts > size_max):
        applicants = by_home[ends[partition] - counts[partition] : ends[partition]]
        nearness = near[applicants]
        last = np.partition(nearness, len(applicants) - size_max)[len(applicants) - size_max]
        room = size_max - np.count_nonzero(nearness > last)
        away += [applicants[nearness < last], applicants[nearness == last][room:]]
    return np.concatenate(away)


def sign_codebook(factors: int, partitions: int, seed: int) -> Codebook:
    """Directions of sign hashes with random orthogonal hyperplanes; independent of any data."""
    bits = max(1, (partitions - 1).bit_length())
    rng = np.random.default_rng(seed)
    drawn = [np.linalg.qr(rng.standard_normal((factors, factors)))[0] for _ in range(-(-bits // factors))]
    planes = np.concatenate(drawn)[:bits]
    codes = (np.arange(partitions)[:, None] >> np.arange(bits)) & 1
    return Codebook("sign", unit(((2 * codes - 1) @ planes).astype(np.float32)))


def spherical_codebook(vectors: Floats, partitions: int, seed: int, size_ratio_max: float) -> Codebook:
    """Directions of spherical k-means over users (n, factors), clusters at most `size_ratio_max` × the mean."""
    rng = np.random.default_rng(seed)
    points = unit(vectors)
    if len(points) > partitions * SAMPLE_PER_PARTITION:
        points = points[np.sort(rng.choice(len(points), partitions * SAMPLE_PER_PARTITION, replace=False))]
    book = Codebook("spherical", _spread_out(points, partitions, rng))
    size_max = largest_size(len(points), partitions, size_ratio_max)
    before = np.full(len(points), -1, np.int32)
    for _ in range(ROUNDS_MAX):
        home = book.assign(points, size_max)
        if np.mean(home != before) < 0.001:
            break
        counts = np.bincount(home, minlength=partitions)
        occupied = np.flatnonzero(counts)  # a cluster that lost everyone keeps its direction
        by_home = points[np.argsort(home.astype(np.uint16), kind="stable")]
        moved = book.directions.copy()
        moved[occupied] = np.add.reduceat(by_home, (np.cumsum(counts) - counts)[occupied])
        book, before = Codebook("spherical", unit(moved)), home
    return book


def largest_size(users: int, partitions: int, size_ratio_max: float) -> int:
    """Users that a partition may hold: the ratio times the mean, and never less than fits everyone."""
    return max(int(size_ratio_max * users / partitions), -(-users // partitions))


def _spread_out(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """k-means++ seeds (Arthur and Vassilvitskii, SODA 2007) under cosine distance."""
    if len(points) < count:
        extra = unit(rng.standard_normal((count - len(points), points.shape[1])).astype(np.float32))
        return np.concatenate([points, extra])
    chosen = [int(rng.integers(len(points)))]
    distance = 1 - points @ points[chosen[0]]
    while len(chosen) < count:
        weights = np.maximum(distance, 0).astype(np.float64)
        total = weights.sum()
        pick = rng.choice(len(points), p=weights / total) if total > 0 else rng.integers(len(points))
        chosen.append(int(pick))
        distance = np.minimum(distance, 1 - points @ points[chosen[-1]])
    return points[chosen].copy()
