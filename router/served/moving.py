"""When a partition's traffic moves to a new snapshot: a value over what the topology says, and the time.

    waiting → moved    the snapshot is whole, and enough replicas have it warm, or one has had it for `patience_s`
    moved   → moved    for as long as this snapshot is the current one, whatever becomes of its replicas

Rules:

1. Enough is `replicas` of the router's configuration; fewer where fewer shards stay, and no more than hold any one
   partition of the snapshot before, since that is what this cluster keeps.
2. Of those who have it warm, only the shards that stay count.
3. Where there is no snapshot before, there is nothing to wait on: everything has moved.
4. A partition that has moved stays moved. When its replicas die, its users are served by the ladder, and do not
   commute between two snapshots.
5. A snapshot is whole once each of its partitions was seen warm somewhere: one of whose files is spoilt is not served
   from the others. So it is with the compact copies of users, as far as shards said that they bring them: one that
   says so no more may have seen before this router did that the snapshot was taken back. What nobody refused holds the
   others up no longer than `patience_s` after the first partition was warm; what was refused, and is warm nowhere, does
   so for good (`router.trials.recall` has it taken back).
6. Where for `patience_s` no shard has anything of the snapshot before, while some have the new one's, everything has
   moved: there is nothing to wait with.

What an unmoved partition's users get is `router.served.route`'s to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from router.cluster.topology import Generation, Topology


@dataclass(frozen=True)
class Patience:
    """What a partition's move waits for.

    Attributes:
        replicas: that have it warm.
        patience_s: after one replica has had it warm for so long, that one is enough.
    """

    replicas: int = 2
    patience_s: float = 30.0


@dataclass(frozen=True)
class Moves:
    """How far the traffic of one snapshot has moved.

    Attributes:
        version: that it moves to.
        before: that it moves from; empty where there is none.
        partitions: of the snapshot.
        moved: those whose users are served from it.
        warm_since: when a partition that has not moved was first warm somewhere, in seconds of the monotonic clock.
        whole: every partition of it was warm somewhere, and its copies, or has been waited for.
        begun: when the first partition was warm somewhere; None before.
        lost: since when nobody has anything of the snapshot before; None where somebody has.
        doubted: partitions whose users' compact copies were refused, and that nobody has had since.
        coming: partitions whose users' compact copies a shard said that it brings, and that nobody has had since.
    """

    version: str
    before: str = ""
    partitions: int = 0
    moved: frozenset[int] = frozenset()
    warm_since: Mapping[int, float] = field(default_factory=dict)
    whole: bool = False
    begun: float | None = None
    lost: float | None = None
    doubted: frozenset[int] = frozenset()
    coming: frozenset[int] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether everything has moved."""
        return not self.before or len(self.moved) >= self.partitions

    def has(self, partition: int) -> bool:
        """Whether this partition's users are served from the new snapshot."""
        return not self.before or partition in self.moved

    @property
    def may_serve(self) -> bool:
        """Whether the new snapshot may stand in where the one before fails: it is whole, or nothing else is left."""
        return self.whole or self.complete or self.lost is not None

    @property
    def count(self) -> int:
        """How many partitions have moved."""
        return self.partitions if not self.before else len(self.moved)

    def advanced(self, topology: Topology, patience: Patience, now: float) -> Moves:
        """After a look at the topology; the same value where nothing has changed."""
        if self.complete:
            return self
        moves = self._looked(topology, patience, now)
        if moves.lost is not None and now - moves.lost >= patience.patience_s:
            return replace(moves, moved=frozenset(range(self.partitions)), warm_since={})
        return moves._moved_on(topology, patience, now) if moves.whole else moves

    def _looked(self, topology: Topology, patience: Patience, now: float) -> Moves:
        """With what is warm now, and since when; nothing has moved by that."""
        warm = [number for number in range(self.partitions) if topology.holders(self.version, number)]
        waits = [
            number for number in warm if number not in self.moved and staying_holders(topology, self.version, number)
        ]
        begun = self.begun if self.begun is not None or not warm else now
        gone = bool(warm) and not topology.covered(self.before)
        seen = replace(
            self,
            warm_since={number: self.warm_since.get(number, now) for number in waits},
            whole=self.whole or self._is_whole(topology, len(warm), begun, patience, now),
            doubted=self._doubted_now(topology),
            coming=self._coming_now(topology),
            begun=begun,
            lost=(now if self.lost is None else self.lost) if gone else None,
        )
        return self if seen == self else seen

    def _is_whole(self, topology: Topology, warm: int, begun: float | None, patience: Patience, now: float) -> bool:
        if self._doubted_now(topology):
            return False
        if warm == self.partitions and opened_by_all(topology, self.version) and not self._coming_now(topology):
            return True
        waited = begun is not None and now - begun >= patience.patience_s
        return waited and not spoilt(topology, self.version)

    def _doubted_now(self, topology: Topology) -> frozenset[int]:
        """Copies that were refused, and that nobody has since: a shard that gives a version up refuses it no more."""
        return frozenset((self.doubted | set(spoilt_copies(topology, self.version))) - _copies(topology, self.version))

    def _coming_now(self, topology: Topology) -> frozenset[int]:
        """Copies that a shard brings, or brought, and that nobody has since: they may be spoilt."""
        brought = {number for held in _held(topology, self.version) for number in held.loading_stand_ins}
        return frozenset((self.coming | brought) - _copies(topology, self.version))

    def _moved_on(self, topology: Topology, patience: Patience, now: float) -> Moves:
        enough = wanted(topology, self.before, patience.replicas)
        due = {
            number
            for number, since in self.warm_since.items()
            if now - since >= patience.patience_s or staying_holders(topology, self.version, number) >= enough
        }
        if not due:
            return self
        waiting = {number: since for number, since in self.warm_since.items() if number not in due}
        return replace(self, moved=self.moved | due, warm_since=waiting)


