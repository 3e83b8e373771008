"""The cluster as the router sees it: a value. Hearing from a shard, or losing it, makes a new one.

Rules:

1. A shard that never reported, or was lost, holds nothing.
2. What a reachable shard reports as warm can be asked for, whatever its state; whether to ask one that drains is
   `router.asking.selection`'s to say.
3. The index from (version, partition) to holders, and to those who have a compact copy of its users, is made when
   facts change, not when a request asks; a sign of life that changes no fact keeps it.
4. A shard stays while it is reachable, does not drain, and is a member. One that the membership does not name any
   more is still asked for what it holds, until it is forgotten.

Who reports, and how, is `router.cluster.watch`'s business; who is followed, `router.cluster.following`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from trunkshow.online.trends import NO_TRENDS, Trends, chosen
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
        stand_ins: homes of whose users it has a compact copy open.
        surplus: of the warm ones, those that it would give up.
        why_refused: what was wrong with the first of the refused ones.
        refused_stand_ins: homes of whose users the compact copy failed its checks.
        loading_stand_ins: homes of whose users it is on the way.
    """

    version: str
    warm: frozenset[int]
    loading: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()
    stand_ins: frozenset[int] = frozenset()
    surplus: frozenset[int] = frozenset()
    why_refused: str = ""
    refused_stand_ins: frozenset[int] = frozenset()
    loading_stand_ins: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """What a shard said of itself.

    Attributes:
        name: its own name for itself.
        state: a `ShardState`.
        generations: what it holds.
        requests: answered since its start.
        rss_bytes: resident memory.
        cancelled: predictions that were called off.
        refused_work: predictions that were turned away.
        forgotten: watermark of the tombstones that it has read; empty where there is none.
        trends: what it found to trend.
        why_not_ready: what has to be done before it can be ready; empty where it is nothing but to wait.
        batch_users_max: predictions that it takes in one call; 0 where it did not say.
    """

    name: str = ""
    state: shard_pb2.ShardState = shard_pb2.SHARD_STATE_UNSPECIFIED
    generations: tuple[Generation, ...] = ()
    requests: int = 0
    rss_bytes: int = 0
    cancelled: int = 0
    refused_work: int = 0
    forgotten: str = ""
    trends: Trends = NO_TRENDS
    why_not_ready: str = ""
    batch_users_max: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One shard, as seen from here.

    Attributes:
        address: where it is called.
        reachable: its watch stream is open.
        facts: the last ones heard; None where none were.
        last_error: why it was lost; empty while reachable.
        member: the membership names it.
    """

    address: str
    reachable: bool = False
    facts: ShardFacts | None = None
    last_error: str = ""
    member: bool = True

    @property
    def draining(self) -> bool:
        """Whether it takes nothing new."""
        return self.facts is not None and self.facts.state == shard_pb2.SHARD_STATE_DRAINING

    @property
    def stays(self) -> bool:
        """Whether what it holds can be counted on."""
        return self.reachable and self.member and not self.draining

    @property
    def name(self) -> str:
        """Its own name in the membership; its address until it said so."""
        return (self.facts.name if self.facts else "") or self.address

    @property
    def held(self) -> tuple[Generation, ...]:
        """What can be asked of it now."""
        return self.facts.generations if self.reachable and self.facts else ()


class Indexes(NamedTuple):
    """Addresses by version and partition.

    Attributes:
        warm: of those who have the partition warm.
        stand_ins: of those who have a compact copy of its users.
    """

    warm: Index = MappingProxyType({})
    stand_ins: Index = MappingProxyType({})


@dataclass(frozen=True)
class Topology:
    """All shards, in the order of the membership.

    Attributes:
        replicas: by address.
    """

    replicas: Mapping[str, ReplicaView]
    _indexes: Indexes = field(default_factory=Indexes, repr=False, compare=False)

    @classmethod
    def of(cls, addresses: Iterable[str]) -> Topology:
        """A membership of which nothing was heard yet."""
        return cls(MappingProxyType({address: ReplicaView(address) for address in addresses}))

    def updated(self, address: str, facts: ShardFacts) -> Topology:
        """After a report."""
        view = replace(self.replicas[address], reachable=True, facts=facts, last_error="")
        return self._with(view)

    def lost(self, address: str, error: str) -> Topology:
        """After a shard went silent or its stream broke; its last facts are kept for people to read."""
        return self._with(replace(self.replicas[address], reachable=False, last_error=error))

    def with_members(self, addresses: Iterable[str]) -> Topology:
        """After the membership changed: who is new was not heard yet; who is not named any more is no member."""
        named = tuple(addresses)
        replicas = {one: replace(self.replicas.get(one, ReplicaView(one)), member=True) for one in named}
        replicas |= {one: replace(view, member=False) for one, view in self.replicas.items() if one not in replicas}
        return Topology(MappingProxyType(replicas), _indexes_of(replicas))

    def without(self, address: str) -> Topology:
        """After a shard was forgotten."""
        replicas = {one: view for one, view in self.replicas.items() if one != address}
        return Topology(MappingProxyType(replicas), _indexes_of(replicas))

    def holders(self, version: str, partition: int) -> tuple[str, ...]:
        """Addresses of the reachable shards that have this partition warm."""
        of_version = self._indexes.warm.get(version)
        return of_version.get(partition, ()) if of_version else ()

    def stand_ins(self, version: str, partition: int) -> tuple[str, ...]:
        """Addresses of the reachable shards that have a compact copy of the users of this partition."""
        of_version = self._indexes.stand_ins.get(version)
        return of_version.get(partition, ()) if of_version else ()

    def covered(self, version: str) -> int:
        """How many of a snapshot's partitions can be asked for."""
        return len(self._indexes.warm.get(version, ()))

    @property
    def versions(self) -> tuple[str, ...]:
        """Of the snapshots of which anything can be asked for."""
        return tuple(self._indexes.warm)

    def serves_other_than(self, version: str) -> bool:
        """Whether reachable shards have partitions of other snapshots warm, and not one of this."""
        return bool(self._indexes.warm) and version not in self._indexes.warm

    @cached_property
    def staying(self) -> frozenset[str]:
        """Addresses of those who stay (rule 4)."""
        return frozenset(address for address, view in self.replicas.items() if view.stays)

    @property
    def trends(self) -> Trends:
        """What trends now, by what reachable shards say."""
        return chosen(view.facts.trends for view in self.replicas.values() if view.reachable and view.facts)

    def _with(self, view: ReplicaView) -> Topology:
        before = self.replicas[view.address]
        replicas = MappingProxyType({**self.replicas, view.address: view})
        return Topology(replicas, self._indexes if before.held == view.held else _indexes_of(replicas))


def _indexes_of(replicas: Mapping[str, ReplicaView]) -> Indexes:
    return Indexes(
        _index_of(replicas, lambda generation: generation.warm),
        _index_of(replicas, lambda generation: generation.stand_ins),
    )


def _index_of(replicas: Mapping[str, ReplicaView], of: Callable[[Generation], frozenset[int]]) -> Index:
    index: dict[str, dict[int, tuple[str, ...]]] = {}
    for address, view in replicas.items():
        for generation in view.held:
            numbers = of(generation)
            of_version = index.setdefault(generation.version, {}) if numbers else {}
            for number in numbers:
                of_version[number] = (*of_version.get(number, ()), address)
    return index
