"""The cluster as the router sees it: a value. Hearing from a shard, or losing it, makes a new one.

Rules:

1. A shard that never reported, or was lost, holds nothing.
2. What a reachable shard reports as warm can be asked for, whatever its state; whether to ask one that drains is
   `router.selection`'s to say.
3. The index from (version, partition) to holders is made when facts change, not when a request asks; a sign of
   life that changes no fact keeps it.

Who reports, and how, is `router.watch`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from trunkshow.v1 import shard_pb2

Index = Mapping[str, Mapping[int, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Generation:
    """A snapshot's partitions as one shard holds them.

    Attributes:
        version: of the snapshot.
        warm: partitions that can be asked for.
        loading: partitions on the way.
        refused: partitions that failed their checks.
    """

    version: str
    warm: frozenset[int]
    loading: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """What a shard said of itself.

    Attributes:
        name: its own name for itself.
        state: a `ShardState`.
        generations: what it holds.
        requests: answered since its start.
        rss_bytes: resident memory.
    """

    name: str = ""
    state: shard_pb2.ShardState = shard_pb2.SHARD_STATE_UNSPECIFIED
    generations: tuple[Generation, ...] = ()
    requests: int = 0
    rss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One shard of the membership, as seen from here.

    Attributes:
        address: where it is called.
        reachable: its watch stream is open.
        facts: the last ones heard; None where none were.
        last_error: why it was lost; empty while reachable.
    """

    address: str
    reachable: bool = False
    facts: ShardFacts | None = None
    last_error: str = ""

    @property
    def draining(self) -> bool:
        """Whether it takes nothing new."""
        return self.facts is not None and self.facts.state == shard_pb2.SHARD_STATE_DRAINING

    @property
    def held(self) -> tuple[Generation, ...]:
        """What can be asked of it now."""
        return self.facts.generations if self.reachable and self.facts else ()


@dataclass(frozen=True)
class Topology:
    """All shards, in the order of the membership.

    Attributes:
        replicas: by address.
    """

    replicas: Mapping[str, ReplicaView]
    _index: Index = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, addresses: Iterable[str]) -> Topology:
        """A membership of which nothing was heard yet."""
        return cls(MappingProxyType({address: ReplicaView(address) for address in addresses}))

    def updated(self, address: str, facts: ShardFacts) -> Topology:
        """After a report."""
        return self._with(ReplicaView(address, reachable=True, facts=facts))

    def lost(self, address: str, error: str) -> Topology:
        """After a shard went silent or its stream broke; its last facts are kept for people to read."""
        return self._with(replace(self.replicas[address], reachable=False, last_error=error))

    def holders(self, version: str, partition: int) -> tuple[str, ...]:
        """Addresses of the reachable shards that have this partition warm."""
        of_version = self._index.get(version)
        return of_version.get(partition, ()) if of_version else ()

    def covered(self, version: str) -> int:
        """How many of a snapshot's partitions can be asked for."""
        return len(self._index.get(version, ()))

    def serves_other_than(self, version: str) -> bool:
        """Whether reachable shards have partitions of another snapshot warm."""
        return any(held != version for held in self._index)

    def _with(self, view: ReplicaView) -> Topology:
        before = self.replicas[view.address]
        replicas = MappingProxyType({**self.replicas, view.address: view})
        return Topology(replicas, self._index if before.held == view.held else _index_of(replicas))


def _index_of(replicas: Mapping[str, ReplicaView]) -> Index:
    index: dict[str, dict[int, tuple[str, ...]]] = {}
    for address, view in replicas.items():
        for generation in view.held:
            of_version = index.setdefault(generation.version, {}) if generation.warm else {}
            for partition in generation.warm:
                of_version[partition] = (*of_version.get(partition, ()), address)
    return index
