"""A router that stands still, seen by clients that know another: real processes, one of them stopped."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from scripted_router import scripted_router

from trunkshow import channel as wire
from trunkshow.client import AsyncClient, Client, Event
from trunkshow.errors import DeadlineExceeded
from trunkshow.v1 import recommendation_pb2 as pb

ROUTER = """
import concurrent.futures, grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
answer = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
names = {"trunkshow.v1.RecommendationService": "Recommend", "trunkshow.v1.EventService": "RecordEvents"}
server.add_generic_rpc_handlers(
    tuple(grpc.method_handlers_generic_handler(name, {method: answer}) for name, method in names.items()))
well = health.HealthServicer()
for name in names:
    well.set(name, health_pb2.HealthCheckResponse.SERVING)
health_pb2_grpc.add_HealthServicer_to_server(well, server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""
DEADLINE_MS = 2_000.0
"""Far more than an answer takes on a busy machine, so that who fails waited for the router that stands still."""

EVENT = Event("ann", "hat", "click")


@contextmanager
def stoppable() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A router in a process of its own: its address, and what to stop."""
    with subprocess.Popen([sys.executable, "-c", ROUTER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}", process
        finally:
            process.kill()


@pytest.fixture
def frozen() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Two routers behind one target, and the one that is to stand still."""
    with stoppable() as (address, process), scripted_router() as living:
        yield f"ipv4:{address},{living.target}", process


async def failures(client: AsyncClient, calls: int) -> int:
    """How many of so many calls at once fail."""
    answers = await asyncio.gather(*(client.recommend("ann") for _ in range(calls)), return_exceptions=True)
    return sum(isinstance(one, BaseException) for one in answers)


async def test_who_asks_a_router_that_stands_still_is_answered_by_another(
    frozen: tuple[str, subprocess.Popen[bytes]],
) -> None:
    """As many at once as a busy caller has under way; not one of them fails."""
    target, process = frozen
    async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client:
        await client.connect()
        assert await failures(client, 10) == 0
        process.send_signal(signal.SIGSTOP)
        assert await failures(client, 30) == 0


def test_the_same_holds_for_threads(frozen: tuple[str, subprocess.Popen[bytes]]) -> None:
    """Who blocks is answered by another router, too."""
    target, process = frozen
    with Client(target, deadline_ms=DEADLINE_MS) as client, ThreadPoolExecutor(8) as threads:
        client.connect()
        list(threads.map(client.recommend, ["ann"] * 10))
        process.send_signal(signal.SIGSTOP)
        list(threads.map(client.recommend, ["ann"] * 30))


async def test_events_are_never_sent_to_two_routers_at_a_time() -> None:
    """Recorded events wait for the router that they went to, and their caller hears of it."""
    with stoppable() as (address, process), scripted_router() as living:
        async with AsyncClient(f"ipv4:{address},{living.target}") as client:
            until, sent = time.monotonic() + 20, 0
            while not 0 < len(living.events) < sent:  # until both are connected
                assert time.monotonic() < until, "it is always the same router that is asked"
                await client.record(EVENT, deadline_ms=DEADLINE_MS)
                sent += 1
            before = len(living.events)
            process.send_signal(signal.SIGSTOP)
            recording = (client.record(EVENT, deadline_ms=500) for _ in range(6))
            answers = await asyncio.gather(*recording, return_exceptions=True)
    failed = sum(isinstance(one, DeadlineExceeded) for one in answers)
    assert failed > 0
    assert failed + len(living.events) - before == 6


async def test_a_router_that_stands_still_fails_calls_once_and_not_again() -> None:
    """The connection alone, without hedges: it is left alone within a second or so, and for as long as it is silent."""
    failed: list[float] = []
    with stoppable() as (address, process), stoppable() as (other, _):
        async with grpc.aio.insecure_channel(f"ipv4:{address},{other}", options=wire.OPTIONS) as channel:
            ask = channel.unary_unary(wire.RECOMMEND.path, pb.RecommendRequest.SerializeToString)

            async def call(sent: float) -> None:
                try:
                    await ask(pb.RecommendRequest(user_id="ann"), timeout=0.4)
                except grpc.RpcError:
                    failed.append(sent)

            await channel.channel_ready()
            await asyncio.gather(*(call(0.0) for _ in range(10)))
            process.send_signal(signal.SIGSTOP)
            began, calls = time.monotonic(), []
            while (since := time.monotonic() - began) < 12.5:
                calls.append(asyncio.ensure_future(call(since)))
                await asyncio.sleep(0.05)  # a caller who asks 20 times a second
            await asyncio.gather(*calls)
    assert 0 < max(failed) < 4
