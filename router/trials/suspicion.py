"""What is held against a version of which shards refused something: a value over what the topology says, and the time.

Rules:

1. A partition, or the compact copies of its users, is blamed where some shard refused it, and no reachable shard has it
   warm or is loading it.
2. It counts as spoilt once every shard that stays has opened the version: who has not may yet bring a good copy. One
   bad disk is no bad snapshot.
3. It must have been so for `PATIENCE_S`.

What follows is `router.trials.recall`'s business for the current version, and `router.trials.course`'s for a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router.cluster.topology import Generation, Topology
from router.served.moving import opened_by_all, spoilt, spoilt_copies

PATIENCE_S = 1.0
"""Longer than a shard takes to say that it is loading what another one has just refused."""

NAMED_MAX = 5
"""Partitions that a message names."""


@dataclass(frozen=True)
class Suspicion:
    """A version of which something counts as spoilt.

    Attributes:
        version: that it is about.
        since: in seconds of the monotonic clock.
        why: which partitions, and what a shard said of one of them.
    """

    version: str
    since: float
    why: str

    def is_certain(self, now: float) -> bool:
        """Whether it has been so for long enough (rule 3)."""
        return now - self.since >= PATIENCE_S


def suspected(before: Suspicion | None, version: str, topology: Topology, now: float) -> Suspicion | None:
    """What is held against a version now; None where nothing is."""
    why = held_against(topology, version)
    if not why:
        return None
    since = before.since if before is not None and before.version == version else now
    return Suspicion(version, since, why)


def held_against(topology: Topology, version: str) -> str:
    """What of a version is spoilt, and which shard refused it, and why (rules 1 and 2); empty where nothing is."""
    return blamed(topology, version) if opened_by_all(topology, version) else ""


def blamed(topology: Topology, version: str) -> str:
    """What of a version was refused, and is nobody's, whoever has still to look (rule 1); empty where nothing is."""
    if lost := spoilt(topology, version):
        witness = _witness(topology, version, lambda one: lost[0] in one.refused)
        return f"shards refused partition {_named(lost)}, and nobody has it; {witness}"
    if lost := spoilt_copies(topology, version):
        witness = _witness(topology, version, lambda one: lost[0] in one.refused_stand_ins)
        return f"shards refused the copies of the users of partition {_named(lost)}, and nobody has them; {witness}"
    return ""


def _named(lost: Sequence[int]) -> str:
    return ", ".join(map(str, lost[:NAMED_MAX])) + (", …" if len(lost) > NAMED_MAX else "")


def _witness(topology: Topology, version: str, refused: Callable[[Generation], bool]) -> str:
    """A shard that refused something of a version, and what it said."""
    return next(
        f"{view.name}: {one.why_refused or 'its log says why'}"
        for view in topology.replicas.values()
        for one in view.held
        if one.version == version and refused(one)
    )
