"""A shard process, from configuration to exit: listen, keep what it should hold, serve, hand over, leave."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from shard import numbers
from shard.config import ShardConfig
from shard.holdings import Limits
from shard.keeper import Keeper
from shard.service import ShardService
from trunkshow.membership import Membership
from trunkshow.serving import metrics, server, telemetry
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, open_store

log = structlog.get_logger()


def run(config: ShardConfig) -> None:
    """Serve until SIGTERM or SIGINT; blocking.

    Raises:
        StoreError: the store holds no such snapshot.
        SnapshotRefused: the snapshot's shared files fail a check, and there is none before it.
    """
    telemetry.configure(config.log_level, user_ids=config.server.log_user_ids, role="shard", shard=config.own_name)
    store = open_store(config.store, config.cache, config.verify_key)
    server.run(_serve(config, store))


async def _serve(config: ShardConfig, store: Store) -> None:
    guard = config.routers.guard()  # first: it may find that its files are no good
    service = ShardService(config, config.own_name)
    keeper = Keeper(
        store,
        config.own_name,
        replicas=config.replicas,
        limits=Limits(config.previous_mib_max << 20, config.handover_s),
        warm_requests=config.warm_requests,
        variance=config.variance,
        changed=service.changed,
    )
    service.serve(keeper)
    metrics.reading("shard", lambda: numbers.of(service.status()))
    running: list[asyncio.Task[None]] = []

    async def ready() -> None:
        running.extend(_running(config, keeper))  # not before the door: what cannot listen must not begin to load
        getting_ready = asyncio.ensure_future(keeper.ready())
        # A bug in what keeps the shard must end the process, not leave it waiting.
        await asyncio.wait({getting_ready, *running}, return_when=asyncio.FIRST_COMPLETED)
        for task in (getting_ready, *running):
            if task.done():
                task.result()

    async def draining() -> None:
        service.drain()
        await keeper.handed_over()

    try:
        await server.serve(
            [service.service()],
            listen=config.listen,
            drain_s=config.drain_s,
            ready=ready,
            draining=draining,
            handover_s=config.leave_s,
            options=config.server,
            guard=guard,
        )
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    keeper.close()


def _running(config: ShardConfig, keeper: Keeper) -> list[asyncio.Task[None]]:
    """What keeps the shard as it should be, started."""
    members = Membership(config.membership())
    work = [
        keeper.run(),
        members.follow(keeper.joined, period_s=config.members_period_s),
    ]
    if config.snapshot:
        keeper.pointed(Pointer(states={config.snapshot: State.CURRENT}))
    else:
        work.append(keeper.follow(config.pointer_period_s))
    return [asyncio.create_task(_loudly(one)) for one in work]


async def _loudly(work: Coroutine[Any, Any, None]) -> None:
    """What fails here is a bug: the log has it at once, not when somebody asks the task."""
    try:
        await work
    except Exception as error:
        log.critical("keeper.failed", exc_info=error)
        raise
