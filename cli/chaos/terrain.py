"""What a cluster that is to be harmed is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Terrain:
    """What a ground is made of.

    Attributes:
        store: the snapshot store that is copied, a folder or another URL.
        work: folder for the copy, the oracle and the logs.
        shards: how many.
        replicas: shards that hold each partition.
        routers: how many stand behind one client.
        seed: of what the links draw.
        clock: wall clocks can be stepped.
        s3: the copy of the store is a bucket of an object store's, and not a folder.
    """

    store: str
    work: Path
    shards: int = 3
    replicas: int = 2
    routers: int = 2
    seed: int = 0
    clock: bool = False
    s3: bool = False

    @property
    def shard_names(self) -> tuple[str, ...]:
        """Of every shard."""
        return tuple(f"shard-{number}" for number in range(self.shards))

    @property
    def router_names(self) -> tuple[str, ...]:
        """Of every router."""
        return tuple(f"router-{number}" for number in range(self.routers))
