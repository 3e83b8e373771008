"""Which shards hold a partition: rendezvous hashing, a pure function of the membership.

Every shard computes its own share; nobody coordinates. When a shard joins or leaves, only the partitions that it wins
or loses move (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def holders(partition: int, shards: Iterable[str], replicas: int) -> tuple[str, ...]:
    """The shards that hold a partition, the first choice first; all of them where there are fewer than replicas."""
    return tuple(sorted(set(shards), key=lambda shard: (-_weight(partition, shard), shard))[:replicas])


def share(name: str, shards: Iterable[str], partitions: int, replicas: int) -> tuple[int, ...]:
    """The partitions that the shard `name` holds, ascending."""
    members = set(shards)
    return tuple(number for number in range(partitions) if name in holders(number, members, replicas))


def _weight(partition: int, shard: str) -> int:
    digest = hashlib.blake2b(f"{partition}@{shard}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
