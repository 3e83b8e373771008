"""What a caller sees of a method that takes many requests, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import echo_service as echo
import grpc
import grpc.aio
import pytest

from trunkshow.errors import PermissionDenied, from_rpc_error
from trunkshow.serving.auth import Caller, Role
from trunkshow.serving.methods import REQUEST_BYTES_MAX
from trunkshow.serving.server import Server

JOIN, FIRST = f"/{echo.NAME}/Join", f"/{echo.NAME}/First"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The echo service."""
    made = Server([echo.SERVICE])
    yield made
    await made.stop(0)


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to it."""
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


async def joined(channel: grpc.aio.Channel, requests: Iterable[bytes]) -> bytes:
    return bytes(await channel.stream_unary(JOIN)(iter(requests)))


async def refused(channel: grpc.aio.Channel, requests: Iterable[bytes]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await joined(channel, requests)
    return caught.value


@pytest.mark.parametrize("requests", [(), (b"a",), (b"a", b"", b"b")])
async def test_all_requests_come_in_order(channel: grpc.aio.Channel, requests: tuple[bytes, ...]) -> None:
    """Also none at all, and empty ones."""
    assert await joined(channel, requests) == b"".join(requests)


async def test_one_request_beyond_the_limit_ends_the_stream(channel: grpc.aio.Channel) -> None:
    """The limit is of a request, not of all of them."""
    most = bytes(REQUEST_BYTES_MAX)
    assert len(await joined(channel, [most] * 3)) == 3 * REQUEST_BYTES_MAX
    assert from_rpc_error(await refused(channel, [b"a", most + b"\0"])).reason == "REQUEST_TOO_LARGE"


async def test_a_bug_costs_one_stream(channel: grpc.aio.Channel) -> None:
    """And the process lives."""
    assert (await refused(channel, [b"a", b"!"])).code() == grpc.StatusCode.INTERNAL
    assert await joined(channel, [b"still here"]) == b"still here"


async def test_a_handler_may_answer_before_the_end(channel: grpc.aio.Channel) -> None:
    """What it does not ask for is not waited for."""
    call = channel.stream_unary(FIRST)()
    await call.write(b"one")
    assert await call == b"one"


async def begun(server: Server, channel: grpc.aio.Channel) -> grpc.aio.StreamUnaryCall[bytes, bytes]:
    """A stream that the server has taken up."""
    call = channel.stream_unary(JOIN)()
    await call.write(b"a")
    for _ in range(60_000):
        if server.in_flight.count:
            return call
        await asyncio.sleep(0.001)
    pytest.fail("the stream never arrived")


async def test_a_stream_is_in_flight_until_its_caller_leaves(server: Server, channel: grpc.aio.Channel) -> None:
    """So a drain knows of it."""
    call = await begun(server, channel)
    call.cancel()
    await asyncio.wait_for(server.in_flight.idle(), 60)


async def test_a_drain_ends_a_stream_so_that_another_server_gets_it(server: Server, channel: grpc.aio.Channel) -> None:
    """Nobody knows how long it would go on; the grace is for calls that end."""
    call = await begun(server, channel)
    await asyncio.wait_for(server.stop(600), 60)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    outcome = from_rpc_error(caught.value)
    assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")


class Nobody:
    """A guard that lets nobody in."""

    def admit(self, caller: Caller, role: Role) -> None:
        raise PermissionDenied(f"not even for {role}")


async def test_who_may_not_call_is_refused_before_anything_is_read() -> None:
    """Role by role, as for other methods."""
    server = Server([echo.SERVICE], guard=Nobody())
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_unary(JOIN)()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    await server.stop(0)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
