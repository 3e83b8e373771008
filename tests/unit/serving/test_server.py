"""A server's life, from its first log line to its exit code."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import echo_service as echo
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from trunkshow.serving.server import Server


class EchoProcess:
    """The echo service in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.metrics_port = 0
        self.events: list[dict[str, object]] = []

    @classmethod
    async def start(cls, drain_s: float, handover: str = "") -> EchoProcess:
        """Start it, and wait until it serves."""
        program = str(Path(echo.__file__))
        arguments = (program, str(drain_s), handover)
        started = cls(await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=asyncio.subprocess.PIPE))
        started.metrics_port = int(str((await started.event("metrics.listening"))["port"]))
        started.port = int(str((await started.event("server.listening"))["port"]))
        await started.event("server.serving")
        return started

    async def event(self, name: str) -> dict[str, object]:
        """The next log line with this event."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == name:
                return dict(event)
        pytest.fail(f"no {name} in {self.events}")


@pytest.fixture
async def process() -> AsyncIterator[EchoProcess]:
    """An echo process with a grace that a test would notice waiting for."""
    started = await EchoProcess.start(drain_s=300)
    yield started
    if started.process.returncode is None:
        started.process.kill()
        await started.process.wait()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that was not started."""
    made = Server([echo.SERVICE])
    yield made
    await made.stop(0)


async def health(port: int, service: str) -> int:
    """What the health service says."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return int(answer.status)


@pytest.mark.parametrize("service", ["", echo.NAME])
async def test_health_is_not_serving_until_ready(server: Server, service: str) -> None:
    """A probe hears NOT_SERVING from a process that has not finished starting."""
    port = await server.start("127.0.0.1:0")
    before = await health(port, service)
    await server.serving()
    assert (before, await health(port, service)) == (
        health_pb2.HealthCheckResponse.NOT_SERVING,
        health_pb2.HealthCheckResponse.SERVING,
    )


async def test_reflection_lists_the_services(server: Server) -> None:
    """A person with grpcurl finds their way."""
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        call.cancel()
    assert echo.NAME in {service.name for service in answer.list_services_response.service}


async def test_a_taken_port_fails_loudly(server: Server) -> None:
    """Two servers never share a port in silence."""
    port = await server.start("127.0.0.1:0")
    with pytest.raises(RuntimeError):
        await Server([echo.SERVICE]).start(f"127.0.0.1:{port}")


async def test_sigterm_lets_a_call_in_flight_finish(process: EchoProcess) -> None:
    """What was taken on is answered, and then the process leaves with code 0."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        answer = asyncio.ensure_future(channel.unary_unary(f"/{echo.NAME}/Wait")(b"400"))
        await asyncio.wait_for(channel.channel_ready(), 60)
        # A second call behind the first on the same connection: once it is answered, the first has arrived.
        await channel.unary_unary(f"/{echo.NAME}/Echo")(b"")
        process.process.send_signal(signal.SIGTERM)
        assert await answer == b"400"
    assert await asyncio.wait_for(process.process.wait(), 60) == 0


async def test_sigterm_does_not_wait_for_an_endless_stream(process: EchoProcess) -> None:
    """A watcher that never leaves does not keep a drained process alive."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        stream = channel.unary_stream(f"/{echo.NAME}/Forever")(b"hello")
        await stream.read()
        process.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.process.wait(), 60) == 0


async def test_a_second_signal_ends_the_process_at_once(process: EchoProcess) -> None:
    """A person who presses Ctrl-C twice means it."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        slow = asyncio.ensure_future(channel.unary_unary(f"/{echo.NAME}/Wait")(b"60000"))
        await channel.unary_unary(f"/{echo.NAME}/Echo")(b"")
        process.process.send_signal(signal.SIGTERM)
        await process.event("server.draining")
        process.process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(process.process.wait(), 60)
        with pytest.raises(grpc.aio.AioRpcError):
            await slow
    assert code == -signal.SIGINT


async def test_what_outlasts_the_grace_is_cut_off() -> None:
    """A call that never ends does not keep a drained process alive."""
    process = await EchoProcess.start(drain_s=0.1)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        slow = asyncio.ensure_future(channel.unary_unary(f"/{echo.NAME}/Wait")(b"60000"))
        await channel.unary_unary(f"/{echo.NAME}/Echo")(b"")
        process.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.process.wait(), 60)
        with pytest.raises(grpc.aio.AioRpcError):
            await slow
    assert code == 0


async def test_calls_are_answered_while_a_process_hands_over() -> None:
    """Between the signal and the closing door nobody is turned away."""
    process = await EchoProcess.start(drain_s=0, handover="300")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        await channel.unary_unary(f"/{echo.NAME}/Echo")(b"before")
        process.process.send_signal(signal.SIGTERM)
        await process.event("server.draining")
        assert await channel.unary_unary(f"/{echo.NAME}/Echo")(b"hello") == b"hello"
    assert await asyncio.wait_for(process.process.wait(), 60) == 0


@pytest.mark.parametrize(("handover", "said"), [("hang", "server.handover_late"), ("fail", "server.handover_failed")])
async def test_a_handover_that_comes_to_nothing_is_not_waited_for(handover: str, said: str) -> None:
    """One that hangs is cut off, one that fails is logged, and the process leaves with code 0 all the same."""
    process = await EchoProcess.start(drain_s=0, handover=handover)
    process.process.send_signal(signal.SIGTERM)
    await process.event(said)
    assert await asyncio.wait_for(process.process.wait(), 60) == 0


async def test_a_process_whose_background_task_ends_answers_what_it_took_on_and_fails() -> None:
    """Half alive is not healthy: it drains as at a signal, and leaves with a failure that a supervisor sees."""
    process = await EchoProcess.start(drain_s=300)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        answer = asyncio.ensure_future(channel.unary_unary(f"/{echo.NAME}/Wait")(b"400"))
        await asyncio.wait_for(channel.channel_ready(), 60)
        await channel.unary_unary(f"/{echo.NAME}/Kill")(b"")
        ended = await process.event("task.ended")
        assert await answer == b"400"
    assert (ended["task"], ended["why"]) == ("tend", "ZeroDivisionError()")
    assert await asyncio.wait_for(process.process.wait(), 60) == 1
