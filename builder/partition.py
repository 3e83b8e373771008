"""Who shares a partition, and which items each partition needs: decided by both taste hashes, measured, one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from builder.largest import largest, rows_at_once
from trunkshow.models.protocol import Floats, Rows
from trunkshow.taste import Codebook, largest_size, sign_codebook, spherical_codebook, unit

PARTITIONS_MAX = 4096
"""What the directory's two bytes hold is more; building and serving so many was never tried."""

DEFAULT_MAX = 64
"""Unless they had more users than are opened within a second: then as many partitions as that takes."""

USERS_PER_PARTITION_MIN = 128
USERS_PER_PARTITION_MAX = 50_000
SIZE_RATIO_MAX = 1.25
"""Largest partition ÷ the mean."""

NEIGHBOURS = 10
PROBED_USERS_MAX = 1000
"""Users whose nearest neighbours are looked for to measure locality: a standard error of 0.005."""

TOP = 20
HELD_OUT_SHARE = 0.1
HELD_OUT_MAX = 1000
CONTRIBUTORS_MAX = 64_000
"""Users whose best items make the partitions' lists, where a part of them does not do; of Gowalla half of the users,
233 to a partition, were found to cover 99.5 % of the rest."""

_POINTS = 65_536
"""Users among whom neighbours are looked for at once."""


