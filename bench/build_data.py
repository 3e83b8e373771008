"""Event files of any size for `bench.build`, the same on every run: users with tastes, items with clusters.

As in `bench.synthetic`, an event's item comes from the user's own cluster (60 %), from one near it (25 %) or from
anywhere (15 %), by a Zipf law within each; here users differ in how much they do, log-normally, and all do something.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

ITEMS_PER_CLUSTER = 200
_SHARES = (0.6, 0.85)
"""Up to the first, the user's own cluster; up to the second, one near it."""

_POPULARITY_EXPONENT = 0.8
_NEAR = 16
_SPAN_S = 180 * 86_400
_START_S = 1_700_000_000
_BLOCK = 1_000_000

_DATASET = """\
name = "build"

[[events]]
path = "events.{form}"
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


@dataclass(frozen=True)
class Shape:
    """How large a data set is.

    Attributes:
        events: rows, at least as many as users.
        users: all of whom occur.
        items: most of which do.
    """

    events: int
    users: int
    items: int


def write(folder: Path, shape: Shape, form: str) -> Path:
    """Make up a data set as CSV, JSON lines (`jsonl`) or Parquet; the path of its dataset file."""
    folder.mkdir(parents=True, exist_ok=True)
    frame, path = _events(shape), folder / f"events.{form}"
    if form == "parquet":
        frame.write_parquet(path, row_group_size=_BLOCK)
    elif form == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path)
    (folder / "dataset.toml").write_text(_DATASET.format(form=form), encoding="utf-8")
    return folder / "dataset.toml"


def _events(shape: Shape) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    activity = np.cumsum(draw.lognormal(size=shape.users))
    more = np.searchsorted(activity, draw.random(shape.events - shape.users) * activity[-1])
    users = np.concatenate([np.arange(shape.users), more])
    draw.shuffle(users)
    return pl.DataFrame(
        {
            "user": pl.Series(users).cast(pl.String).str.zfill(8),
            "item": pl.Series(_items(draw, users, shape)).cast(pl.String).str.zfill(8),
            "time": np.sort(draw.integers(_START_S, _START_S + _SPAN_S, shape.events)),
        }
    )


def _items(draw: np.random.Generator, users: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """(n,) of each event: the user's cluster is told by their number, an item's by its number, too."""
    clusters = max(1, shape.items // ITEMS_PER_CLUSTER)
    own = users % clusters
    near = (own + 1 + draw.integers(0, _NEAR, shape.users)[users] % _NEAR) % clusters
    which = draw.random(len(users))
    of_cluster = np.where(which < _SHARES[0], own, near) * ITEMS_PER_CLUSTER
    within = of_cluster + _ranks(draw, ITEMS_PER_CLUSTER, len(users))
    anywhere = draw.permutation(shape.items)[_ranks(draw, shape.items, len(users))]
    return np.where(which < _SHARES[1], np.minimum(within, shape.items - 1), anywhere)


def _ranks(draw: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    weights = np.cumsum(np.arange(1, size + 1) ** -_POPULARITY_EXPONENT)
    found: NDArray[np.int64] = np.minimum(np.searchsorted(weights, draw.random(count) * weights[-1]), size - 1)
    return found
