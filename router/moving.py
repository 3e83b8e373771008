"""When a partition's traffic moves to a new snapshot: a value over what the topology says, and the time.

    waiting → moved    enough replicas have it warm, or one has had it for `patience_s`
    moved   → moved    for as long as this snapshot is the current one, whatever becomes of its replicas

Rules:

1. Enough is `replicas` of the router's configuration; fewer where fewer shards stay, and no more than hold any one
   partition of the snapshot before, since that is what this cluster keeps.
2. Of those who have it warm, only the shards that stay count.
3. Where there is no snapshot before, there is nothing to wait on: everything has moved.
4. A partition that has moved stays moved. When its replicas die, its users are served by the ladder, and do not
   commute between two snapshots.

What an unmoved partition's users get is `router.route`'s to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from router.topology import Topology


@dataclass(frozen=True)
class Patience:
    """What a partition's move waits for.

    Attributes:
        replicas: that have it warm.
        patience_s: after one replica has had it warm for so long, that one is enough.
    """

    replicas: int = 2
    patience_s: float = 10.0


@dataclass(frozen=True)
class Moves:
    """How far the traffic of one snapshot has moved.

    Attributes:
        version: that it moves to.
        before: that it moves from; empty where there is none.
        partitions: of the snapshot.
        moved: those whose users are served from it.
        warm_since: when a partition that has not moved was first warm somewhere, in seconds of the monotonic clock.
    """

    version: str
    before: str = ""
    partitions: int = 0
    moved: frozenset[int] = frozenset()
    warm_since: Mapping[int, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything has moved."""
        return not self.before or len(self.moved) >= self.partitions

    def has(self, partition: int) -> bool:
        """Whether this partition's users are served from the new snapshot."""
        return not self.before or partition in self.moved

    @property
    def count(self) -> int:
        """How many partitions have moved."""
        return self.partitions if not self.before else len(self.moved)

    def advanced(self, topology: Topology, patience: Patience, now: float) -> Moves:
        """After a look at the topology; the same value where nothing has changed."""
        if self.complete:
            return self
        enough = wanted(topology, self.before, patience.replicas)
        moved, warm_since = set(self.moved), dict[int, float]()
        for number in range(self.partitions):
            if number in self.moved:
                continue
            warm = staying_holders(topology, self.version, number)
            if warm:
                warm_since[number] = self.warm_since.get(number, now)
            if warm >= enough or (warm and now - warm_since[number] >= patience.patience_s):
                moved.add(number)
                warm_since.pop(number, None)
        if len(moved) == len(self.moved) and warm_since == self.warm_since:
            return self
        return replace(self, moved=frozenset(moved), warm_since=warm_since)


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
