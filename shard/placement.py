"""Which shards hold a partition: rendezvous hashing, a pure function of the membership.

Every shard computes its own share; nobody coordinates. When a shard joins or leaves, only the partitions that it wins
or loses move (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache


def holders(partition: int, shards: Iterable[str], replicas: int) -> tuple[str, ...]:
    """The shards that hold a partition, the first choice first; all of them where there are fewer than replicas."""
    return _ranked(partition, frozenset(shards))[:replicas]


def stand_in(partition: int, shards: Iterable[str], replicas: int) -> str:
    """The shard that keeps the compact copies of a partition's users: the next one after its holders.

    It is the one that would inherit the partition, and no holder itself where there is a choice; else the last of them.
    Empty where there are no shards.
    """
    return next(reversed(_ranked(partition, frozenset(shards))[: replicas + 1]), "")


def share(name: str, shards: Iterable[str], partitions: int, replicas: int) -> tuple[int, ...]:
    """The partitions that the shard `name` holds, ascending."""
    members = set(shards)
    return tuple(number for number in range(partitions) if name in holders(number, members, replicas))


@lru_cache(maxsize=1 << 14)
def _ranked(partition: int, shards: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(shards, key=lambda shard: (-_weight(partition, shard), shard)))


def _weight(partition: int, shard: str) -> int:
    digest = hashlib.blake2b(f"{partition}@{shard}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
