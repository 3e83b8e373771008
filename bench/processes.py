"""Child processes: started, waited for until they serve, weighed, and ended by their own pid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from cli import nats
from cli.addresses import free_address
from cli.bench.orders import Orders
from cli.bench.outcome import Outcome

START_S_MAX = 180.0
KEPT_SLATES = "--kept-slates-mib"
"""None are kept unless a benchmark says so: it asks the same users again and again, and would measure little else."""
STOP_S_MAX = 15.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


Hear = Callable[[Mapping[str, Any]], None]


class Started(NamedTuple):
    """A server process that takes calls.

    Attributes:
        pid: its own.
        target: HOST:PORT.
    """

    pid: int
    target: str

    def cpu_s(self) -> float:
        """Processor seconds that it has used, in user and system mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


class Driver:
    """A process that asks as ordered, one stretch at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._line()  # it says that it is ready

    def __call__(self, orders: Orders) -> Outcome:
        """Ask, and return what came of it."""
        self.start(orders)
        return self.outcome()

    def start(self, orders: Orders) -> None:
        """Ask, without waiting for what comes of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(orders.to_json()).encode() + b"\n")
        self._process.stdin.flush()

    def outcome(self) -> Outcome:
        """What came of the asking that was started; waits for its end."""
        return Outcome.from_json(json.loads(self._line()))

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DidNotStart("the driver ended; what it said stands above")
        return line


class DidNotStart(Exception):
    """A server process ended, or was not ready in time; what it said stands in the message."""


@contextlib.contextmanager
def echo(reply_bytes: int) -> Iterator[Started]:
    """A bare echo server, for the time of the context."""
    with _of_ours("bench.echo", str(reply_bytes)) as started:
        yield started


@contextlib.contextmanager
def forwarder(target: str, method: str) -> Iterator[Started]:
    """A bare server that passes calls on to a method of another one, for the time of the context."""
    with _of_ours("bench.forwarder", target, method) as started:
        yield started


@contextlib.contextmanager
def driver(target: str, requests: Path) -> Iterator[Driver]:
    """A process that asks, for the time of the context."""
    command = [sys.executable, "-m", "cli.bench.driver", target, str(requests)]
    with _child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Driver(process)


@contextlib.contextmanager
def paced_shard(version: str, partitions: int, ms: float) -> Iterator[Started]:
    """A shard of known capacity, for the time of the context."""
    with _of_ours("bench.paced_shard", version, str(partitions), str(ms)) as started:
        yield started


@contextlib.contextmanager
def _of_ours(module: str, *arguments: str) -> Iterator[Started]:
    """A server of this package, which prints its port."""
    with _child([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START_S_MAX)
        port = process.stdout.readline().strip() if ready else b""
        if not port:
            raise DidNotStart(f"{module} did not start")
        yield Started(process.pid, f"127.0.0.1:{int(port)}")


@contextlib.contextmanager
def event_log(folder: Path) -> Iterator[tuple[Started, str]]:
    """A NATS server as `trunkshow up` runs it, for the time of the context, and the log's address."""
    address = free_address()
    with _child(nats.child(folder, address, None).command, stderr=subprocess.DEVNULL) as process:
        asyncio.run(asyncio.wait_for(nats.until_up(address), nats.UP_WITHIN_S))
        yield Started(process.pid, address), nats.url(address)


@contextlib.contextmanager
def trunkshow(
    *arguments: str, listen: str = "127.0.0.1:0", within_s: float = START_S_MAX, hear: Hear = lambda event: None
) -> Iterator[Started]:
    """A process of the product, for the time of the context; its log says when it serves, and on which port.

    Args:
        arguments: of the command; a shard keeps no slates, unless they say so.
        listen: where.
        within_s: it serves, or did not start.
        hear: told every event that it logs from then on, as it comes, on another thread.
    """
    keeping = (KEPT_SLATES, "0") if arguments[0] == "shard" and KEPT_SLATES not in arguments else ()
    command = [sys.executable, "-m", "cli.main", *arguments, *keeping, "--listen", listen]
    with _child(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        port = _port_when_serving(process.stderr, within_s)
        threading.Thread(target=_drain, args=(process.stderr, hear), daemon=True).start()
        yield Started(process.pid, f"127.0.0.1:{port}")


@contextlib.contextmanager
def _child(
    command: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port_when_serving(log: IO[bytes], within_s: float) -> int:
    said, port, until = [], 0, time.monotonic() + within_s
    while time.monotonic() < until and (line := log.readline()):
        said.append(line.decode(errors="replace"))
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if event.get("event") == "server.listening":
                port = int(event["port"])
            elif event.get("event") == "server.serving":
                return port
    raise DidNotStart("".join(said[-20:]) or "it said nothing")


def _drain(log: IO[bytes], hear: Hear) -> None:
    for line in log:  # a full pipe would stop the server
        with contextlib.suppress(ValueError):
            hear(json.loads(line))
        if b'"level": "error"' in line or b'"level": "warning"' in line:
            sys.stderr.buffer.write(line)
