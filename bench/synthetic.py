"""Data sets made up for benchmarks, built once each: users with tastes, items with clusters, the same on every run.

An event's item comes from the user's own cluster (60 %), from another one near it (25 %) or from anywhere (15 %);
within each, popularity follows a Zipf law. Of the small shape a partition of like-minded users then lists three tenths
of the catalogue, about 5,800 items, which is what a fashion shop's orders were measured to need (31 %).
"""

from __future__ import annotations

import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import made_up
from builder.pipeline import BuildSettings, build
from trunkshow.snapshot.manifest import SCHEMA


@dataclass(frozen=True)
class Shape:
    """How much is made up.

    Attributes:
        users: each with as many events.
        items: of the catalogue.
        clusters: that items fall into.
        events_per_user: with items that may repeat.
        partitions: of the snapshot.
        factors: of a taste vector.
    """

    users: int = 20_000
    items: int = 20_000
    clusters: int = 100
    events_per_user: int = 40
    partitions: int = 64
    factors: int = 64

    @property
    def name(self) -> str:
        """Of the store; two shapes never share one, nor two formats: the older one would be measured."""
        return f"store-{SCHEMA}-" + "-".join(map(str, astuple(self)))


WORK = Path(tempfile.gettempdir()) / "trunkshow-bench"
"""Where they are kept, unless told otherwise."""

SMALL = Shape()
CATALOGUE = Shape(items=100_000)
"""What the aims are worded for: 100k items, 64 partitions."""

CROWD = Shape(users=50_000, events_per_user=20, partitions=1)
"""A generation of 50k users."""

HANDFUL = Shape(users=5_000, events_per_user=200, partitions=1)
"""As many events with the same items, of a tenth of the users."""

_SHARES = (0.6, 0.25, 0.15)
_POPULARITY_EXPONENT = 0.8
_NEAR = 16

_SPAN_S = 180 * 86_400
_START_S = 1_700_000_000


def store_of(work: Path, shape: Shape = SMALL) -> Path:
    """The store with the made-up snapshot, built where it is not there yet."""
    store = work / shape.name
    done = work / f"{shape.name}.done"
    if not done.exists():
        dataset = made_up.write(work / f"{shape.name}.data", "synthetic", _events(shape))
        settings = BuildSettings(partitions=shape.partitions, factors=shape.factors, threads=2)
        build(dataset, store, settings)
        done.touch()
    return store


def _events(shape: Shape) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    cluster_of = draw.integers(0, shape.clusters, shape.items)
    users = np.repeat(np.arange(shape.users), shape.events_per_user)
    own = draw.integers(0, shape.clusters, shape.users)
    tastes = np.stack([own, (own + draw.integers(1, _NEAR + 1, shape.users)) % shape.clusters], axis=1)
    which = draw.choice(3, len(users), p=_SHARES)
    items = _popular(draw, np.arange(shape.items), len(users))
    for cluster in range(shape.clusters):
        members = np.flatnonzero(cluster_of == cluster)
        for rank in (0, 1):
            chosen = np.flatnonzero((which == rank) & (tastes[users, rank] == cluster))
            items[chosen] = _popular(draw, members, len(chosen))
    times = np.sort(draw.integers(_START_S, _START_S + _SPAN_S, len(users)))
    draw.shuffle(times)
    return pl.DataFrame(
        {
            "user": pl.Series(users).cast(pl.String).str.zfill(6),
            "item": pl.Series(items).cast(pl.String).str.zfill(6),
            "time": times,
        }
    )


def _popular(draw: np.random.Generator, members: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    weights = np.arange(1, len(members) + 1) ** -_POPULARITY_EXPONENT
    return draw.choice(members, count, p=weights / weights.sum())
