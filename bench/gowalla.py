"""The Gowalla check-ins in the split that LightGCN made usual: read, and turned into what our models and measures take.

He, Deng, Wang, Li, Zhang, Wang: "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
SIGIR 2020, arXiv:2002.02126. All items are ranked for every user, and the training items are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from builder.evaluate import Test
from trunkshow.models.protocol import Settings, Training

COLUMNS = ("user_id", "item_id", "split")


def read(path: Path) -> tuple[csr_matrix, Test]:
    """The training matrix (users, items), and the test.

    Args:
        path: Parquet with the columns user_id, item_id (rows, from 0) and split (train or test).
    """
    events = pl.read_parquet(path, columns=list(COLUMNS))
    shape = tuple(int(events[name].max()) + 1 for name in COLUMNS[:2])  # type: ignore[arg-type]
    train, wanted = (_matrix(events.filter(pl.col("split") == name), shape) for name in ("train", "test"))
    users = np.flatnonzero(np.diff(wanted.indptr)).astype(np.int32)
    return train, Test(users, wanted[users], train[users])


def training(matrix: csr_matrix, settings: Settings) -> Training:
    """The matrix as our models take it; what they could know of time and catalogue is empty."""
    pairs = matrix.tocoo()
    users, items = matrix.shape
    return Training(
        matrix=matrix,
        users=pairs.row.astype(np.int32),
        items=pairs.col.astype(np.int32),
        times=np.zeros(matrix.nnz, np.int64),
        weights=pairs.data,
        segments=np.full(users, -1, np.int32),
        segment_names=(),
        categories=np.full(items, -1, np.int32),
        category_names=(),
        created=np.full(items, -1, np.int64),
        available=np.ones(items, np.bool_),
        occasions={},
        settings=settings,
    )


def _matrix(events: pl.DataFrame, shape: tuple[int, ...]) -> csr_matrix:
    users, items = (events[name].to_numpy() for name in COLUMNS[:2])
    matrix = csr_matrix((np.ones(len(events), np.float32), (users, items)), shape=shape)
    matrix.data[:] = 1
    return matrix
