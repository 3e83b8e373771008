"""One partition's folder: its users, and the items that any of them could be shown.

users.lmdb    user id → the user's record (trunkshow.snapshot.records)
homes.lmdb    position in users.faiss (u32, big-endian) → user id
users.faiss   index over the users' unit vectors, in half precision
items.faiss   index over the vectors of the items in items.npy
items.npy     (n,) int32 catalogue rows, ascending

Beside them lie the users' stand-ins (`trunkshow.snapshot.stand_ins`), which whoever holds the partition has no use for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trunkshow.largest import largest
from trunkshow.snapshot import arrays, index, kv, records, stand_ins
from trunkshow.snapshot.records import Neighbours, UserRecord
from trunkshow.snapshot.user_columns import UserColumns
from trunkshow.taste import unit

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]


def name(partition: int) -> str:
    """The folder's name within a snapshot."""
    return f"partitions/{partition:05d}"


def write(
    folder: Path,
    user_ids: Sequence[str],
    users: UserColumns,
    items: Rows,
    vectors: Floats,
    *,
    exact: bool = False,
) -> str:
    """Write one partition and its stand-ins; return the FAISS name of its item index.

    Args:
        folder: to be made.
        user_ids: of the partition's users, ascending by their bytes.
        users: as many.
        items: (n,) int32 catalogue rows of the partition's items, ascending.
        vectors: (n, factors) float32 of those items.
        exact: a flat item index, whatever its size.
    """
    folder.mkdir(parents=True)
    keys = [user.encode() for user in user_ids]
    kv.write(folder / "users.lmdb", zip(keys, users.encoded(), strict=True))
    stand_ins.write(folder, keys, users)
    kv.write(folder / "homes.lmdb", ((position.to_bytes(4, "big"), key) for position, key in enumerate(keys)))
    index.build_halved(unit(users.vectors), folder / "users.faiss")
    arrays.save(folder, {"items": items})
    return index.build(vectors, folder / "items.faiss", exact=exact)


class Partition:
    """A partition, open for reading; the shelf that models are handed.

    Args:
        folder: as `write` made it.
        vectors: (items, factors) float32 of the whole catalogue, mapped.
    """

    def __init__(self, folder: Path, vectors: Floats) -> None:
        self.items: Rows = np.array(arrays.load_one(folder / "items.npy"))
        self._vectors = vectors
        self._factors = int(vectors.shape[1])
        self._item_index = index.VectorIndex(folder / "items.faiss")
        self._user_index = index.VectorIndex(folder / "users.faiss")
        # Last: what fails above leaves no mapped file behind.
        self._users, self._homes = _both(
            lambda: kv.Reader(folder / "users.lmdb"), lambda: kv.Reader(folder / "homes.lmdb")
        )

    @property
    def users(self) -> int:
        """How many users live here."""
        return len(self._users)

    def user(self, user_id: str) -> UserRecord | None:
        """A user's record, read in place, or None for one who does not live here."""
        data = self._users.get(user_id.encode())
        return None if data is None else records.decode(data, self._factors)

    def sample_users(self, count: int) -> list[str]:
        """Ids of `count` users spread over the partition, for warming up."""
        step = max(1, self.users // max(1, count))
        keys = (self._homes.get(position.to_bytes(4, "big")) for position in range(0, self.users, step))
        return [str(key, "utf-8") for key in keys if key is not None][:count]

    def nearest_items(self, vector: Floats, count: int) -> tuple[Rows, Floats]:
        """Up to `count` item rows of this partition by inner product with a (factors,) vector, best first."""
        positions, scores = self._item_index.search(vector, count)
        return self.items[positions], scores

    def best_items_where(
        self, vector: Floats, mask: Callable[[Rows], NDArray[np.bool_]], count: int
    ) -> tuple[Rows, Floats]:
        """As `nearest_items`, exactly, among those that the mask allows."""
        allowed = self.items[mask(self.items)]
        scores = self.scores(vector, allowed)
        order = largest(scores, count)
        return allowed[order], scores[order]

    def scores(self, vector: Floats, rows: Rows) -> Floats:
        """Inner products of a (factors,) vector with the items of `rows`, which may lie in any partition."""
        products: Floats = self._vectors.take(rows, 0) @ vector
        return products

    def vectors_of(self, rows: Rows) -> Floats:
        """(k, factors) copies of the vectors of the items of (k,) `rows`, which may lie in any partition."""
        return self._vectors.take(rows, 0)

    def nearest_users(self, vector: Floats, count: int) -> list[tuple[UserRecord, float]]:
        """Up to `count` users of this partition by cosine with a (factors,) vector, nearest first."""
        found = self._nearest_records(vector, count)
        return [(records.decode(data, self._factors), cosine) for data, cosine in found]

    def neighbours(self, vector: Floats, count: int, most: int, but: Rows) -> Neighbours:
        """The newest items, up to `most` of each, of the `count` nearest users whose history is not just `but`."""
        return records.newest(self._nearest_records(vector, count), self._factors, most, but)

    def _nearest_records(self, vector: Floats, count: int) -> list[tuple[memoryview, float]]:
        positions, near = self._user_index.search(unit(vector[None])[0], count)
        found = []
        for position, cosine in zip(positions.tolist(), near.tolist(), strict=True):
            key = self._homes.get(position.to_bytes(4, "big"))
            data = None if key is None else self._users.get(key)
            if data is not None:
                found.append((data, cosine))
        return found

    def lend(self) -> Partition:
        """The same partition for another thread; the files stay open until both were closed."""
        lent = copy.copy(self)
        lent._users, lent._homes = _both(self._users.another, self._homes.another)
        return lent

    def close(self) -> None:
        """Give the files back, unless the partition is lent; records handed out before must not be read after."""
        self._users.close()
        self._homes.close()


def _both(users: Callable[[], kv.Reader], homes: Callable[[], kv.Reader]) -> tuple[kv.Reader, kv.Reader]:
    """Two readers, or none that nobody would close."""
    opened = users()
    try:
        return opened, homes()
    except BaseException:
        opened.close()
        raise
