"""What gRPC's own service config does for a client of several routers: seen on real servers, not believed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from scripted_router import ScriptedRouter

from trunkshow import rival_rules
from trunkshow.client import AsyncClient, Client, Slate
from trunkshow.errors import PartialAborted, TrunkshowError, Unavailable

SERVICE = "trunkshow.v1.RecommendationService"
PATIENCE_S = 60.0

SILENT_ROUTER = """
import concurrent.futures, threading, grpc
def silent(request, context):
    print("asked", flush=True)
    threading.Event().wait()
recommend = grpc.method_handlers_generic_handler(
    "trunkshow.v1.RecommendationService", {"Recommend": grpc.unary_unary_rpc_method_handler(silent)})
server = grpc.server(concurrent.futures.ThreadPoolExecutor(64))
server.add_generic_rpc_handlers((recommend,))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


@contextmanager
def router_with_health() -> Iterator[tuple[ScriptedRouter, health.HealthServicer]]:
    router, servicer = ScriptedRouter(), health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers(router.handlers())
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    router.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield router, servicer
    finally:
        servicer.enter_graceful_shutdown()
        server.stop(None).wait()


@pytest.fixture
def routers() -> Iterator[list[tuple[ScriptedRouter, health.HealthServicer]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(router_with_health()) for _ in range(2)]


def client_of(routers: list[tuple[ScriptedRouter, health.HealthServicer]]) -> Client:
    return Client("ipv4:" + ",".join(router.target for router, _ in routers), deadline_ms=5_000)


def ask(client: Client, times: int) -> int:
    """Ask so often; return how many calls failed."""
    failed = 0
    for _ in range(times):
        try:
            client.recommend("ann")
        except TrunkshowError:
            failed += 1
    return failed


def eventually(client: Client, holds: Callable[[], bool]) -> None:
    """Go on asking until it holds."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it never held"
        ask(client, 5)


def quiet_for(router: ScriptedRouter, client: Client, calls: int) -> Callable[[], bool]:
    """Whether the router saw none of the next calls."""

    def holds() -> bool:
        before = len(router.seen)
        ask(client, calls)
        return len(router.seen) == before

    return holds


def test_both_routers_are_asked(routers: list[tuple[ScriptedRouter, health.HealthServicer]]) -> None:
    """Calls take turns over all routers of the target."""
    with client_of(routers) as client:
        client.connect()
        eventually(client, lambda: all(router.seen for router, _ in routers))


def test_a_router_that_drains_gets_nothing_new(routers: list[tuple[ScriptedRouter, health.HealthServicer]]) -> None:
    """Once its health says NOT_SERVING the other router gets every call, and no call fails."""
    (leaving, its_health), (staying, _) = routers
    with client_of(routers) as client:
        client.connect()
        eventually(client, lambda: bool(leaving.seen and staying.seen))
        its_health.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
        eventually(client, quiet_for(leaving, client, 20))
        assert ask(client, 20) == 0


def test_a_router_that_fails_is_left_alone(routers: list[tuple[ScriptedRouter, health.HealthServicer]]) -> None:
    """A router that fails every call is ejected, though it says that it serves."""
    (broken, _), (sound, _) = routers
    broken.answers["Recommend"] = TrunkshowError("broken")
    with client_of(routers) as client:
        client.connect()
        eventually(client, lambda: bool(sound.seen and broken.seen))
        eventually(client, quiet_for(broken, client, 20))


def test_retries_stop_where_everything_fails(routers: list[tuple[ScriptedRouter, health.HealthServicer]]) -> None:
    """Routers that refuse every call are asked little more than once per call, not three times."""
    for router, _ in routers:
        router.answers["Recommend"] = Unavailable("nobody home")
    with client_of(routers) as client:
        client.connect()
        assert ask(client, 300) == 300
    assert sum(len(router.seen) for router, _ in routers) < 300 * 1.5


def test_an_answer_refused_for_its_rung_is_told_apart(
    routers: list[tuple[ScriptedRouter, health.HealthServicer]],
) -> None:
    """PartialAborted is Unavailable with a name of its own: the routers are up."""
    for router, _ in routers:
        router.answers["Recommend"] = PartialAborted("only POPULAR was to be had")
    with client_of(routers) as client, pytest.raises(PartialAborted, match="POPULAR"):
        client.recommend("ann")


async def test_calls_under_way_at_a_router_that_is_killed_are_answered_by_another(
    routers: list[tuple[ScriptedRouter, health.HealthServicer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as a busy caller has under way: the limit on retries is for routers that fail, not for one that died."""
    monkeypatch.setattr(rival_rules, "BURST", 0)  # hedges would answer them before that
    doomed = await asyncio.create_subprocess_exec(sys.executable, "-c", SILENT_ROUTER, stdout=subprocess.PIPE)
    assert doomed.stdout is not None
    try:
        port = int(await doomed.stdout.readline())
        async with AsyncClient(
            f"ipv4:127.0.0.1:{port},{routers[0][0].target}", deadline_ms=PATIENCE_S * 1000
        ) as client:
            slates: list[asyncio.Task[Slate]] = []
            while len(under_way := [one for one in slates if not one.done()]) < 30:  # others the sound one has answered
                slates += [asyncio.create_task(client.recommend("ann")) for _ in range(30 - len(under_way))]
                await asyncio.wait(slates, timeout=0.05)
            for _ in under_way:
                await doomed.stdout.readline()
            doomed.kill()
            await asyncio.gather(*slates)
    finally:
        if doomed.returncode is None:
            doomed.kill()
        await doomed.wait()
