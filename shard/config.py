"""What can be chosen of a shard: one documented value that feeds its flags, its environment and its help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shard.access import HOW_TO, Routers
from trunkshow import membership
from trunkshow.eventlog import opening
from trunkshow.member_names import normal, why_never
from trunkshow.serving.limits import at_least
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.telemetry import Level


@Parameter(name="*")
@dataclass(frozen=True)
class ShardConfig:
    """A shard's configuration."""

    store: str
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    name: str = ""
    """This shard's own address in the membership, as that has it: an IP address with dns:, a name with srv:. The
    listening address where empty."""

    shards: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """The membership: addresses of all shards, this one's among them. Empty: it is alone and holds everything."""

    members: str = ""
    """Instead of a list, where to look the membership up: file:PATH, dns:NAME:PORT, srv:NAME or static:A:1,B:2."""

    members_period_s: float = 1.0
    """Seconds between two looks at the membership."""

    replicas: int = 2
    """How many shards hold each partition; all of them where there are fewer."""

    snapshot: str = ""
    """Snapshot version to stay on; where empty, what the store's pointer names is followed."""

    pointer_period_s: float = 0.25
    """Seconds between two looks at the store's pointer."""

    previous_mib_max: int = 4096
    """MiB of files beside the current version's that stay open, so that rolling back needs no loading: the previous
    version's partitions and what they share, and what is kept of versions that made way; 0 for none. What serves is not
    closed for want of room: until the current version is warm everywhere, the one that serves stays beside it."""

    variance: float = math.inf
    """By how much a version's counts of users, items and events may differ from those of the version before, and still
    be opened: 0.5 lets them be half, or one and a half times as many. No limit by default: `trunkshow promote` has one,
    and whoever lifts it there would have to lift it here; dimensions and the data set must agree anyway."""

    log: str = ""
    """The event log to follow: nats://HOST:PORT/STREAM or kafka://HOST:PORT/TOPIC. Empty: what users did since the
    snapshot is not in their slates."""

    forgotten_first: bool = False
    """Serve nobody until it is known who is to be forgotten, however long the log does not tell. By default that is
    waited for 5 seconds, and whoever is not known of then is served until the log is back."""

    online_events_max: int = 2_000_000
    """Events since the snapshot that are kept, of all users held here; one takes about 300 bytes. Beyond it the users
    of whom nothing was heard for longest are served from the snapshot alone."""

    online_impressions_max: int = 4_000_000
    """Impressions that are kept, of all users held here, 8 bytes each and 300 a user. Beyond it what was shown to the
    users of whom nothing was heard for longest counts no more."""

    feature_users_max: int = 100_000
    """Users of whom feature windows are kept; one takes about 2 KB. Beyond it those of whom nothing was heard for
    longest go, and first those who do not live in what this shard holds."""

    feature_items_max: int = 100_000
    """Items of which feature windows are kept; one takes about 2 KB, and 20 where a lot happens."""

    event_ids_h: float = 24.0
    """Hours for which features and trends know an event by its id, so that it counts once though it is sent again; up
    to 24 bytes each, and 8 million of them at most. One that comes later than they are known is not counted there."""

    replay_s: float = 30.0
    """Seconds after which a partition is served though the log was not replayed for it, of its snapshot alone, until it
    is. Where another shard has the partition, seconds without progress of the replay, and twenty times that at most;
    where no shard has any version of it, one second at most."""

    handover_s: float = 60.0
    """Seconds after which what moved to other shards is given up, though fewer of them have it than should."""

    leave_s: float = 20.0
    """Seconds that a shard takes at most on SIGTERM to hand over what it holds."""

    cache: Path | None = None
    """Folder for copies of what is read from the store, so that a start does not need it; none are kept without."""

    verify_key: Path | None = None
    """File of the public key (PEM, Ed25519) that snapshots must be signed with; unsigned ones are served without."""

    listen: str = "127.0.0.1:7451"
    """Address to listen on, HOST:PORT; port 0 takes a free one."""

    warm_requests: int = 8
    """Requests replayed per partition before it is reported warm."""

    status_period_s: float = 1.0
    """Seconds between signs of life on a watch stream."""

    kept_slates_mib: int = 32
    """MiB of slates that are kept and sent again, while nothing has changed that they rest on; 0 for none. One of two
    carousels takes about 1.5 KB."""

    batch_users_max: int = 64
    """Predictions in one batch; more are refused. Routers hear of it, and send no more."""

    drain_s: float = 5.0
    """Seconds that running requests are given on SIGTERM."""

    server: Annotated[ServerOptions, Parameter(name="*")] = ServerOptions()
    """What every server has: limits, metrics, who may connect."""

    routers: Annotated[Routers, Parameter(name="*")] = Routers()
    """Who may call."""

    log_level: Level = "info"
    """debug, info, warning or error; less than this is not logged."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything starts.

        Raises:
            ValueError: naming the setting, what it was and what is allowed.
        """
        self.routers.check(self.server)
        if self.members and self.shards:
            raise ValueError("members: given beside shards; choose one of them")
        if len(set(map(normal, self.shards))) < len(self.shards):
            raise ValueError(f"shards: an address comes twice in {', '.join(self.shards)}")
        if self.shards and self.own_name not in map(normal, self.shards):
            raise ValueError(f"name: {self.own_name} is not among the shards {', '.join(self.shards)}")
        if self.members and (why := why_never(self.members, self.own_name, given=bool(self.name))):
            raise ValueError(f"name: {why}")
        at_least(1, online_events_max=self.online_events_max, online_impressions_max=self.online_impressions_max)
        at_least(1, feature_users_max=self.feature_users_max, feature_items_max=self.feature_items_max)
        at_least(0, replay_s=self.replay_s, event_ids_h=self.event_ids_h, kept_slates_mib=self.kept_slates_mib)
        if self.log:
            opening.parse(self.log)
        elif self.forgotten_first:
            raise ValueError("forgotten_first: given without log; nobody could tell who is to be forgotten")
        at_least(1, replicas=self.replicas, batch_users_max=self.batch_users_max)
        at_least(0, warm_requests=self.warm_requests, drain_s=self.drain_s)
        at_least(0.001, status_period_s=self.status_period_s)
        self.server.exposure(self.listen, self.routers.known(), HOW_TO)
        at_least(0, previous_mib_max=self.previous_mib_max, handover_s=self.handover_s, leave_s=self.leave_s)
        at_least(0.001, status_period_s=self.status_period_s, pointer_period_s=self.pointer_period_s)
        at_least(0.001, members_period_s=self.members_period_s)
        if not self.variance >= 0:
            raise ValueError(f"variance: {self.variance}; must be at least 0")
        self.membership()

    def membership(self) -> membership.Source:
        """Where the membership is looked up."""
        if self.members:
            return membership.source(self.members)
        return membership.StaticMembers(self.shards or (self.own_name,))

    @property
    def own_name(self) -> str:
        """This shard's address in the membership, in normal form."""
        return normal(self.name or self.listen)
