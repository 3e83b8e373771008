"""A router under test: in this process, on a free port, over a small snapshot and scripted shards."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import grpc.aio
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))

import small_snapshot
from fake_shard import FakeShard
from router_caller import NOBODY, Caller, Start

from router.config import RouterConfig
from router.served.views import View, Views
from router.service import Router
from trunkshow.eventlog.log import EventLog, Tombstones
from trunkshow.serving.server import Server
from trunkshow.snapshot.reader import Snapshot


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """The small snapshot, which is all of a real one that a router reads."""
    return cast("Snapshot", small_snapshot.make(tmp_path))


@pytest.fixture
async def start(snapshot: Snapshot) -> AsyncIterator[Start]:
    """Starts a router over scripted shards; gives a caller of it."""
    opened: list[Callable[[], Awaitable[Any]]] = []

    async def starting(
        *shards: FakeShard, event_log: EventLog | None = None, tombstones: Tombstones | None = None, **settings: Any
    ) -> Caller:
        addresses = [await shard.start() for shard in shards] or [NOBODY]
        opened.extend(shard.stop for shard in shards)
        chosen = {"deadline_ms": 2000, "reserve_ms": 15, "watch_silence_s": 30, "probes": 2} | settings
        views = Views.of(View.of(snapshot))
        router = Router(
            RouterConfig(store="", shards=tuple(addresses), **chosen), views, event_log=event_log, tombstones=tombstones
        )
        await router.informed()
        await router.start()
        server = Server(router.services())
        port = await server.start("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        opened.extend((router.close, lambda: server.stop(0), channel.close))
        return Caller(channel)

    yield starting
    for close in reversed(opened):
        await close()
