"""A shard process, from configuration to exit: listen, open the snapshot, warm its partitions, serve, drain."""

from __future__ import annotations

import asyncio

import structlog

from shard import numbers as told
from shard import placement
from shard.config import ShardConfig
from shard.generation import Generation
from shard.service import ShardService
from trunkshow.serving import metrics, server, telemetry
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import shard_pb2 as pb

log = structlog.get_logger()


def run(config: ShardConfig) -> None:
    """Serve until SIGTERM or SIGINT; blocking.

    Raises:
        StoreError: the store holds no such snapshot.
        SnapshotRefused: the snapshot's shared files fail a check.
    """
    name = config.own_name
    telemetry.configure(config.log_level, user_ids=config.server.log_user_ids, role="shard", shard=name)
    store = open_store(config.store, config.cache, config.verify_key)
    snapshot = Snapshot.open(store, config.snapshot)
    server.run(_serve(config, name, snapshot))


async def _serve(config: ShardConfig, name: str, snapshot: Snapshot) -> None:
    service = ShardService(config, name)
    members = config.shards or (name,)
    numbers = placement.share(name, members, snapshot.partitions, config.replicas)
    log.info("snapshot.opened", snapshot=snapshot.version, partitions=len(numbers), of=snapshot.partitions)
    loop = asyncio.get_running_loop()

    def changed() -> None:
        loop.call_soon_threadsafe(service.changed)

    generation = Generation(snapshot, numbers, config.warm_requests, changed)
    service.serve(generation)
    metrics.reading("shard", lambda: told.of(service.status()))

    async def ready() -> None:
        # Off the loop, so that a watch stream and the health service answer meanwhile.
        while await asyncio.to_thread(generation.load_next):
            pass
        service.changed()
        if generation.state != pb.SHARD_STATE_READY:
            log.error("shard.degraded", refused=list(generation.status().refused))
            await asyncio.Event().wait()  # what is warm is answered; SERVING would claim the whole share

    async def draining() -> None:
        service.drain()

    await server.serve(
        [service.service()],
        listen=config.listen,
        drain_s=config.drain_s,
        ready=ready,
        draining=draining,
        options=config.server,
        guard=config.routers.guard(),
    )
    generation.close()
