"""The port for probes: what a starting, serving, draining process says of itself there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import echo_service as echo
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from trunkshow.serving.life import serve
from trunkshow.serving.methods import Service
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.probing import LIVE, probed
from trunkshow.serving.server import Server

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server([echo.SERVICE])
    await made.start("127.0.0.1:0")
    yield made
    await made.stop(0)


async def test_alive_is_not_ready(server: Server) -> None:
    """From its start to its drain a process is alive; ready only in between."""
    said = []
    async with probed("127.0.0.1:0", server.health) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def probe() -> None:
            live, ready = [
                (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status for service in (LIVE, "")
            ]
            said.append((live, ready))

        await probe()
        await server.serving()
        await probe()
        await server.not_serving()
        await probe()
    assert said == [(SERVING, NOT_SERVING), (SERVING, SERVING), (SERVING, NOT_SERVING)]


async def test_nothing_else_is_answered_there(server: Server) -> None:
    """The port for probes has no other service behind it."""
    async with probed("127.0.0.1:0", server.health) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(f"/{echo.NAME}/Echo")(b"")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_wrong_address_is_refused_at_once() -> None:
    """Before anything starts, naming the setting."""
    with pytest.raises(ValueError, match="health_listen"):
        ServerOptions(health_listen="here")


async def test_while_there_is_nothing_to_serve_yet_probes_are_answered_and_a_signal_ends_it_at_once() -> None:
    """A first download may take longer than a startup probe is patient, and nobody should have to kill it."""
    making = asyncio.Event()

    async def never() -> list[Service]:
        making.set()
        await asyncio.Event().wait()
        return []

    options = ServerOptions(health_listen="127.0.0.1:0")
    async with asyncio.timeout(60):
        with capture_logs() as logs:
            serving = asyncio.ensure_future(serve(never, listen="127.0.0.1:0", options=options))
            await making.wait()
        port = next(one["port"] for one in logs if one["event"] == "health.listening")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            said = [(await check(health_pb2.HealthCheckRequest(service=service))).status for service in (LIVE, "")]
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert said == [SERVING, NOT_SERVING]
