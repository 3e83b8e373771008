"""The cluster as its router sees it: plain frozen values around the contract of `cluster.proto`.

For operators and for the command line; a caller who wants slates needs `trunkshow.answers` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from trunkshow.online.trends import NO_TRENDS, Trends, chosen
from trunkshow.receipts import Rung
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
    """One snapshot as a shard holds it: partitions that can be asked for, on the way, and refused.

    Attributes:
        stand_ins: homes of whose users the shard has compact copies open.
        surplus: of the warm ones, those that it keeps only until other shards have them.
        refused_stand_ins: homes of whose users the copies failed their checks.
    """

    snapshot_version: str
    warm: tuple[int, ...]
    loading: tuple[int, ...]
    refused: tuple[int, ...]
    stand_ins: tuple[int, ...] = ()
    surplus: tuple[int, ...] = ()
    refused_stand_ins: tuple[int, ...] = ()

    @classmethod
    def from_message(cls, message: shard_pb2.GenerationStatus) -> Generation:
        """The generation of a status."""
        held = (message.warm, message.loading, message.refused, message.stand_ins)
        return cls(message.snapshot_version, *map(tuple, (*held, message.surplus, message.refused_stand_ins)))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "snapshot_version": self.snapshot_version,
            "warm": list(self.warm),
            "loading": list(self.loading),
            "refused": list(self.refused),
            "stand_ins": list(self.stand_ins),
            "surplus": list(self.surplus),
            "refused_stand_ins": list(self.refused_stand_ins),
        }


@dataclass(frozen=True, slots=True)
class ShardView:
    """A shard as the router sees it; `state` and what follows are the last that it said of itself.

    Attributes:
        p95_ms: of its recent answers; 0 where there are too few.
        ejected: others are asked first, since it failed or lagged.
        cancelled: predictions that the router did not need any more.
        refused_work: predictions that it turned away, since their time could not be kept.
        forgotten: watermark of the tombstones that it has read; empty where it follows no event log.
        trends: what it found to trend; not in `to_json`.
    """

    address: str
    reachable: bool
    in_flight: int
    last_error: str
    state: ShardState
    generations: tuple[Generation, ...]
    requests: int
    rss_bytes: int
    p95_ms: float = 0.0
    ejected: bool = False
    cancelled: int = 0
    refused_work: int = 0
    forgotten: str = ""
    trends: Trends = NO_TRENDS

    @classmethod
    def from_message(cls, message: cluster_pb2.ReplicaStatus) -> ShardView:
        """The shard of a status."""
        return cls(
            address=message.address,
            reachable=message.reachable,
            in_flight=message.in_flight,
            last_error=message.last_error,
            p95_ms=message.p95_ms,
            ejected=message.ejected,
            state=ShardState(message.status.state),
            generations=tuple(map(Generation.from_message, message.status.generations)),
            requests=message.status.requests,
            rss_bytes=message.status.rss_bytes,
            cancelled=message.status.cancelled,
            refused_work=message.status.refused_work,
            forgotten=message.status.forgotten,
            trends=Trends.from_message(message.status.trends) if message.status.HasField("trends") else NO_TRENDS,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "address": self.address,
            "reachable": self.reachable,
            "in_flight": self.in_flight,
            "last_error": self.last_error,
            "p95_ms": self.p95_ms,
            "ejected": self.ejected,
            "state": self.state.name,
            "generations": [generation.to_json() for generation in self.generations],
            "requests": self.requests,
            "rss_bytes": self.rss_bytes,
            "cancelled": self.cancelled,
            "refused_work": self.refused_work,
            "forgotten": self.forgotten,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A snapshot on its way to become the current one.

    Attributes:
        phase: rehearsing or canary.
        share: of users to whom a canary is shown.
        requests: compared so far.
        partitions_covered: warm on enough shards.
        verdict: so far, in words.
    """

    snapshot_version: str
    phase: str
    share: float
    requests: int
    partitions_covered: int
    verdict: str

    @classmethod
    def from_message(cls, message: cluster_pb2.Candidate) -> Candidate:
        """The candidate of a status."""
        return cls(
            message.snapshot_version,
            message.phase,
            message.share,
            message.requests,
            message.partitions_covered,
            message.verdict,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LogView:
    """The event log as the router sees it.

    Attributes:
        url: of it, without credentials.
        reachable: it answered a moment ago.
        position: the newest watermark that the router heard of; empty before the first.
        last_error: why it is not reachable.
        forgotten: watermark of the tombstones that the router has read; empty before the first.
    """

    url: str
    reachable: bool
    position: str
    last_error: str
    forgotten: str = ""

    @classmethod
    def from_message(cls, message: cluster_pb2.EventLogStatus) -> LogView:
        """The log of a status."""
        return cls(message.url, message.reachable, message.position, message.last_error, message.forgotten)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The shards in membership order, how much of the snapshot is covered, and what has been served.

    Attributes:
        previous_version: that the router can step down to; empty where there is none.
        candidate: that is being tried; None where there is none.
        partitions_moved: of the current snapshot, that are served from it; the others from the previous one.
        shed: requests answered from resident lists at once, since the router was at its limit.
        event_log: that events are recorded in; None where there is none.
    """

    snapshot_version: str
    partitions: int
    partitions_covered: int
    shards: tuple[ShardView, ...]
    rungs: Mapping[Rung, int]
    requests: int
    previous_version: str = ""
    candidate: Candidate | None = None
    partitions_moved: int = 0
    store_reachable: bool = True
    shed: int = 0
    hedges: int = 0
    concurrency_limit: int = 0
    in_flight: int = 0
    event_log: LogView | None = None

    @property
    def trends(self) -> Trends:
        """What trends now, as routers choose it from what shards say."""
        return chosen(shard.trends for shard in self.shards if shard.reachable)

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
            previous_version=message.previous_version,
            candidate=Candidate.from_message(message.candidate) if message.HasField("candidate") else None,
            partitions_moved=message.partitions_moved,
            store_reachable=message.store_reachable,
            shed=message.shed,
            hedges=message.hedges,
            concurrency_limit=message.concurrency_limit,
            in_flight=message.in_flight,
            event_log=LogView.from_message(message.event_log) if message.HasField("event_log") else None,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "snapshot_version": self.snapshot_version,
            "previous_version": self.previous_version,
            "candidate": self.candidate.to_json() if self.candidate else None,
            "partitions": self.partitions,
            "partitions_covered": self.partitions_covered,
            "shards": [shard.to_json() for shard in self.shards],
            "rungs": {rung.name: carousels for rung, carousels in self.rungs.items()},
            "requests": self.requests,
            "partitions_moved": self.partitions_moved,
            "store_reachable": self.store_reachable,
            "shed": self.shed,
            "hedges": self.hedges,
            "concurrency_limit": self.concurrency_limit,
            "in_flight": self.in_flight,
            "event_log": self.event_log.to_json() if self.event_log else None,
        }
