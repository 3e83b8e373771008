"""A router that stands still, seen by clients that know another: real processes, one of them stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from scripted_router import ScriptedRouter, scripted_router

from cli.chaos.faults import SETTLED_S
from trunkshow import channel as wire
from trunkshow.client import AsyncClient, Client, Event, SlateRequest
from trunkshow.v1 import recommendation_pb2 as pb

ROUTER = """
import concurrent.futures, grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from trunkshow.v1 import recommendation_pb2 as pb
def batch(request, context):
    for index in range(len(request.requests)):
        yield pb.RecommendBatchResponse(index=index, response=pb.RecommendResponse())
answer = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
names = {"trunkshow.v1.RecommendationService": "Recommend", "trunkshow.v1.EventService": "RecordEvents",
         "trunkshow.v1.ClusterService": "GetClusterStatus"}
server.add_generic_rpc_handlers(
    tuple(grpc.method_handlers_generic_handler(name, {method: answer}) for name, method in names.items()))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("trunkshow.v1.RecommendationService", {
    "RecommendBatch": grpc.unary_stream_rpc_method_handler(
        batch, pb.RecommendBatchRequest.FromString, pb.RecommendBatchResponse.SerializeToString)}),))
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


BATCH = [SlateRequest(str(number)) for number in range(5)]


async def test_batches_begun_at_a_router_that_stands_still_are_answered_by_another(
    frozen: tuple[str, subprocess.Popen[bytes]],
) -> None:
    """Each of the batch's users once, whichever router it went to."""
    target, process = frozen

    async def batch(client: AsyncClient) -> list[int]:
        return sorted([index async for index, _ in client.recommend_batch(BATCH)])

    async with AsyncClient(target) as client:
        await client.connect()
        await asyncio.gather(*(batch(client) for _ in range(10)))
        process.send_signal(signal.SIGSTOP)
        assert await asyncio.gather(*(batch(client) for _ in range(10))) == [[0, 1, 2, 3, 4]] * 10


def test_batches_of_threads_are_answered_by_another_too(frozen: tuple[str, subprocess.Popen[bytes]]) -> None:
    """As those of tasks are."""
    target, process = frozen
    with Client(target) as client, ThreadPoolExecutor(8) as threads:
        client.connect()

        def batch(_: int) -> list[int]:
            return sorted(index for index, _ in client.recommend_batch(BATCH))

        list(threads.map(batch, range(10)))
        process.send_signal(signal.SIGSTOP)
        assert list(threads.map(batch, range(8))) == [[0, 1, 2, 3, 4]] * 8


async def test_a_batch_costs_one_call_where_nobody_is_silent() -> None:
    """At two routers that both answer."""
    with scripted_router() as one, scripted_router() as two:
        async with AsyncClient(f"ipv4:{one.target},{two.target}") as client:
            for _ in range(4):
                assert len([index async for index, _ in client.recommend_batch(BATCH, deadline_ms=60_000)]) == 5
        with Client(f"ipv4:{one.target},{two.target}") as blocking:
            for _ in range(4):
                assert len(list(blocking.recommend_batch(BATCH, deadline_ms=60_000))) == 5
        assert len(one.seen) + len(two.seen) == 8


async def until_both_record(client: AsyncClient, living: ScriptedRouter) -> None:
    """Both are connected: events go to either."""
    until, sent = time.monotonic() + 60, 0
    while not 0 < len(living.events) < sent:
        assert time.monotonic() < until, "it is always the same router that is asked"
        await client.record(EVENT, deadline_ms=60_000)
        sent += 1


async def test_events_that_went_to_a_router_that_stands_still_are_recorded_by_another() -> None:
    """They count once by their ids, wherever they come from; and nobody has to send them again."""
    with stoppable() as (address, process), scripted_router() as living:
        async with AsyncClient(f"ipv4:{address},{living.target}") as client:
            await until_both_record(client, living)
            process.send_signal(signal.SIGSTOP)
            events = [Event("ann", "hat", "click") for _ in range(6)]
            await asyncio.gather(*(client.record(one, deadline_ms=60_000) for one in events))
            assert {one.event_id for one in living.events} >= {one.event_id for one in events}


def test_events_of_threads_are_recorded_by_another_too() -> None:
    """As those of tasks are."""
    with (
        stoppable() as (address, process),
        scripted_router() as living,
        Client(f"ipv4:{address},{living.target}") as client,
        ThreadPoolExecutor(6) as threads,
    ):
        until, sent = time.monotonic() + 60, 0
        while not 0 < len(living.events) < sent:
            assert time.monotonic() < until, "it is always the same router that is asked"
            client.record(EVENT, deadline_ms=60_000)
            sent += 1
        process.send_signal(signal.SIGSTOP)
        events = [Event("ann", "hat", "click") for _ in range(6)]
        list(threads.map(lambda one: client.record(one, deadline_ms=60_000), events))
        assert {one.event_id for one in living.events} >= {one.event_id for one in events}


STATUS_MS = 2_000.0
"""Less than the 3 s within which a ping finds a router that stands still: who is not answered until then fails."""


