"""Several router processes on one port: the parent, which starts them, keeps them, and answers for all of them.

    HOST:PORT        every process listens there (SO_REUSEPORT); the kernel gives each new connection to one of them
    metrics, health  the parent alone: the numbers of all, and SERVING while at least one of them is

Each process is a router of its own, started by the same command line, never forked: it knows nothing of the others,
follows the store and the shards by itself, and may die without them. One that died is started again (`cli.processes`);
one that hangs (`cli.several_looks`) is killed for it. Whatever several routers agree on through the store, the log and
the shards, these do in the same way. At SIGTERM the parent is NOT_SERVING at once, and all of them drain.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from cli import several_looks, several_metrics
from cli.addresses import split_address
from cli.cluster import interruptible
from cli.output import UsageError
from cli.processes import GRACE_S, Child, ChildGaveUp, Supervisor
from cli.several_looks import Crew, Look
from router.config import RouterConfig
from trunkshow.serving import metrics, telemetry
from trunkshow.serving.exporter import exporting
from trunkshow.serving.options import UNIX, address
from trunkshow.serving.probing import LIVE, probed

LOOK_EVERY_S = 0.25
OWN = ("--process", "--metrics-listen", "--health-listen")
"""Of these each process gets its own; whatever else the command line says holds for all."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

PROCESSES = metrics.gauge(
    "trunkshow_router_processes", "Processes of this router, by whether they serve.", ("serving",)
)
DEATHS = metrics.counter("trunkshow_router_process_deaths_total", "Processes that ended, and were started again.")

log = structlog.get_logger()


def run(config: RouterConfig, arguments: Sequence[str]) -> None:
    """Keep the processes until SIGTERM or SIGINT; blocking.

    Args:
        config: of the router.
        arguments: of the command line that it was made from.

    Raises:
        UsageError: they do not start.
    """
    telemetry.configure(config.log_level, user_ids=config.server.log_user_ids, role="router", process="parent")
    with tempfile.TemporaryDirectory(prefix="trunkshow-router-") as folder, _held(config):
        asyncio.run(interruptible(partial(_keep, config, arguments, Path(folder))))


def command(arguments: Sequence[str], number: int, folder: Path) -> tuple[str, ...]:
    """The command of one process.

    Args:
        arguments: of the parent's own command line.
        number: of the process, from 1 on.
        folder: for its sockets.
    """
    places = zip(OWN[1:], (_metrics(folder, number), _health(folder, number)), strict=True)
    own = [OWN[0], str(number), *(part for option, path in places for part in (option, f"{UNIX}{path}"))]
    return (sys.executable, "-P", "-m", "cli.main", *_without(arguments, OWN), *own)


def _without(arguments: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """Arguments without these options and their values."""
    of_option = False
    for argument in arguments:
        name, _, value = argument.partition("=")
        if of_option:
            of_option = False
        elif name.replace("_", "-") in options:
            of_option = not value
        else:
            yield argument


def _metrics(folder: Path, number: int) -> Path:
    return folder / f"metrics-{number}"


def _health(folder: Path, number: int) -> Path:
    return folder / f"health-{number}"


@contextmanager
def _held(config: RouterConfig) -> Iterator[None]:
    """Keep strangers off the ports, between two lives of the processes too; nothing is accepted here."""
    places = [split_address(config.listen)]
    if config.tracking.http_listen:
        places.append(address("http_listen", config.tracking.http_listen))
    with ExitStack() as held:
        for host, port in places:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            door = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                door.bind((host.strip("[]"), port))
            except OSError as error:
                raise UsageError(f"cannot listen on {host}:{port} ({error.strerror})") from None
        yield


async def _keep(config: RouterConfig, arguments: Sequence[str], folder: Path, hurry: asyncio.Event) -> None:
    """Until cancelled; then all of them have ended."""
    numbers = range(1, config.processes + 1)
    path = os.pathsep.join(filter(None, (_root(), os.environ.get("PYTHONPATH"))))
    children = [Child(f"{number}", command(arguments, number, folder), {"PYTHONPATH": path}) for number in numbers]
    grace_s = GRACE_S + 2 * config.drain_s  # of its HTTP listener, and of its calls
    supervisor = Supervisor(children, _say, grace_s=grace_s, hurry=hurry)
    health = HealthServicer()
    await health.set(LIVE, _SERVING)
    await health.set("", _NOT_SERVING)
    scrape = partial(several_metrics.scraped, {f"{number}": _metrics(folder, number) for number in numbers})
    async with exporting(config.server.metrics_listen, scrape), probed(config.server.health_listen, health):
        keeping = asyncio.create_task(supervisor.run())
        watching = asyncio.create_task(_watch(supervisor, folder, numbers, health))
        try:
            await asyncio.wait({keeping, watching}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            log.info("router.draining", processes=len(supervisor.pids))
            raise
        finally:
            watching.cancel()
            await asyncio.wait({watching})
            await health.set("", _NOT_SERVING)
            metrics.SERVING.set(0)
            keeping.cancel()
            await asyncio.wait({keeping})
        _raise_what_ended(keeping, watching)


def _root() -> str:
    """Whose code the processes run: this one's, wherever they are started."""
    return str(Path(__file__).resolve().parent.parent)


def _raise_what_ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        with suppress(asyncio.CancelledError):
            try:
                task.result()
            except ChildGaveUp as error:
                raise UsageError(f"router process {error}") from None


async def _watch(supervisor: Supervisor, folder: Path, numbers: Sequence[int], health: HealthServicer) -> None:
    """Look at every process, again and again; say what follows."""
    crew = Crew(numbers)
    async with several_looks.eyes({number: _health(folder, number) for number in numbers}) as look:
        while True:
            seen = dict(zip(numbers, await asyncio.gather(*map(look, numbers)), strict=True))
            for number in crew.hanging(seen):
                _kill(supervisor, number)
            serving = sum(one is Look.SERVING for one in seen.values())
            PROCESSES.labels("yes").set(serving)
            PROCESSES.labels("no").set(len(numbers) - serving)
            metrics.SERVING.set(bool(serving))
            await health.set("", _SERVING if serving else _NOT_SERVING)
            if serving:
                supervisor.cluster_is_up()
            await asyncio.sleep(LOOK_EVERY_S)


def _kill(supervisor: Supervisor, number: int) -> None:
    """End a process that hangs; who keeps it starts it again."""
    pid = supervisor.pids.get(f"{number}")
    if pid is not None:
        log.error("router.process_hangs", number=number, pid=pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _say(event: str, **details: Any) -> None:
    if event == "child.died":
        DEATHS.inc()
    (log.info if event == "child.started" else log.error)(event, **details)
