"""Whoever connects meets limits, and everybody else is answered meanwhile."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import echo_service as echo
import grpc
import grpc.aio
import pytest
import raw_http2 as raw
from test_server import EchoProcess

from trunkshow.serving.limits import MESSAGE_BYTES_MAX, Limits
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.server import Server

SOON_S = 5.0
"""What must happen has happened by then, on a busy machine too."""

STRICT = Limits(handshake_s=0.5, connections_max=64, streams_max=16, metadata_bytes_max=4096)
MIB = 1 << 20

Start = Callable[[Limits], Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an echo server with these limits; gives its port."""
    started: list[Server] = []

    async def start(limits: Limits) -> int:
        started.append(Server([echo.SERVICE], ServerOptions(limits=limits)))
        return await started[-1].start("127.0.0.1:0")

    yield start
    for server in started:
        await server.stop(0)


async def ask(port: int, request: bytes = b"hello", method: str = "Echo", **keywords: Any) -> bytes:
    """One call over a connection of its own."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        return bytes(await channel.unary_unary(f"/{echo.NAME}/{method}")(request, timeout=SOON_S, **keywords))


async def refusal(asking: Awaitable[bytes]) -> grpc.StatusCode:
    """The status of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await asking
    return error.value.code()


@pytest.mark.parametrize(
    "first",
    [b"", raw.PREFACE[:10], raw.PREFACE, raw.PREFACE + raw.frame(raw.SETTINGS, 0, 0)],
    ids=["nothing", "half a preface", "a preface", "settings never acknowledged"],
)
async def test_who_connects_and_goes_mute_is_hung_up_on(start: Start, first: bytes) -> None:
    """A connection that agrees on nothing is closed after the handshake's time, and others are answered beside it."""
    port = await start(STRICT)
    mute = [await raw.Peer.connect(port) for _ in range(32)]
    for peer in mute:
        peer.writer.write(first)
    assert await ask(port) == b"hello"
    assert all(await asyncio.gather(*(peer.closed(SOON_S) for peer in mute)))


async def test_a_byte_at_a_time_is_no_way_around_the_handshakes_time(start: Start) -> None:
    """The time is for the whole handshake; each byte does not begin it again."""
    peer = await raw.Peer.connect(await start(STRICT))

    async def dribble() -> None:
        for byte in raw.PREFACE * 100:
            peer.writer.write(bytes((byte,)))
            await asyncio.sleep(0.1)

    dribbling = asyncio.ensure_future(dribble())
    assert await peer.closed(SOON_S)
    dribbling.cancel()


async def test_more_connections_than_allowed_are_closed(start: Start) -> None:
    """So many sockets and no more; who had one is answered still, and there is room again once others left."""
    port = await start(replace(STRICT, connections_max=8, handshake_s=60))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echoed = channel.unary_unary(f"/{echo.NAME}/Echo")
        await echoed(b"first")
        peers = [await raw.Peer.connect(port) for _ in range(20)]
        closed = [await peer.closed(0.2) for peer in peers]
        assert closed.count(False) == 7
        assert await echoed(b"still") == b"still"
        for peer in peers:
            peer.hang_up()
    async with asyncio.timeout(SOON_S):
        while not await raw_room(port):
            pass
    assert await ask(port) == b"hello"


async def raw_room(port: int) -> bool:
    """Whether one more connection is kept."""
    peer = await raw.Peer.connect(port)
    kept = not await peer.closed(0.1)
    peer.hang_up()
    return kept


async def test_metadata_beyond_the_limit_is_refused_and_never_below_it(start: Start) -> None:
    """One limit: not a soft one at which chance decides."""
    port = await start(STRICT)
    for _ in range(20):
        assert await ask(port, metadata=(("x-some", "a" * 3000),)) == b"hello"
        assert await refusal(ask(port, metadata=(("x-much", "a" * 5000),))) == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_beyond_grpcs_limit_is_cut_off(start: Start) -> None:
    """16 MiB is the most that is ever read; the server answers the next one."""
    port = await start(STRICT)
    assert await refusal(ask(port, b"x" * (MESSAGE_BYTES_MAX + 1))) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await ask(port) == b"hello"


async def test_calls_beyond_the_streams_of_a_connection_wait_their_turn(start: Start) -> None:
    """A caller in a hurry is slowed down, not refused: none of its calls fails."""
    port = await start(STRICT)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        wait = channel.unary_unary(f"/{echo.NAME}/Wait")
        await wait(b"1")
        answers = await asyncio.gather(*(wait(b"5") for _ in range(400)))
    assert answers == [b"5"] * 400