def default_partitions(users: int) -> int:
    """A power of two: the largest up to 64 with enough users in each; the least beyond, with not too many in each."""
    fitting = max(1, users // USERS_PER_PARTITION_MIN)
    few = min(DEFAULT_MAX, 1 << (fitting.bit_length() - 1))
    needed = -(-users // USERS_PER_PARTITION_MAX)
    return min(PARTITIONS_MAX, max(few, 1 << max(needed - 1, 0).bit_length()))


@dataclass(frozen=True)
class Placement:
    """Every user's partition by one hash, and what that is worth.

    Attributes:
        codebook: the hash.
        homes: (users,) int32 partition of each user.
        measures: locality, largest_to_mean.
    """

    codebook: Codebook
    homes: Rows
    measures: dict[str, Any]


def place_users(vectors: Floats, partitions: int, seed: int) -> list[Placement]:
    """Placements of users (n, factors) by both hashes, the one with the better locality first."""
    size_max = largest_size(len(vectors), partitions, SIZE_RATIO_MAX)
    books = (
        spherical_codebook(vectors, partitions, seed, SIZE_RATIO_MAX),
        sign_codebook(vectors.shape[1], partitions, seed),
    )
    neighbours = near_users(vectors, seed)
    placements = []
    for book in books:
        homes = book.assign(vectors, size_max)
        sizes = np.bincount(homes, minlength=partitions)
        measures = {
            "locality": locality(neighbours, homes),
            "largest_to_mean": float(sizes.max() / sizes.mean()),
        }
        placements.append(Placement(book, homes, measures))
    return sorted(placements, key=lambda placement: -placement.measures["locality"])


@dataclass(frozen=True)
class NearUsers:
    """Users and those nearest to them.

    Attributes:
        users: (u,) rows.
        near: (u, k) int32 rows of others, nearest first.
    """

    users: NDArray[np.int64]
    near: Rows


def near_users(vectors: Floats, seed: int) -> NearUsers:
    """Ten nearest neighbours by cosine of users (n, factors); of a sample of them where there are many."""
    asked = np.arange(len(vectors))
    if len(asked) > PROBED_USERS_MAX:
        asked = np.sort(np.random.default_rng(seed).choice(asked, PROBED_USERS_MAX, replace=False))
    points = unit(vectors)
    count = max(min(NEIGHBOURS, len(points) - 1), 0)
    step = rows_at_once(_POINTS)
    blocks = [_near(points, asked[at : at + step], count) for at in range(0, len(asked), step)]
    return NearUsers(asked, np.concatenate([np.empty((0, count), np.int32), *blocks]))


def _near(points: Floats, users: NDArray[np.int64], count: int) -> Rows:
    """(b, count) nearest of some users: of each block of points the nearest, and of all these the nearest."""
    rows, scores = [], []
    for at in range(0, len(points), _POINTS):
        products = points[users] @ points[at : at + _POINTS].T
        within = np.flatnonzero((users >= at) & (users < at + _POINTS))
        products[within, users[within] - at] = -np.inf
        best = largest(products, count)
        rows.append(best + np.int32(at))
        scores.append(np.take_along_axis(products, best, axis=1))
    order = largest(np.concatenate(scores, axis=1), count)
    near: Rows = np.take_along_axis(np.concatenate(rows, axis=1), order, axis=1)
    return near


def locality(found: NearUsers, homes: Rows) -> float:
    """Share of users' nearest neighbours that live in the same partition as they do."""
    if not found.near.size:
        return 1.0
    return float((homes[found.near] == homes[found.users][:, None]).mean())


@dataclass(frozen=True)
class BestItems:
    """Exact best items of some users.

    Attributes:
        users: (u,) int32 rows.
        items: (u, k) int32 item rows, best first.
    """

    users: Rows
    items: Rows

    @classmethod
    def of_nobody(cls) -> BestItems:
        """Of no users."""
        return cls(np.empty(0, np.int32), np.empty((0, 0), np.int32))

    def joined(self, other: BestItems) -> BestItems:
        """Of both."""
        if not len(self.users):
            return other
        return BestItems(np.concatenate([self.users, other.users]), np.concatenate([self.items, other.items]))


def in_turns(users: Rows) -> list[Rows]:
    """Rows of drawn users, ascending, in parts to be asked one after the other until that is enough."""
    if len(users) <= CONTRIBUTORS_MAX // 4:
        return [users]
    return [users[::4], users[1::4], np.sort(np.concatenate([users[2::4], users[3::4]]))]


def draw_users(users: int, seed: int) -> tuple[Rows, Rows]:
    """Rows of the users held out to measure with, and of those who decide what the partitions list."""
    order = np.random.default_rng(seed).permutation(users).astype(np.int32)
    held_out = min(HELD_OUT_MAX, int(users * HELD_OUT_SHARE))
    return np.sort(order[:held_out]), np.sort(order[held_out : held_out + CONTRIBUTORS_MAX])


def best_items(users: Rows, vectors: Floats, items: Floats, hidden: csr_matrix | None, count: int) -> BestItems:
    """Exact best items of users by inner product, over the whole catalogue.

    Args:
        users: (u,) rows to ask for.
        vectors: (users, factors) float32 of all users.
        items: (items, factors) float32 of all items.
        hidden: (users, items), what a user must not be shown; None where repeats are allowed.
        count: how many.
    """
    count = min(count, len(items))
    found = np.empty((len(users), count), np.int32)
    step = rows_at_once(len(items))
    for at in range(0, len(users), step):
        block = users[at : at + step]
        scores = vectors[block] @ items.T
        if hidden is not None:
            seen = hidden[block].tocoo()
            scores[seen.row, seen.col] = -np.inf
        found[at : at + len(block)] = largest(scores, count)
    return BestItems(users, found)


def item_lists(best: BestItems, homes: Rows, partitions: int, items: int, depth: int) -> list[Rows]:
    """Each partition's items, ascending: the union of its users' best. One that nobody asked for gets everyone's."""
    lists = []
    home = homes[best.users]
    for partition in range(partitions):
        mine = best.items[home == partition, :depth]
        lists.append(np.unique(mine if len(mine) else best.items[:, :depth]).astype(np.int32))
    empty = np.arange(min(items, depth), dtype=np.int32)
    return [rows if len(rows) else empty for rows in lists]


def coverage(best: BestItems, homes: Rows, lists: Sequence[Rows], depth: int = TOP) -> float:
    """Share of users' exact best items that their partitions list."""
    if not len(best.users):
        return 1.0
    shares: list[NDArray[np.float64]] = []
    for partition, rows in enumerate(lists):
        mine = best.items[homes[best.users] == partition, :depth]
        shares.append(np.isin(mine, rows).mean(axis=1))
    return float(np.concatenate(shares).mean())


def catalogue_share(lists: Sequence[Rows], items: int) -> float:
    """Mean share of the catalogue that a partition lists."""
    return float(np.mean([len(rows) for rows in lists]) / max(items, 1))
