"""Claims about asking: an open loop waits for nobody, and late answers count from when they were due."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import pytest

from cli.bench.alarm import alarm
from cli.bench.driver import Driver
from cli.bench.judging import Wanted
from cli.bench.orders import Orders
from trunkshow import channel as wire

METHOD = "/bench.Echo/Echo"

Answer = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[grpc.aio.Channel]:
    """A line to a server that answers so."""
    server = grpc.aio.server()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=wire.SHARD_OPTIONS) as channel:
        yield channel
    await server.stop(None)


async def test_a_server_that_stands_still_is_told_of_by_all_who_were_due() -> None:
    """It answers nothing for half a second in the middle: of those due meanwhile each waits for what is left of it.

    Callers in a closed loop would have one slow answer each, and leave the rest out.
    """
    resumed = asyncio.Event()
    heard = 0

    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        nonlocal heard
        heard += 1
        if heard == 200:
            asyncio.get_running_loop().call_later(0.5, resumed.set)
        if heard >= 200:
            await resumed.wait()
        return b"reply"

    async with served(answer) as channel:
        orders = Orders(METHOD, "bytes", Wanted(), seconds=1.5, rate=200)
        outcome = await Driver(orders, [b"request"], [channel]).run()
    waited = [ms for ms in outcome.latencies_ms if ms > 50]
    assert outcome.passed
    assert len(waited) > 50, "about 90 were due in the nine tenths of it that are longer than 50 ms"
    assert outcome.quantile_ms(0.99) > 300


async def test_failures_are_counted_by_status_and_said_in_words() -> None:
    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")
        raise AssertionError

    async with served(answer) as channel:
        outcome = await Driver(Orders(METHOD, "bytes", Wanted(), 0.2, callers=1), [b"request"], [channel]).run()
    assert set(outcome.failed) == {"FAILED_PRECONDITION"} and outcome.failures > 0 and not outcome.passed
    assert outcome.judged.complaints[0] == "FAILED_PRECONDITION: not today"


async def test_a_closed_loop_has_as_many_under_way_as_there_are_callers() -> None:
    under_way = most = 0

    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return b"12345678"

    async with served(answer) as channel:
        outcome = await Driver(Orders(METHOD, "bytes", Wanted(), 0.3, callers=3), [b"request"], [channel]).run()
    assert 1 <= most <= 3 and outcome.answered == len(outcome.latencies_ms) > 0
    assert outcome.reply_bytes == 8 and outcome.throughput == pytest.approx(outcome.answered / outcome.seconds)
    assert outcome.cpu_s["bench"] > 0 and outcome.rss_bytes["bench"] > 1 << 20


async def test_an_alarm_never_rings_early() -> None:
    loop = asyncio.get_running_loop()
    with alarm() as waiting:
        for wait in (0.0004, 0.0031, 0.02):
            moment = loop.time() + wait
            await waiting.until(moment)
            assert loop.time() >= moment
        began = loop.time()
        await waiting.until(began - 1)
        assert loop.time() - began < 0.5
