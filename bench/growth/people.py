"""Shoppers made up in any number, skewed and clustered as real ones are; the same on every run.

- **How much they did** is ten things (Gowalla is cut so that nobody did less) and what a Lomax law adds, whose two
  parameters give Gowalla's median and its 90th percentile.
- **What is popular** follows a Zipf law; drawn, and each pair counted once, it comes out with about Gowalla's
  exponent, 0.61.
- **Tastes** are clusters of items, of log-normally spread sizes; neighbours on a ring are like one another. A user
  has a cluster of their own, chosen by how popular its items are, from which half of their items come, a fifth from
  one near it, and the others from anywhere. Since clusters are chosen by popularity, items are as popular as the law
  says.
- **Item factors**, for points where training is not what is measured: an item's cluster's direction, which bends
  towards its neighbours', and noise of its own; the more popular, the longer, as fitted ones are. How much of both
  was chosen by how many items the builder's partitions then list, which is sensitive to it: 677 with what was chosen,
  and 2,400 with an exponent of 0.15, where factors fitted to Gowalla list 1,742 (29,858 users, 40,981 items, 64
  partitions). Users' vectors are not given: the builder folds them in from their histories.

An item comes once in a history, so that the longest ones come out shorter than they were drawn. `likeness` puts this
next to the real data. What it has not: drift in time, sessions, and users of several tastes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.events import Events

Rows = NDArray[np.int32]
Floats = NDArray[np.float32]

HISTORY_MIN = 10
HISTORY_MAX = 1000
HISTORY_SHAPE, HISTORY_SCALE = 1.8, 21.3
"""Of the Lomax law of what somebody did beyond the least."""

POPULARITY_EXPONENT = 0.74
CLUSTER_SPREAD = 0.8
"""Standard deviation of the logarithm of a cluster's number of items."""

SHARES = (0.5, 0.2, 0.3)
"""Of a user's items: from their own cluster, from one near it, from anywhere."""

NEAR = 4
"""Clusters on either side that are near."""

CLUSTER_ITEMS = 100
"""In the mean, unless that makes too few clusters or too many."""
CLUSTERS_MIN = 16
CLUSTERS_MAX = 1000

NOISE = 0.8
"""Length of an item's own part of its vector, where its cluster's is 1."""

LENGTH_EXPONENT = 0.2
"""By which an item's vector grows with its popularity."""

SPAN_MS = 180 * 86_400_000
START_MS = 1_700_000_000_000
_BLOCK_USERS = 50_000


@dataclass(frozen=True)
class Shop:
    """A shop's size, and everything that follows from it.

    Attributes:
        users: how many.
        items: how many.
        longer: histories are so many times as long as Gowalla's.
        seed: of everything drawn.
    """

    users: int
    items: int
    longer: float = 1.0
    seed: int = 0

    @property
    def clusters(self) -> int:
        """How many tastes there are."""
        return int(np.clip(self.items // CLUSTER_ITEMS, CLUSTERS_MIN, CLUSTERS_MAX))

    @cached_property
    def cluster_of(self) -> Rows:
        """(items,) cluster of each item, ascending."""
        draw = np.random.default_rng((self.seed, 1))
        sizes = np.exp(CLUSTER_SPREAD * draw.standard_normal(self.clusters))
        drawn = draw.choice(self.clusters, self.items - self.clusters, p=sizes / sizes.sum())
        return np.sort(np.concatenate([np.arange(self.clusters), drawn])).astype(np.int32)

    @cached_property
    def popularity(self) -> NDArray[np.float64]:
        """(items,) probability of each item."""
        draw = np.random.default_rng((self.seed, 2))
        weights = np.arange(1, self.items + 1) ** -POPULARITY_EXPONENT
        return np.asarray(draw.permutation(weights / weights.sum()))

    def item_vectors(self, factors: int) -> Floats:
        """(items, factors) float32 as a model might have fitted them."""
        draw = np.random.default_rng((self.seed, 3))
        # A smooth walk around the ring, so that neighbours point nearly the same way.
        steps = draw.standard_normal((self.clusters, factors))
        kernel = np.exp(-0.5 * (np.arange(-NEAR, NEAR + 1) / 1.5) ** 2)
        smooth = sum(weight * np.roll(steps, shift, axis=0) for shift, weight in zip(_around(), kernel, strict=True))
        directions = smooth / np.linalg.norm(smooth, axis=1, keepdims=True)
        noise = draw.standard_normal((self.items, factors), dtype=np.float32) * np.float32(NOISE / np.sqrt(factors))
        lengths = (self.popularity / self.popularity.max()) ** LENGTH_EXPONENT
        vectors = directions.astype(np.float32)[self.cluster_of] + noise
        return np.ascontiguousarray(vectors * lengths[:, None].astype(np.float32))


def _around() -> range:
    return range(-NEAR, NEAR + 1)


def interactions(shop: Shop) -> Iterator[tuple[Rows, Rows]]:
    """Users (n,) and items (n,) of who had what, each pair once, some users at a time, users ascending."""
    draw = np.random.default_rng((shop.seed, 4))
    bounds = np.searchsorted(shop.cluster_of, np.arange(shop.clusters + 1))
    reached = np.concatenate([[0.0], np.cumsum(shop.popularity)])
    for first in range(0, shop.users, _BLOCK_USERS):
        count = min(_BLOCK_USERS, shop.users - first)
        own = np.searchsorted(reached[bounds][1:-1], draw.random(count), side="right")
        near = (own + draw.choice([*range(-NEAR, 0), *range(1, NEAR + 1)], count)) % shop.clusters
        lengths = _lengths(draw, count, shop.longer)
        rows = np.repeat(np.arange(count), lengths)
        which = draw.choice(3, len(rows), p=SHARES)
        cluster = np.where(which == 0, own[rows], near[rows])
        low = np.where(which == 2, 0.0, reached[bounds[cluster]])
        high = np.where(which == 2, 1.0, reached[bounds[cluster + 1]])
        items = np.searchsorted(reached, low + draw.random(len(rows)) * (high - low), side="right") - 1
        pairs = np.unique(rows * np.int64(shop.items) + np.clip(items, 0, shop.items - 1))
        yield (pairs // shop.items + first).astype(np.int32), (pairs % shop.items).astype(np.int32)


def _lengths(draw: np.random.Generator, count: int, longer: float) -> NDArray[np.int64]:
    drawn = (HISTORY_MIN + HISTORY_SCALE * draw.pareto(HISTORY_SHAPE, count)) * longer
    return np.clip(drawn, 1, HISTORY_MAX).astype(np.int64)


def events(shop: Shop) -> Events:
    """Everything that happened, in order of time, as the builder has it once it has read its files."""
    parts = list(interactions(shop))
    users, items = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    parts.clear()
    draw = np.random.default_rng((shop.seed, 5))
    order = draw.permutation(len(users)).astype(np.int32 if len(users) < 2**31 else np.int64)
    users, items = users[order], items[order]
    del order
    return Events(
        users=users,
        items=items,
        kinds=np.zeros(len(users), np.uint8),
        times=START_MS + np.sort(draw.integers(0, SPAN_MS, len(users))),
        values=np.full(len(users), np.nan, np.float32),
        user_ids=ids(shop.users),
        item_ids=ids(shop.items),
        kind_names=("purchase",),
    )


def ids(count: int) -> pl.Series:
    """Names in the order of their numbers."""
    return pl.Series(np.arange(count)).cast(pl.String).str.zfill(9)