async def test_an_idle_connection_is_closed_and_a_new_one_opened(start: Start) -> None:
    """A caller who comes back does not notice."""
    port = await start(replace(STRICT, connection_idle_s=0.3))
    peer = await raw.Peer.connect(port)
    await peer.greet()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echoed = channel.unary_unary(f"/{echo.NAME}/Echo")
        await echoed(b"first")
        assert await peer.closed(SOON_S)
        assert await echoed(b"again", wait_for_ready=True, timeout=SOON_S) == b"again"


async def test_a_message_that_never_ends_is_given_up_with_its_connection(start: Start) -> None:
    """A caller who dribbles a request holds one stream until the connection is too old."""
    port = await start(replace(STRICT, connection_age_s=0.3, connection_grace_s=0.3))
    peer = await raw.Peer.connect(port)
    await peer.greet()
    peer.writer.write(raw.frame(raw.HEADERS, raw.END_HEADERS, 1, raw.header_block(f"/{echo.NAME}/Echo")))
    peer.writer.write(raw.frame(raw.DATA, 0, 1, raw.message(b"x" * 100)[:50]))
    assert await ask(port) == b"hello"
    assert await peer.closed(SOON_S)


async def test_too_many_pings_end_the_connection(start: Start) -> None:
    """Who pings without end is hung up on, and not answered without end."""
    port = await start(STRICT)
    peer = await raw.Peer.connect(port)
    await peer.greet()
    peer.writer.write(raw.frame(raw.PING, 0, 0, b"abcdefgh") * 50)
    assert await peer.closed(SOON_S)
    assert await ask(port) == b"hello"


# ---- floods, against a process of its own whose memory is looked at


@pytest.fixture
async def process() -> AsyncIterator[EchoProcess]:
    """An echo process."""
    started = await EchoProcess.start(drain_s=0)
    yield started
    if started.process.returncode is None:
        started.process.kill()
        await started.process.wait()


def resident(process: EchoProcess) -> int:
    """Bytes of memory that a process has."""
    pages = int(Path(f"/proc/{process.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def flood(port: int, calls: int, reset: bool) -> None:
    """Opens calls over one connection as fast as the server takes them; resets each at once, or never ends it."""
    peer = await raw.Peer.connect(port)
    await peer.greet()
    reading = asyncio.ensure_future(peer.closed(60))
    headers = raw.header_block(f"/{echo.NAME}/Wait")
    cancel = (8).to_bytes(4, "big")
    try:
        for number in range(calls):
            stream = 2 * number + 1
            peer.writer.write(raw.frame(raw.HEADERS, raw.END_HEADERS, stream, headers))
            if reset:
                peer.writer.write(raw.frame(raw.RST_STREAM, 0, stream, cancel))
            await peer.writer.drain()
            if number % 100 == 0:
                await asyncio.sleep(0)
    except ConnectionError:  # the server has had enough of it, which is right too
        pass
    finally:
        reading.cancel()
        peer.hang_up()


async def test_calls_that_never_end_keep_nobody_else_waiting(process: EchoProcess) -> None:
    """Beyond the streams that a connection may have they are refused, at a price that others do not notice."""
    before = resident(process)
    floods = [asyncio.ensure_future(flood(process.port, 1_000_000, reset=False)) for _ in range(3)]
    assert [await ask(process.port) for _ in range(20)] == [b"hello"] * 20
    for one in floods:
        assert one.cancel()
    await asyncio.wait(floods)
    assert resident(process) - before < 128 * MIB


async def test_a_flood_of_resets_costs_bounded_memory_and_leaves_no_mark(process: EchoProcess) -> None:
    """What it cannot take on gRPC sheds, honest calls among it; right after the flood everybody is answered."""
    before = resident(process)
    await asyncio.gather(*(flood(process.port, 20_000, reset=True) for _ in range(3)))
    async with asyncio.timeout(10 * SOON_S):
        while not await answers(process.port):
            pass
    assert [await answers(process.port) for _ in range(20)] == [True] * 20
    assert resident(process) - before < 192 * MIB


async def answers(port: int) -> bool:
    """Whether a call is answered."""
    try:
        return await ask(port) == b"hello"
    except grpc.aio.AioRpcError:
        return False


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"connections_max": 0}, "connections_max"),
        ({"streams_max": 0}, "streams_max"),
        ({"metadata_bytes_max": 10}, "metadata_bytes_max"),
        ({"handshake_s": 0}, "handshake_s"),
        ({"connection_age_s": -1}, "connection_age_s"),
        ({"connection_idle_s": math.nan}, "connection_idle_s"),
    ],
)
def test_a_limit_that_cannot_work_is_refused(wrong: dict[str, float], named: str) -> None:
    """Before anything starts, and by its name."""
    with pytest.raises(ValueError, match=named):
        Limits(**wrong)  # type: ignore[arg-type]
