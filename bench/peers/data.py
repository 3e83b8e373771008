"""What every peer is given: the items' vectors, the users who ask, and the exact answers, of one snapshot.

    items.npy      (n, factors) float32, all items of the catalogue, by row
    queries.npy    (q, factors) float32, the users' taste vectors, users of all partitions in turn
    exact.npy      (q, TOP) int32, each user's best items by inner product, over the whole catalogue
    unseen.npy     the same without what the user already had, which is what Trunkshow answers
    about.json     users and their homes, the items' ids, the snapshot's version and store

Written by `write`, which knows snapshots, read by `Data.read`, which runs in peers' environments and knows numpy alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]

TOP = 10
QUERIES = 2000
_BLOCK = 100


@dataclass(frozen=True)
class Data:
    """One snapshot's vectors, queries and exact answers.

    Attributes:
        items: (n, factors) float32.
        queries: (q, factors) float32.
        exact: (q, TOP) int32 best items of all.
        unseen: (q, TOP) int32 best items that the user has not had.
        users: the q users' ids and home partitions.
        item_ids: of the n items.
        version: of the snapshot.
        store: where it lies.
    """

    items: Floats
    queries: Floats
    exact: Rows
    unseen: Rows
    users: tuple[tuple[str, int], ...]
    item_ids: tuple[str, ...]
    version: str
    store: str

    @property
    def fingerprint(self) -> str:
        """Two data sets of one fingerprint are the same to a peer that has loaded one of them."""
        return f"{self.version} {self.items.shape} {self.queries.shape} {float(self.items[-1].sum()):.9g}"

    @classmethod
    def read(cls, folder: Path) -> Data:
        """What `write` wrote."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy") for name in ("items", "queries", "exact", "unseen")}
        users = tuple((user, home) for user, home in about["users"])
        return cls(
            **arrays, users=users, item_ids=tuple(about["items"]), version=about["version"], store=about["store"]
        )


def write(store: Path, folder: Path, queries: int = QUERIES) -> Data:
    """The data of the snapshot that a store serves."""
    from trunkshow.snapshot.reader import Snapshot
    from trunkshow.snapshot.store import open_store

    snapshot = Snapshot.open(open_store(store))
    items = np.ascontiguousarray(snapshot.ials.vectors, np.float32)
    users, vectors, had = [], [], []
    per_partition = queries // snapshot.partitions + 1
    for number in range(snapshot.partitions):
        partition = snapshot.open_partition(number)
        for user in partition.sample_users(per_partition):
            record = partition.user(user)
            if record is not None:
                users.append((user, number))
                vectors.append(np.array(record.vector))
                had.append(np.array(record.items))
        partition.close()
    order = np.random.default_rng(0).permutation(len(users))[:queries]
    asked = np.array(vectors, np.float32)[order]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "items.npy", items)
    np.save(folder / "queries.npy", asked)
    np.save(folder / "exact.npy", best(items, asked, [np.empty(0, np.int32)] * len(asked)))
    np.save(folder / "unseen.npy", best(items, asked, [had[at] for at in order]))
    about = {
        "users": [users[at] for at in order],
        "items": [snapshot.catalogue.id(row) for row in range(len(items))],
        "version": snapshot.version,
        "store": str(store.resolve()),
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    snapshot.close()
    return Data.read(folder)


def best(items: Floats, queries: Floats, without: list[Rows]) -> Rows:
    """(q, TOP) best items of each query by inner product, best first, but for the query's own `without`."""
    found = np.empty((len(queries), TOP), np.int32)
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ items.T
        for at, row in enumerate(scores):
            row[without[start + at]] = -np.inf
            top = np.argpartition(row, -TOP)[-TOP:]
            found[start + at] = top[np.argsort(-row[top])]
    return found


def of_one_length(items: Floats) -> Floats:
    """The items with one more component each, so that all are of one length.

    The nearest of them, by distance, to a query with a zero appended are those of the largest inner product (Bachrach
    et al., "Speeding up the Xbox recommender system using a Euclidean transformation for inner-product spaces", RecSys
    2014). Graphs built by inner product itself do not find everything: who is near is not mutual.
    """
    squares = np.einsum("ij,ij->i", items, items)
    rest = np.sqrt(np.maximum(squares.max() - squares, 0))
    return np.column_stack([items, rest]).astype(np.float32)


def with_zero(queries: Floats) -> Floats:
    """Queries to ask of such items."""
    return np.column_stack([queries, np.zeros(len(queries), np.float32)]).astype(np.float32)


def recall(found: list[list[int]], exact: Rows) -> float:
    """Mean share of the exact items that were found."""
    return float(
        np.mean([len(set(some) & set(row)) / len(row) for some, row in zip(found, exact.tolist(), strict=True)])
    )
