"""A server's life: listen, become ready, serve, drain, leave.

1. It listens at once, its health NOT_SERVING, so that a probe can tell "starting" from "gone"; on the health port even
   before there is anything that could be served.
2. It is SERVING once `ready` has returned; should that raise, the process ends loudly.
3. At SIGTERM or SIGINT its health turns NOT_SERVING and `draining` is awaited, for so long at most, so that a shard
   can tell its routers and hand over, answering all the while; a moment later it stops accepting, finishes what it
   has within the grace, and returns. A second signal ends the process at once.
4. Where one of its background tasks comes to an end (`trunkshow.serving.tasks`), it leaves as at a signal, and then
   raises: a process that is half alive must not be taken for a healthy one.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog
import uvloop
from grpc_health.v1._async import HealthServicer

from trunkshow.serving import metrics
from trunkshow.serving.auth import Guard
from trunkshow.serving.exporter import exporting
from trunkshow.serving.methods import Service
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.probing import LIVE, probed
from trunkshow.serving.process import take_descriptors
from trunkshow.serving.server import NOT_SERVING, SERVING, Server
from trunkshow.serving.tasks import Tasks

LINGER_S = 0.1
"""Between saying that we drain and closing the door: routers hear the one before they meet the other."""

HANDOVER_S = 20.0
"""What `draining` may take where the caller does not say."""

Making = Callable[[], Awaitable[Sequence[Service]]]

log = structlog.get_logger()

SWITCH_S = 0.0005
"""A thread that opens a snapshot gives the interpreter back to the event loop after so long, instead of 5 ms."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop until it returns."""
    take_descriptors()
    sys.setswitchinterval(SWITCH_S)
    uvloop.run(main)


async def at_once() -> None:
    """Ready, or drained, without ado."""


async def serve(
    services: Sequence[Service] | Making,
    *,
    listen: str,
    drain_s: float = 5.0,
    ready: Callable[[], Awaitable[None]] = at_once,
    draining: Callable[[], Awaitable[None]] = at_once,
    handover_s: float = HANDOVER_S,
    options: ServerOptions = ServerOptions(),
    guard: Guard | None = None,
    tasks: Tasks | None = None,
    shared: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    Args:
        services: what to serve, most called first; or what makes them, and may take its time: the health port is open
            meanwhile, and a signal ends it at once.
        listen: HOST:PORT; port 0 lets the system choose.
        drain_s: what is in flight gets so long to finish.
        ready: returns when the process can answer; what it raises ends the process.
        draining: awaited at the signal, while calls are still answered, before the door closes.
        handover_s: what `draining` may take; it is cancelled then, and the door closes all the same.
        options: TLS, limits, metrics.
        guard: asked about every caller; everybody may call without one. Health and reflection are open.
        tasks: of the process; the caller begins and closes them.
        shared: other processes listen there, too, and the kernel gives each connection to one of them.

    Raises:
        TaskEnded: one of the tasks came to an end; what was in flight was answered.
    """
    stopping = _signalled()
    tasks = tasks or Tasks()
    tasks.ending = stopping.set
    health = HealthServicer()
    await health.set(LIVE, SERVING)
    await health.set("", NOT_SERVING)
    async with exporting(options.metrics_listen), probed(options.health_listen, health):
        made = await _made(services, stopping)
        if made is not None:
            server = Server(made, options, guard, health, shared=shared)
            metrics.IN_FLIGHT.set_function(lambda: server.in_flight.count)
            await _live(server, listen, drain_s, ready, draining, handover_s, stopping)
    tasks.check()


async def _made(services: Sequence[Service] | Making, stopping: asyncio.Event) -> Sequence[Service] | None:
    """The services; None where the stop came before they were made."""
    if not callable(services):
        return services
    making = asyncio.ensure_future(services())
    return making.result() if await _unless(stopping, making) else None


async def _live(
    server: Server,
    listen: str,
    drain_s: float,
    ready: Callable[[], Awaitable[None]],
    draining: Callable[[], Awaitable[None]],
    handover_s: float,
    stopping: asyncio.Event,
) -> None:
    await server.start(listen)
    try:
        if await _unless(stopping, ready()):
            _settle()
            await server.serving()
            await stopping.wait()
        log.info("server.draining", in_flight=server.in_flight.count)
        await server.not_serving()
        await _within(handover_s, draining())
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


async def _unless(stopping: asyncio.Event, getting_ready: Awaitable[object]) -> bool:
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


async def _within(most_s: float, handing_over: Awaitable[None]) -> None:
    """Wait for it, but no longer than this; a handover that fails does not keep a process from leaving."""
    try:
        async with asyncio.timeout(most_s):
            await handing_over
    except TimeoutError:
        log.warning("server.handover_late", after_s=most_s)
    except Exception as error:  # whatever it was, the process must end
        log.error("server.handover_failed", exc_info=error)


def _settle() -> None:
    """Take what start-up made out of the garbage collector's sight: it lives as long as the process does.

    A full collection of a router over the demo's snapshot takes 27 ms (66,000 objects), in which nobody is
    answered; after this it looks only at what requests left behind. A snapshot that comes later adds 4,200 objects,
    which take 0.4 ms: they stay in sight, since freezing them without a collection would keep garbage for good.
    """
    gc.collect()
    gc.freeze()
