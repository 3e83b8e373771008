"""A shard process, from configuration to exit: listen, keep what it should hold, serve, hand over, leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time

from shard import numbers
from shard.config import ShardConfig
from shard.keeper import Keeper
from shard.online.features import FeatureCounters, FeatureReader
from shard.online.port import NO_LOG
from shard.online.statistics import Statistic
from shard.online.trends import Trendspotting
from shard.online.upkeep import Upkeep
from shard.scene import Limits
from shard.service import ShardService
from trunkshow.eventlog.log import EventLog
from trunkshow.eventlog.opening import open_items, open_log, open_tombstones
from trunkshow.eventlog.settings import READ_ONLY
from trunkshow.membership import Membership
from trunkshow.online.forgotten_file import ForgottenFile
from trunkshow.serving import life, metrics, telemetry
from trunkshow.serving.tasks import Tasks
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, open_store


def run(config: ShardConfig) -> None:
    """Serve until SIGTERM or SIGINT; blocking.

    Raises:
        StoreError: the store holds no such snapshot.
        SnapshotRefused: the snapshot's shared files fail a check, and there is none before it.
    """
    telemetry.configure(config.log_level, user_ids=config.server.log_user_ids, role="shard", shard=config.own_name)
    store = open_store(config.store, config.cache, config.verify_key)
    life.run(_serve(config, store))


async def _serve(config: ShardConfig, store: Store) -> None:
    guard = config.routers.guard()  # first: it may find that its files are no good
    service = ShardService(config, config.own_name)
    source = open_log(config.log, READ_ONLY) if config.log else None
    tombstones = open_tombstones(config.log, READ_ONLY) if config.log else None
    items = open_items(config.log, READ_ONLY) if config.log else None
    trends = Trendspotting(
        lambda user: upkeep.opened.segment_of(user) if upkeep is not None else "",
        lambda item: upkeep.opened.usual_share(item) if upkeep is not None else None,
        wall=lambda: upkeep.statistics.moments.now_ms() / 1000 if upkeep is not None else time(),
    )
    upkeep = _upkeep(config, source, tombstones, items, service, (trends,)) if source is not None else None
    keeper = Keeper(
        store,
        config.own_name,
        replicas=config.replicas,
        limits=Limits(config.previous_mib_max << 20, config.handover_s),
        warm_requests=config.warm_requests,
        variance=config.variance,
        changed=service.changed,
        online=upkeep or NO_LOG,
    )
    service.serve(keeper)
    metrics.reading("shard", lambda: numbers.of(service.status()))
    tasks = Tasks()

    async def ready() -> None:
        _begin(tasks, config, keeper)  # not before the door: what cannot listen must not begin to load
        if upkeep is not None:
            service.trends = upkeep.trends = lambda: trends.now
            tasks.begin("log", upkeep.run())
            tasks.begin("trends", trends.run(upkeep.statistics, upkeep.is_caught_up))
        await keeper.ready()

    async def draining() -> None:
        service.drain()
        await keeper.handed_over()

    try:
        await life.serve(
            [service.service()],
            listen=config.listen,
            drain_s=config.drain_s,
            ready=ready,
            draining=draining,
            handover_s=config.leave_s,
            options=config.server,
            guard=guard,
            tasks=tasks,
        )
    finally:
        await tasks.close()
        for log in (source, tombstones, items):
            if log is not None:
                await log.close()
        keeper.close()


def _upkeep(
    config: ShardConfig,
    source: EventLog,
    tombstones: EventLog | None,
    items: EventLog | None,
    service: ShardService,
    listeners: Sequence[Statistic],
) -> Upkeep:
    """What keeps users' events, and counts everybody's."""
    busy = _busy(lambda: service.answered)
    counters = FeatureCounters(
        config.feature_users_max, config.feature_items_max, lambda: upkeep.statistics.moments.now_ms() / 1000
    )
    upkeep = Upkeep(
        source,
        tombstones,
        (*listeners, counters),
        items=items,
        file=ForgottenFile(config.cache) if config.cache is not None and tombstones is not None else None,
        events_max=config.online_events_max,
        impressions_max=config.online_impressions_max,
        within_s=config.replay_s,
        ids_kept_s=config.event_ids_h * 3600,
        forgotten_first=config.forgotten_first,
        busy=busy,
    )
    counters.lives_here, counters.category_of = upkeep.opened.has, upkeep.opened.category_of
    service.features = FeatureReader(counters, upkeep.statistics, upkeep.follower.progress)
    service.forgotten = lambda: str(upkeep.forgotten.watermark or "")
    upkeep.forgotten.listen(lambda _: service.changed())
    upkeep.forgotten.listen(lambda tombstone: service.kept.forget(tombstone.user_id))
    return upkeep


def _busy(answered: Callable[[], int]) -> Callable[[], bool]:
    """Whether predictions were asked for since the last time that somebody wanted to know."""
    before = answered()

    def busy() -> bool:
        nonlocal before
        before, last = answered(), before
        return before != last

    return busy


def _begin(tasks: Tasks, config: ShardConfig, keeper: Keeper) -> None:
    """Begin what keeps the shard as it should be."""
    tasks.begin("keeper", keeper.run())
    tasks.begin("members", Membership(config.membership()).follow(keeper.joined, period_s=config.members_period_s))
    if config.snapshot:
        keeper.pointed(Pointer(states={config.snapshot: State.CURRENT}))
    else:
        tasks.begin("pointer", keeper.follow(config.pointer_period_s))
