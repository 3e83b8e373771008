"""A router process, from configuration to exit: open the snapshot, follow the shards, serve, drain."""

from __future__ import annotations

import structlog

from router.config import RouterConfig
from router.service import Router
from trunkshow.serving import server, telemetry
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

log = structlog.get_logger()


def run(config: RouterConfig) -> None:
    """Serve until SIGTERM or SIGINT; blocking.

    Raises:
        StoreError: the store holds no such snapshot.
        SnapshotRefused: the snapshot's shared files fail a check.
    """
    telemetry.configure(config.log_level, role="router")
    snapshot = Snapshot.open(open_store(config.store, config.cache), config.snapshot)
    users = len(snapshot.directory)
    log.info("snapshot.opened", snapshot=snapshot.version, items=len(snapshot.catalogue), users=users)
    server.run(_serve(config, snapshot))


async def _serve(config: RouterConfig, snapshot: Snapshot) -> None:
    router = Router(config, snapshot)
    try:
        await server.serve(
            router.services(),
            listen=config.listen,
            drain_s=config.drain_s,
            ready=router.start,
            options=config.server,
        )
    finally:
        await router.close()
        snapshot.close()
