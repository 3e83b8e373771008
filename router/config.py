"""What an operator chooses of a router: one dataclass feeds flags, environment variables, help and the docs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from router.access import HOW_TO, Callers
from router.cluster.lines import ToShards
from router.tracking.options import TrackingOptions
from router.trials.canary import CanaryLimits
from router.trials.rehearsal import RehearsalLimits
from trunkshow.eventlog.opening import parse
from trunkshow.membership import source
from trunkshow.serving.limits import at_least
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.telemetry import Level

BATCH_CHUNK_USERS_MAX = 64
"""What a shard takes in one call."""

PROCESSES_MAX = 64


@Parameter(name="*")
@dataclass(frozen=True)
class RouterConfig:
    """A router's configuration."""

    store: str
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    shards: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Addresses of the shards, HOST:PORT each; none where `members` says where to find them."""

    members: str = ""
    """Where the shards are looked up, again and again: file:PATH, dns:NAME:PORT, srv:NAME or static:HOST:PORT,…."""

    snapshot: str = ""
    """Snapshot version to serve, whatever the store's pointer says; the pointer is followed where empty."""

    cache: Path | None = None
    """Folder for copies of what is read from the store, so that a start does not need it; none are kept without."""

    fallback: Path | None = None
    """Folder that `trunkshow fallback` made: an empty cache is filled from it while the store is away; one that is not
    there is none."""

    verify_key: Path | None = None
    """File of the public key (PEM, Ed25519) that snapshots must be signed with; unsigned ones are served without."""

    listen: str = "127.0.0.1:7450"
    """HOST:PORT to listen on; port 0 lets the system choose."""

    processes: int = 1
    """Processes that listen there together, at most 64: one uses one processor. Each is a router of its own, with its
    own memory, limits and lines to shards; a connection is one of theirs for as long as it lasts."""

    process: int = 0
    """Which of several this one is, from 1 on; said by the one that starts them, and 0 of a router that is alone."""

    deadline_ms: float = 200
    """Milliseconds within which a slate is answered, unless the caller's own deadline is shorter."""

    batch_deadline_ms: float = 2000
    """Milliseconds within which a batch is answered, unless the caller's own is shorter."""

    reserve_ms: float = 15
    """Milliseconds kept from the shards for merging and for the ladder until it was learned; less than the deadline."""

    reserve_floor_ms: float = 10
    """The least that is kept, whatever was learned; where `reserve_ms` is less, that."""

    reserve_ceiling_ms: float = 60
    """The most that is kept; where `reserve_ms` is more, that."""

    concurrency_max: int = 1024
    """Slates made with shards at a time, at most; the limit below that finds itself. Beyond it answers are resident."""

    concurrency_start: int = 128
    """The limit before anything was learned."""

    concurrency_floor: int = 1
    """The limit never falls below that."""

    answer_goal: float = 0.3
    """Share of the deadline, or of what a slow network leaves of it, within which half of the shards' answers are to
    come; where they take longer because so many are asked for, the limit falls."""

    batch_reserve_ms: float = 100
    """The same of a batch, beside half a millisecond for each of its users who has no answer yet."""

    probes: int = 4
    """Partitions asked for a user who is folded in from the items in hand."""

    batch_chunk_users: int = 32
    """Users that one call to a shard carries in a batch, at most 64; fewer where the shard takes no more."""

    batch_chunks_in_flight: int = 2
    """Chunks of one batch that wait on the same shard at a time, so that single requests get in between."""

    pointer_period_s: float = 0.25
    """Seconds between two looks at the store's pointer; a rollback is heard of within them."""

    move_replicas: int = 2
    """Shards that must have a partition of a new snapshot warm before its traffic moves; fewer where fewer hold it."""

    move_patience_s: float = 30
    """Seconds after which one of them is enough."""

    rehearsal: RehearsalLimits = RehearsalLimits()
    """What a candidate must keep to when recent requests are replayed on it."""

    canary: CanaryLimits = CanaryLimits()
    """When a candidate that is shown to a few users is rolled back, and when it is promoted."""

    log: str = ""
    """Event log to record in: nats://HOST:PORT[,HOST:PORT…]/STREAM or kafka://HOST:PORT[,…]/TOPIC; none where empty."""

    forgotten_first: bool = False
    """Serve nobody until it is known who is to be forgotten, however long the log does not tell. By default that is
    waited for 5 seconds, and whoever is not known of then is served until the log is back."""

    record_deadline_ms: float = 2000
    """Milliseconds within which a call's events are in the log, unless the caller's own deadline is shorter."""

    record_mib_max: float = 64
    """MiB of events on their way into the log at a time; beyond it callers are told to come back."""

    log_days: float = 30
    """Days that the log keeps events, where this router makes it; older ones are refused."""

    log_gib_max: float = 8
    """GiB that it keeps at most, where this router makes it; once full it takes no more until old ones are gone."""

    log_copies: int = 1
    """Servers that keep each event, where this router makes the log."""

    tracking: Annotated[TrackingOptions, Parameter(name="*")] = TrackingOptions()
    """Events from browsers and e-mails."""

    direct: bool = False
    """Tell clients where users live, and which shards hold that, so that they can ask those themselves."""

    direct_route_s: float = 30
    """Seconds that a client may use what it was told of a user, and the grant that shards let it in by."""

    watch_silence_s: float = 3
    """Seconds after which a silent shard counts as unreachable; shards report every second."""

    drain_s: float = 5
    """Seconds that requests in flight get to finish after SIGTERM."""

    server: Annotated[ServerOptions, Parameter(name="*")] = ServerOptions()
    """What every server has: limits, metrics, who may connect."""

    callers: Annotated[Callers, Parameter(name="*")] = Callers()
    """Who may call."""

    to_shards: Annotated[ToShards, Parameter(name="*")] = ToShards()
    """What the router shows to shards."""

    log_level: Level = "info"
    """Lowest level that is logged: debug, info, warning or error."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        self._check_places()
        at_least(0, move_patience_s=self.move_patience_s, reserve_floor_ms=self.reserve_floor_ms)
        at_least(self.reserve_floor_ms, reserve_ceiling_ms=self.reserve_ceiling_ms)
        at_least(1, concurrency_floor=self.concurrency_floor)
        at_least(self.concurrency_floor, concurrency_start=self.concurrency_start)
        at_least(self.concurrency_start, concurrency_max=self.concurrency_max)
        self._check_processes()
        if not 0 < self.answer_goal <= 1:
            raise ValueError(f"answer_goal: {self.answer_goal}; a share of the deadline, above 0 and at most 1")
        at_least(1, move_replicas=self.move_replicas)
        at_least(0, reserve_ms=self.reserve_ms, batch_reserve_ms=self.batch_reserve_ms, drain_s=self.drain_s)
        at_least(1, deadline_ms=self.deadline_ms, batch_deadline_ms=self.batch_deadline_ms, probes=self.probes)
        at_least(1, record_deadline_ms=self.record_deadline_ms, record_mib_max=self.record_mib_max)
        at_least(1, log_copies=self.log_copies)
        at_least(0.001, log_days=self.log_days, log_gib_max=self.log_gib_max)
        at_least(1, batch_chunk_users=self.batch_chunk_users, batch_chunks_in_flight=self.batch_chunks_in_flight)
        if self.batch_chunk_users > BATCH_CHUNK_USERS_MAX:
            raise ValueError(
                f"batch_chunk_users: {self.batch_chunk_users}; shards take at most {BATCH_CHUNK_USERS_MAX}"
            )
        for name in ("watch_silence_s", "pointer_period_s", "direct_route_s"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"{name}: {seconds}; must be above 0")
        _less_than("deadline_ms", self.deadline_ms, reserve_ms=self.reserve_ms)
        _less_than("batch_deadline_ms", self.batch_deadline_ms, batch_reserve_ms=self.batch_reserve_ms)
        self.server.exposure(self.listen, self.callers.known(self.server), HOW_TO)
        if self.tracking.http_listen and not self.log:
            raise ValueError("http_listen: given without log; there is nothing to record events in")
        self.tracking.exposure(tls=self.server.tls_cert is not None, insecure=self.server.insecure)

    def _check_processes(self) -> None:
        if not 1 <= self.processes <= PROCESSES_MAX:
            raise ValueError(f"processes: {self.processes}; 1 to {PROCESSES_MAX}")
        if not 0 <= self.process <= self.processes:
            raise ValueError(f"process: {self.process}; there are {self.processes}")
        chosen = [listen for listen in (self.listen, self.tracking.http_listen) if listen.endswith(":0")]
        if self.processes > 1 and chosen:
            raise ValueError(f"processes: {self.processes} cannot share a port that the system chooses: {chosen[0]}")

    def _check_places(self) -> None:
        """Where the shards, the log and the copies are."""
        if bool(self.shards) == bool(self.members):
            raise ValueError("shards: give either their addresses, or where to look them up as members")
        if self.members:
            source(self.members)
        if len(set(self.shards)) < len(self.shards):
            raise ValueError(f"shards: an address comes twice in {', '.join(self.shards)}")
        if self.log:
            parse(self.log)
        elif self.forgotten_first:
            raise ValueError("forgotten_first: given without log; nobody could tell who is to be forgotten")
        if self.fallback is not None and self.cache is None:
            raise ValueError("fallback: it fills a cache; name a folder for one, too")


def _less_than(limit: str, most: float, **settings: float) -> None:
    for name, value in settings.items():
        if not value < most:
            raise ValueError(f"{name}: {value}; must be less than {limit}, which is {most}, or no shard is ever asked")
