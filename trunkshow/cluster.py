"""The cluster as its router sees it: plain frozen values around the contract of `cluster.proto`.

For operators and for the command line; a caller who wants slates needs `trunkshow.answers` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from trunkshow.answers import Rung
from trunkshow.v1 import cluster_pb2, shard_pb2


class ShardState(IntEnum):
    """A step in a shard's life; UNSPECIFIED until the router has heard from it."""

    UNSPECIFIED = 0
    LOADING = 1
    READY = 2
    DRAINING = 3
    DEGRADED = 4

    @classmethod
    def _missing_(cls, value: object) -> ShardState:
        return cls.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Generation:
    """One snapshot as a shard holds it: partitions that can be asked for, on the way, and refused."""

    snapshot_version: str
    warm: tuple[int, ...]
    loading: tuple[int, ...]
    refused: tuple[int, ...]

    @classmethod
    def from_message(cls, message: shard_pb2.GenerationStatus) -> Generation:
        """The generation of a status."""
        partitions = (tuple(message.warm), tuple(message.loading), tuple(message.refused))
        return cls(message.snapshot_version, *partitions)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "snapshot_version": self.snapshot_version,
            "warm": list(self.warm),
            "loading": list(self.loading),
            "refused": list(self.refused),
        }


@dataclass(frozen=True, slots=True)
class ShardView:
    """A shard as the router sees it; `state` and what follows are the last that it said of itself."""

    address: str
    reachable: bool
    in_flight: int
    last_error: str
    state: ShardState
    generations: tuple[Generation, ...]
    requests: int
    rss_bytes: int

    @classmethod
    def from_message(cls, message: cluster_pb2.ReplicaStatus) -> ShardView:
        """The shard of a status."""
        return cls(
            address=message.address,
            reachable=message.reachable,
            in_flight=message.in_flight,
            last_error=message.last_error,
            state=ShardState(message.status.state),
            generations=tuple(map(Generation.from_message, message.status.generations)),
            requests=message.status.requests,
            rss_bytes=message.status.rss_bytes,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "address": self.address,
            "reachable": self.reachable,
            "in_flight": self.in_flight,
            "last_error": self.last_error,
            "state": self.state.name,
            "generations": [generation.to_json() for generation in self.generations],
            "requests": self.requests,
            "rss_bytes": self.rss_bytes,
        }


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The shards in membership order, how much of the snapshot is covered, and what has been served."""

    snapshot_version: str
    partitions: int
    partitions_covered: int
    shards: tuple[ShardView, ...]
    rungs: Mapping[Rung, int]
    requests: int

    @property
    def covered(self) -> bool:
        """Whether every partition is warm in at least one shard."""
        return 0 < self.partitions == self.partitions_covered

    @classmethod
    def from_message(cls, message: cluster_pb2.GetClusterStatusResponse) -> ClusterStatus:
        """The status of an answer."""
        return cls(
            snapshot_version=message.snapshot_version,
            partitions=message.partitions,
            partitions_covered=message.partitions_covered,
            shards=tuple(map(ShardView.from_message, message.shards)),
            rungs=MappingProxyType({Rung(count.rung): count.carousels for count in message.rungs}),
            requests=message.requests,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "snapshot_version": self.snapshot_version,
            "partitions": self.partitions,
            "partitions_covered": self.partitions_covered,
            "shards": [shard.to_json() for shard in self.shards],
            "rungs": {rung.name: carousels for rung, carousels in self.rungs.items()},
            "requests": self.requests,
        }