async def test_a_status_that_was_asked_of_a_router_that_stands_still_is_told_by_another(
    frozen: tuple[str, subprocess.Popen[bytes]],
) -> None:
    """Whoever looks for what is wrong is not to wait for the one that is."""
    target, process = frozen
    async with AsyncClient(target) as client:
        until, told = time.monotonic() + 60, set[str]()
        while len(told) < 2:  # until both are connected: what the one that is to stand still says is empty
            assert time.monotonic() < until, "it is always the same router that is asked"
            told.add((await client.status(deadline_ms=60_000)).snapshot_version)
        process.send_signal(signal.SIGSTOP)
        statuses = await asyncio.gather(*(client.status(deadline_ms=STATUS_MS) for _ in range(6)))
        assert {one.snapshot_version for one in statuses} == {"v1"}


def test_a_status_of_threads_is_told_by_another_too(frozen: tuple[str, subprocess.Popen[bytes]]) -> None:
    """As that of tasks is."""
    target, process = frozen
    with Client(target) as client, ThreadPoolExecutor(6) as threads:
        until, told = time.monotonic() + 60, set[str]()
        while len(told) < 2:
            assert time.monotonic() < until, "it is always the same router that is asked"
            told.add(client.status(deadline_ms=60_000).snapshot_version)
        process.send_signal(signal.SIGSTOP)
        statuses = list(threads.map(lambda _: client.status(deadline_ms=STATUS_MS), range(6)))
        assert {one.snapshot_version for one in statuses} == {"v1"}


async def failing(options: Sequence[tuple[str, Any]], for_s: float) -> list[tuple[float, bool]]:
    """When calls were sent since one of two routers stood still, without hedges, and whether each failed; in order.

    The first ones fail soon, so that the connection learns of it. Later ones have time for an answer on a busy machine,
    but none to be asked again elsewhere once the connection is given up.
    """
    with stoppable() as (address, process), scripted_router() as living:
        async with grpc.aio.insecure_channel(f"ipv4:{address},{living.target}", options=options) as channel:
            ask = channel.unary_unary(wire.RECOMMEND.path, pb.RecommendRequest.SerializeToString)

            async def call(sent: float) -> tuple[float, bool]:
                try:
                    await ask(pb.RecommendRequest(user_id="ann"), timeout=0.4 if sent < 1 else 0.9)
                except grpc.RpcError:
                    return sent, True
                return sent, False

            until, answered = time.monotonic() + 60, set[bool]()
            while len(answered) < 2:  # until both are connected: what the one that is to stand still says is empty
                assert time.monotonic() < until, "it is always the same router that is asked"
                answered.add(bool(await ask(pb.RecommendRequest(user_id="ann"), timeout=2)))
            process.send_signal(signal.SIGSTOP)
            began, calls = time.monotonic(), []
            while (since := time.monotonic() - began) < for_s:
                calls.append(asyncio.ensure_future(call(since)))
                await asyncio.sleep(0.025)  # a caller who asks 40 times a second
            return await asyncio.gather(*calls)


def quicker(options: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The same, but a silent connection is noticed, and asked again, in a fifth of the time."""
    chosen = dict(options)
    for name in ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"):
        chosen[name] //= 5
    config = json.loads(chosen["grpc.service_config"])
    ejection = config["loadBalancingConfig"][0]["outlier_detection_experimental"]
    for name in ("baseEjectionTime", "maxEjectionTime"):
        ejection[name] = f"{float(ejection[name].removesuffix('s')) / 5:g}s"
    return [*(chosen | {"grpc.service_config": json.dumps(config)}).items()]


async def test_a_router_that_stands_still_is_left_alone_within_a_second_or_so() -> None:
    """By the connection alone: long before keepalive notices that it is silent."""
    failed = [sent for sent, has_failed in await failing(wire.OPTIONS, 2.5) if has_failed]
    assert 0 < max(failed) < 2


async def test_a_router_that_stands_still_fails_calls_twice_at_most() -> None:
    """When it would be asked a third time, keepalive has noticed that it is silent, whatever else is pinged."""
    failed = [has_failed for _, has_failed in await failing(quicker(wire.OPTIONS), 5.5)]
    assert len(spells(failed)) in {1, 2}
    assert not any(failed[-40:])  # a second's calls: it is left alone, and does not just go on failing


def spells(failed: Sequence[bool]) -> list[int]:
    """Where calls began to fail after ten in a row had not."""
    return [at for at in range(len(failed)) if failed[at] and not any(failed[max(at - 10, 0) : at])]


def test_a_router_is_left_alone_briefly_first_and_then_until_it_is_noticed_that_it_stands_still() -> None:
    """Of two that are restarted one after the other, the first may be left alone while the second is gone."""
    options = dict(wire.OPTIONS)
    policy = json.loads(options["grpc.service_config"])["loadBalancingConfig"][0]["outlier_detection_experimental"]
    noticed_s = (options["grpc.keepalive_time_ms"] + options["grpc.keepalive_timeout_ms"]) / 1000
    first_s = float(policy["baseEjectionTime"].removesuffix("s"))
    assert first_s + float(policy["interval"].removesuffix("s")) < SETTLED_S
    assert first_s + 2 * first_s > noticed_s
