"""A real router, a direct client of it, and scripted shards: nothing that the router decides is passed by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest
import small_snapshot
from fake_shard import FakeShard, everything, status
from memory_log import MemoryLog

from router.config import RouterConfig
from router.served.views import Candidate, View, Views
from router.service import Router
from trunkshow.direct import AsyncDirectClient
from trunkshow.direct.ways import ShortWay
from trunkshow.errors import PermissionDenied, Unauthenticated
from trunkshow.hedging import Patience
from trunkshow.serving import api_keys
from trunkshow.serving.api_keys import ApiKeys
from trunkshow.serving.auth import CallerGuard, Role
from trunkshow.serving.server import Server
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State

WITHIN_S = 60
DEADLINE_MS = 8_000
ROUTE_S = 2.0
SLOW_S = 5.0
"""A busy machine may take so long for what takes no time."""

PATIENT = Patience(5_000, 5_000, 5_000)


@dataclass
class World:
    """What there is.

    Attributes:
        shard: holds every partition of v1.
    """

    router: Router
    target: str
    shard: FakeShard
    view: View
    stack: AsyncExitStack

    async def client(self, key: str = "") -> AsyncDirectClient:
        """One that waits for shards for as long as a busy machine takes."""
        made = AsyncDirectClient(self.target, deadline_ms=DEADLINE_MS, api_key=key)
        made._way = ShortWay(patience=PATIENT)
        self.stack.push_async_callback(made.close)
        await made.connect()
        return made


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Bounded."""
    async with asyncio.timeout(WITHIN_S):
        while not await true():  # noqa: ASYNC110  # no event of ours is set there
            await asyncio.sleep(0.02)


async def comes_directly(client: AsyncDirectClient, user: str) -> bool:
    return (await client.recommend(user)).receipt.direct


async def opened(client: AsyncDirectClient, user: str = "u0") -> None:
    """A user's slates come directly from now on."""
    await until(lambda: comes_directly(client, user))


Starting = Callable[..., Awaitable[World]]


@pytest.fixture
async def begin(snapshot: Snapshot) -> AsyncIterator[Starting]:
    """Starts a router that tells such clients of a shard."""
    async with AsyncExitStack() as stack:

        async def beginning(guard: CallerGuard | None = None, **settings: Any) -> World:
            shard = FakeShard(everything(), warm=range(4))
            address = await shard.start()
            stack.push_async_callback(shard.stop)
            view = View.of(snapshot)
            config = RouterConfig(store="", shards=(address,), direct=True, deadline_ms=DEADLINE_MS, **settings)
            logs = {"event_log": MemoryLog(), "tombstones": MemoryLog("gone")}
            router = Router(config, Views.of(view), **logs)  # type: ignore[arg-type]
            stack.push_async_callback(router.close)
            await router.informed()
            await router.start()
            server = Server(router.services(), guard=guard)
            port = await server.start("127.0.0.1:0")
            stack.push_async_callback(server.stop, 0)
            await server.serving()
            return World(router, f"127.0.0.1:{port}", shard, view, stack)

        yield beginning


@pytest.fixture
def other(tmp_path: Path) -> View:
    made = small_snapshot.make(tmp_path / "other")
    made.version = "v2"
    return View.of(cast("Snapshot", made))


async def test_who_was_forgotten_is_a_stranger_once_it_is_answered(begin: Starting) -> None:
    """To the router at once, and to the client as soon as it heard; others go on as before."""
    world = await begin()
    client = await world.client()
    await opened(client, "u0")
    await opened(client, "u1")
    receipt = await client.forget("u0")
    await until(lambda: _heard(client, receipt.watermark))
    asked = len(world.shard.asked)
    await opened(client, "u1")
    slates = [await client.recommend("u0") for _ in range(5)]
    assert {slate.receipt.direct for slate in slates} == {False}
    assert all(slate.receipt.reasons for slate in slates)
    assert all(b"u0" not in one.request for one in world.shard.asked[asked:])


async def _heard(client: AsyncDirectClient, watermark: str) -> bool:
    return client._way.placement.forgotten == watermark


async def test_a_canary_is_passed_by_by_nobody(begin: Starting, other: View) -> None:
    """While it is tried every slate is the router's, who knows to whom it is shown; afterwards all is as before."""
    world = await begin()
    client = await world.client()
    await opened(client)
    keeper = world.router.keeper
    keeper.arrived(other)
    keeper.adopt(Views.of(world.view, None, Candidate(other, State.CANARY, 0.5)), {"v1", "v2"})
    await until(lambda: _closed(client))
    before = world.router.counters.requests
    for user in ("u0", "u1", "u2"):
        assert not (await client.recommend(user)).receipt.direct
    assert world.router.counters.requests == before + 3
    keeper.adopt(Views.of(world.view), {"v1"})
    await opened(client)


async def _closed(client: AsyncDirectClient) -> bool:
    return not client.direct


async def test_while_traffic_moves_every_slate_is_the_routers(begin: Starting, other: View) -> None:
    """And once it has, shards are asked of the new snapshot alone."""
    world = await begin()
    client = await world.client()
    await opened(client)
    keeper = world.router.keeper
    keeper.arrived(other)
    keeper.adopt(Views.of(other, world.view), {"v1", "v2"})
    await until(lambda: _closed(client))
    assert (await client.recommend("u0")).receipt.snapshot_version == "v1"
    world.shard.script = everything(version="v2")
    world.shard.report(status("v2", range(4)))
    await opened(client)
    assert (await client.recommend("u0")).receipt.snapshot_version == "v2"


async def test_who_loses_the_role_gets_no_next_route(begin: Starting, tmp_path: Path) -> None:
    """Those that it has end with their life, and then it is as if there had been none."""
    path = tmp_path / "keys"
    key, line = api_keys.make("shop", [Role.READ])
    path.write_text(line)
    world = await begin(CallerGuard([ApiKeys(path)]), direct_route_s=ROUTE_S)
    client = await world.client(key)
    await opened(client)
    _, another = api_keys.make("somebody-else", [Role.READ])
    path.write_text(another)
    strangers = (f"stranger-{number}" for number in count())
    await until(lambda: _refused(client, next(strangers)))
    at = monotonic()
    await until(lambda: _refused(client, "u0"))
    assert monotonic() - at < ROUTE_S + SLOW_S


async def _refused(client: AsyncDirectClient, user: str = "u3") -> bool:
    try:
        await client.recommend(user)
    except (Unauthenticated, PermissionDenied):
        return True
    return False


async def test_who_may_not_read_is_told_nothing(begin: Starting, tmp_path: Path) -> None:
    """Neither where users live, nor who holds what."""
    path = tmp_path / "keys"
    key, line = api_keys.make("operator", [Role.OPERATE])
    path.write_text(line)
    world = await begin(CallerGuard([ApiKeys(path)]))
    client = await world.client(key)
    assert await _refused(client)
    assert not client.direct
