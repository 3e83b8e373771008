"""A data set made up for the serving benchmark: users with tastes, items with clusters, the same on every run.

An event's item comes from the user's own cluster (60 %), from another one near it (25 %) or from anywhere (15 %);
within each, popularity follows a Zipf law. A partition of like-minded users then lists three tenths of the
catalogue, about 5,800 items, which is what a fashion shop's orders were measured to need (31 %).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.pipeline import BuildSettings, build

USERS = 20_000
ITEMS = 20_000
CLUSTERS = 100
EVENTS_PER_USER = 40
PARTITIONS = 64
FACTORS = 64

_SHARES = (0.6, 0.25, 0.15)
_POPULARITY_EXPONENT = 0.8
_NEAR = 16

_SPAN_S = 180 * 86_400
_START_S = 1_700_000_000

_DATASET = """\
name = "synthetic"

[[events]]
path = "events.parquet"
user = "user"
item = "item"
interaction_type = "purchase"
timestamp = "time"

[interactions]
purchase = 1.0

[serving]
repeat = false

[evaluation]
test_share = 0.1
"""


def store_of(work: Path) -> Path:
    """The store with the made-up snapshot, built where it is not there yet."""
    store = work / f"store-{USERS}-{ITEMS}-{PARTITIONS}-{FACTORS}"
    if not (work / f"{store.name}.done").exists():
        work.mkdir(parents=True, exist_ok=True)
        _events().write_parquet(work / "events.parquet")
        (work / "dataset.toml").write_text(_DATASET, encoding="utf-8")
        build(work / "dataset.toml", store, BuildSettings(partitions=PARTITIONS, factors=FACTORS, threads=2))
        (work / f"{store.name}.done").touch()
    return store


def _events() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    cluster_of = draw.integers(0, CLUSTERS, ITEMS)
    users = np.repeat(np.arange(USERS), EVENTS_PER_USER)
    own = draw.integers(0, CLUSTERS, USERS)
    tastes = np.stack([own, (own + draw.integers(1, _NEAR + 1, USERS)) % CLUSTERS], axis=1)
    which = draw.choice(3, len(users), p=_SHARES)
    items = _popular(draw, np.arange(ITEMS), len(users))
    for cluster in range(CLUSTERS):
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
