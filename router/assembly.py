"""A router's parts, each made from the configuration: which setting becomes what of which part.

What works on event logs is made in `router.logs`. Nothing is started here. Which parts there are, and what they have to
do with one another, is `router.service`'s to say.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from functools import partial

from router.admission import limit, reserve
from router.admission.limiter import Limiter
from router.admission.reserve import Reserve
from router.asking.fanout import Fanout
from router.asking.replicas import Replicas
from router.cluster.apart import ChannelsApart
from router.cluster.lines import ShardLines
from router.cluster.shard_channel import ShardChannels
from router.cluster.watch import Board
from router.config import RouterConfig
from router.direct.service import DirectService
from router.features.asker import FeatureAsker
from router.recording.recorder import Recorder
from router.served.keeper import Keeper
from router.served.moving import Patience
from router.served.pointing import Pointing
from router.served.views import View, Views
from router.tracking.app import Tracking
from router.tracking.gate import Gate
from router.tracking.intake import Intake
from router.tracking.listener import Listener
from router.tracking.user_tokens import UserTokens
from router.trials.conductor import Conductor
from router.trials.rehearser import Rehearser
from router.trials.replay import Replay
from router.trials.sample import Sample
from trunkshow.offload import aside
from trunkshow.serving import grants
from trunkshow.serving.deadline import Clock
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, who


def limiter_of(config: RouterConfig) -> Limiter:
    """Of slates that are made with shards at a time."""
    bounds = limit.Bounds(
        goal_ms=config.answer_goal * config.deadline_ms,
        deadline_ms=config.deadline_ms,
        floor=config.concurrency_floor,
        start=config.concurrency_start,
        ceiling=config.concurrency_max,
    )
    return Limiter(bounds)


def reserve_of(config: RouterConfig) -> Reserve:
    """Of the time that is kept for the ladder; the bounds give way to where it starts."""
    ms = config.reserve_ms
    return Reserve(reserve.Bounds(ms, min(ms, config.reserve_floor_ms), max(ms, config.reserve_ceiling_ms)))


def patience_of(config: RouterConfig) -> Patience:
    """When a partition is warm on enough shards."""
    return Patience(config.move_replicas, config.move_patience_s)


def keeper_of(views: Views, store: Store | None) -> Keeper:
    """Who holds what is served; what it closes, the store need keep no copies of here.

    Args:
        views: to begin with.
        store: that they are from.
    """
    if store is None:
        return Keeper(views)
    return Keeper(views, lambda version: aside("forgetting", partial(store.forget, version)))


def pointing_of(
    config: RouterConfig, store: Store, keeper: Keeper, board: Board, settled: Callable[[], None], clock: Clock
) -> Pointing:
    """Who follows a store's pointer.

    Args:
        config: of the process.
        store: whose pointer it is.
        keeper: who is given what the pointer names.
        board: with the newest topology.
        settled: called when that was done.
        clock: monotonic.
    """
    return Pointing(
        lambda: (store.pointer(), store.reachable),
        partial(opened, store),
        keeper,
        every_s=config.pointer_period_s,
        topology=lambda: board.topology,
        settled=settled,
        clock=clock,
    )


def conductor_of(
    config: RouterConfig,
    store: Store,
    pointing: Pointing,
    sample: Sample,
    *,
    keeper: Keeper,
    board: Board,
    shards: ShardChannels,
    busy: Callable[[], bool],
    clock: Clock,
) -> Conductor:
    """Who tries candidates.

    Args:
        config: of the process.
        store: whose pointer a verdict moves.
        pointing: who follows it.
        sample: of recent requests.
        keeper: of the views that are served.
        board: with the newest topology.
        shards: the lines that are open.
        busy: whether the router is at its limit.
        clock: monotonic.
    """
    replay = replay_of(config, shards, board, clock)
    return Conductor(
        keeper,
        board,
        Rehearser(keeper, replay, sample, config.rehearsal, busy=busy, chance=random.random, clock=clock),
        store.move,
        partial(who, by=f"router {config.listen}"),
        named=lambda: pointing.candidate,
        refused=lambda: pointing.refused,
        spoilt=lambda: pointing.spoilt,
        warm_s=config.rehearsal.rehearsal_warm_s,
        canary=config.canary,
        patience=patience_of(config),
        clock=clock,
    )


def replay_of(config: RouterConfig, shards: ShardChannels, board: Board, clock: Clock) -> Replay:
    """Who asks shards again: as for shoppers, but that how it goes decides nothing for these.

    A candidate that fails or hangs would otherwise have healthy shards asked last, spend the hedges that a slow shard
    needs, and lower the limit; and the less shoppers ask, the more of all that is seen would be its doing.
    """
    fanout = Fanout(ChannelsApart(shards), board, asks_for="rehearsal", clock=clock)
    return Replay(fanout, deadline_ms=config.deadline_ms, probes=config.probes, clock=clock)


def feature_asker_of(shards: ShardChannels, board: Board, fanout: Fanout, clock: Clock) -> FeatureAsker:
    """Who asks shards for features: of the same replicas, with the health that slates found."""
    return FeatureAsker(Replicas(shards, board, fanout.infirmary), clock)


def listener_of(config: RouterConfig, recorder: Recorder) -> Listener | None:
    """Who takes events from browsers; None where nobody does.

    Raises:
        ValueError: a file cannot be read.
    """
    chosen, server = config.tracking, config.server
    if not chosen.http_listen:
        return None
    signatures = UserTokens(chosen.http_user_key) if chosen.http_user_key else None
    intake = Intake(recorder, Gate(chosen), signatures, deadline_ms=config.record_deadline_ms)
    return Listener(
        Tracking(intake, chosen.http_origins, chosen.http_body_bytes_max).app(),
        connections_max=chosen.http_connections_max,
        proxies=chosen.http_proxies,
        tls=(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None,
        drain_s=config.drain_s,
    )


def direct_of(
    config: RouterConfig,
    keeper: Keeper,
    board: Board,
    lines: ShardLines,
    *,
    unwell: Callable[[], Collection[str]],
    forgotten: Callable[[], str],
) -> DirectService | None:
    """Who tells clients which shards to ask themselves; None where nobody is to.

    Args:
        config: of the process.
        keeper: of what is served.
        board: with the newest topology.
        lines: to shards, whose token grants are made with.
        unwell: shards that are asked last.
        forgotten: watermark of the tombstones that were read.
    """
    if not config.direct:
        return None

    def grant(seconds: float) -> str:
        return "" if lines.token is None else grants.issue(lines.token, time.time() + seconds)

    return DirectService(
        keeper,
        board,
        unwell=unwell,
        forgotten=forgotten,
        grant=grant,
        deadline_ms=config.deadline_ms,
        route_s=config.direct_route_s,
    )


def opened(store: Store, version: str) -> View:
    """A version of a store as a view. Blocking: it reads every shared file.

    Raises:
        StoreError: there is no such snapshot.
        SnapshotRefused: it fails a check.
    """
    return View.of(Snapshot.open(store, version))
