"""Where every known user lives: 12 bytes a user, mapped into memory, one binary search to ask.

Who acts is asked for again and again, by every part that hears of it: the newest answers are kept, as long as the
directory is.

A user id is kept as a salted 64-bit BLAKE2b hash. The builder chooses a salt under which no two of its users
collide; a stranger who happens to share a hash (1 in 2^64 per user) is sent to a partition that does not know the id,
and is then served as the stranger they are.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from trunkshow.snapshot import arrays

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Numbers = memoryview[int]

SALTS_MAX = 16
FOUND_MAX = 16_384
"""Answers that are kept, strangers' among them; one takes about 300 bytes."""


class Home(NamedTuple):
    """Where a user lives."""

    partition: int
    segment: int


def hash_user(user_id: str, salt: int) -> int:
    """The 64-bit hash of a user id."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, salt=salt.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


def write(folder: Path, user_ids: Sequence[str], partitions: NDArray[np.int32], segments: NDArray[np.int32]) -> None:
    """Write the directory of users (n,), their partitions (n,) and segment codes (n,), -1 for none.

    Raises:
        ValueError: a user id comes twice, so that no salt can tell them apart.
    """
    for salt in range(SALTS_MAX):
        hashes = _hashed(user_ids, salt)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        if not (ordered[1:] == ordered[:-1]).any():
            columns: dict[str, NDArray[Any]] = {
                "hashes": ordered,
                "partitions": partitions[order].astype(np.uint16),
                "segments": segments[order].astype(np.int16),
                "salt": np.array([salt], np.uint64),
            }
            arrays.save(folder, columns)
            return
    message = "two users have the same id"
    raise ValueError(message)


def _hashed(user_ids: Sequence[str], salt: int) -> NDArray[np.uint64]:
    """(n,) as `hash_user` has them."""
    salted = partial(hashlib.blake2b, digest_size=8, salt=salt.to_bytes(8, "little"))
    digests = b"".join([salted(user.encode()).digest() for user in user_ids])
    return np.frombuffer(digests, "<u8").astype(np.uint64)


class Directory:
    """The directory of one snapshot, open for reading."""

    def __init__(self, folder: Path) -> None:
        columns = arrays.load(folder)
        # Searched as memoryviews: numpy's way takes longer, and through code that no request needs otherwise.
        hashes, partitions, segments = (
            memoryview(cast("Buffer", columns[name])) for name in ("hashes", "partitions", "segments")
        )
        self._hashes = hashes
        # Not by way of self: what is held in a circle stays mapped until a collector comes by.
        self._find = lru_cache(FOUND_MAX)(partial(_found, hashes, partitions, segments, int(columns["salt"][0])))

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, user_id: str) -> Home | None:
        """The user's home, or None for a user that the snapshot does not know."""
        return self._find(user_id)


def _found(hashes: Numbers, partitions: Numbers, segments: Numbers, salt: int, user_id: str) -> Home | None:
    wanted = hash_user(user_id, salt)
    position = bisect_left(hashes, wanted)
    if position == len(hashes) or hashes[position] != wanted:
        return None
    return Home(partitions[position], segments[position])
