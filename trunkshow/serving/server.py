"""A server's life: listen, become ready, serve, drain, leave.

1. It listens at once, its health NOT_SERVING, so that a probe can tell "starting" from "gone".
2. It is SERVING once `ready` has returned; should that raise, the process ends loudly.
3. At SIGTERM or SIGINT its health turns NOT_SERVING and `draining` is called, so that a shard can tell its
   routers; a moment later it stops accepting, finishes what it has within the grace, and returns. A second
   signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import grpc.aio
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from trunkshow.serving.methods import InFlight, Service, generic_handler

MESSAGE_BYTES_MAX = 16 << 20
"""gRPC's hard limit, beyond which it cuts the message off itself; our own lower one gives a reason."""

CONCURRENT_STREAMS_MAX = 1024
"""Per connection; beyond it the caller's gRPC queues."""

LINGER_S = 0.1
"""Between saying that we drain and closing the door: routers hear the one before they meet the other."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", CONCURRENT_STREAMS_MAX),
    # Two servers on one port would share its calls in silence.
    ("grpc.so_reuseport", 0),
    # Our own clients ping idle connections; gRPC's default would count that as abuse and hang up.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop until it returns."""
    uvloop.run(main)


class Server:
    """Services, health and reflection on one port.

    Attributes:
        in_flight: calls being answered, but for endless streams.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self.in_flight = InFlight()
        self._names = [service.name for service in services]
        self._health = HealthServicer()
        self._server = grpc.aio.server(options=OPTIONS)
        # First come the services that are called most: handlers are asked in order.
        self._server.add_generic_rpc_handlers([generic_handler(service, self.in_flight) for service in services])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        described = (*self._names, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(described, self._server)

    async def start(self, listen: str) -> int:
        """Listen on HOST:PORT, not yet serving; return the port, which for port 0 the system chose.

        Raises:
            RuntimeError: the address cannot be bound.
        """
        await self._report(_NOT_SERVING)
        port = self._server.add_insecure_port(listen)
        await self._server.start()
        log.info("server.listening", host=listen.rpartition(":")[0], port=port, services=self._names)
        return port

    async def serving(self) -> None:
        """Report SERVING from now on."""
        await self._report(_SERVING)
        log.info("server.serving")

    async def not_serving(self) -> None:
        """Report NOT_SERVING for good."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, finish what is in flight within the grace; then cut what is left.

        gRPC's own stop is called once and never again: a second call beside it reads a server that the first
        may have freed (grpcio 1.85: segmentation fault).
        """
        closing = asyncio.ensure_future(self._server.stop(grace_s))
        idle = asyncio.ensure_future(self.in_flight.idle())
        await asyncio.wait({closing, idle}, return_when=asyncio.FIRST_COMPLETED)
        self.in_flight.over.set()
        idle.cancel()
        await closing
        log.info("server.stopped")

    async def _report(self, status: Any) -> None:
        for name in ("", *self._names):
            await self._health.set(name, status)


async def at_once() -> None:
    """Ready without ado."""


async def serve(
    services: Sequence[Service],
    *,
    listen: str,
    drain_s: float = 5.0,
    ready: Callable[[], Awaitable[None]] = at_once,
    draining: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Args:
        services: what to serve, most called first.
        listen: HOST:PORT; port 0 lets the system choose.
        drain_s: what is in flight gets so long to finish.
        ready: returns when the process can answer; what it raises ends the process.
        draining: called at the signal, before the door closes.
    """
    stopping = _signalled()
    server = Server(services)
    await server.start(listen)
    try:
        if await _unless(stopping, ready()):
            _settle()
            await server.serving()
            await stopping.wait()
        log.info("server.draining", in_flight=server.in_flight.count)
        await server.not_serving()
        draining()
        await asyncio.sleep(LINGER_S)
    finally:
        await server.stop(drain_s)


def _signalled() -> asyncio.Event:
    """An event that is set at the first SIGTERM or SIGINT; the second one is the system's to handle."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def heard() -> None:
        event.set()
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, heard)
    return event


async def _unless(stopping: asyncio.Event, getting_ready: Awaitable[None]) -> bool:
    """Whether the awaitable finished before the stop; it is cancelled otherwise."""
    task = asyncio.ensure_future(getting_ready)
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    await asyncio.wait({task})
    return False


def _settle() -> None:
    """Take what start-up made out of the garbage collector's sight: it lives as long as the process does.

    A full collection of a router over the demo's snapshot takes 27 ms (66,000 objects), in which nobody is
    answered; after this it looks only at what requests left behind.
    """
    gc.collect()
    gc.freeze()