def spoilt(topology: Topology, version: str) -> list[int]:
    """Partitions of a snapshot that some shard refused, and that nobody holds or is loading."""
    held = _held(topology, version)
    refused = {number for generation in held for number in generation.refused}
    hoped = {number for generation in held for number in generation.warm | generation.loading}
    return sorted(refused - hoped)


def spoilt_copies(topology: Topology, version: str) -> list[int]:
    """Partitions of whose users some shard refused the compact copies, and nobody holds or is loading them."""
    held = _held(topology, version)
    refused = {number for generation in held for number in generation.refused_stand_ins}
    hoped = {number for generation in held for number in generation.stand_ins | generation.loading_stand_ins}
    return sorted(refused - hoped)


def _copies(topology: Topology, version: str) -> set[int]:
    """Partitions of whose users some shard has the compact copies."""
    return {number for generation in _held(topology, version) for number in generation.stand_ins}


def opened_by_all(topology: Topology, version: str) -> bool:
    """Whether every shard that stays has opened a version, so that it says what it refused and what it is loading."""
    staying = [view for view in topology.replicas.values() if view.stays]
    return all(any(one.version == version for one in view.held) for view in staying)


def opened_by_some(topology: Topology, version: str) -> bool:
    """Whether a shard has opened a version: the files that all of its partitions share passed their checks there."""
    return bool(_held(topology, version))


def _held(topology: Topology, version: str) -> list[Generation]:
    """A snapshot as each reachable shard holds it."""
    return [
        generation for view in topology.replicas.values() for generation in view.held if generation.version == version
    ]


def wanted(topology: Topology, before: str, replicas: int) -> int:
    """How many replicas are enough (rule 1); at least one."""
    staying = [view for view in topology.replicas.values() if view.stays]
    held = Counter(
        number
        for view in staying
        for generation in view.held
        if generation.version == before
        for number in generation.warm
    )
    kept = max(held.values(), default=replicas)
    return max(1, min(replicas, len(staying), kept))


def staying_holders(topology: Topology, version: str, partition: int) -> int:
    """How many shards that stay have a partition warm."""
    return sum(topology.replicas[address].stays for address in topology.holders(version, partition))
