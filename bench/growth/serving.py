"""One point, served: shards and a router as an operator starts them, how long that takes, what they hold, and a load.

Every partition is on one shard, so that with several each holds its part of the users; all hold the whole catalogue.
Anonymous memory is what a process needs for itself; what it has mapped of a snapshot's files is page cache, which the
kernel may take back, and is told apart. Memory is read after the load.

The load is `cli.bench.driver`'s: a closed loop to find the peak, then an open one at half of it, where a latency counts
from when a request was due; statuses and slates are checked, and anything wrong fails the point.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import processes
from bench.wanted import WANTED
from cli.addresses import free_address
from cli.bench.orders import Orders, write_requests
from cli.bench.users import of_snapshot, requests_for
from trunkshow import channel as wire
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

CALLERS = 8
OF_PEAK = 0.5
"""At which latency is measured."""

RATE_MIN = 1.0
START_WITHIN_S = 600.0
"""A snapshot of three million users is checksummed and opened meanwhile."""


def serve(store: Path, shards: int, seconds: float) -> dict[str, Any]:
    """Start, load, weigh.

    Args:
        store: with a snapshot.
        shards: how many.
        seconds: of each of the two loops.

    Raises:
        WrongAnswers: something failed.
    """
    with contextlib.ExitStack() as stack:
        addresses = [free_address() for _ in range(shards)]
        members = ("--shards", *addresses)
        started = [
            stack.enter_context(_started("shard", store, *members, "--name", own, "--replicas", "1", listen=own))
            for own in addresses
        ]
        servers = {"router": [stack.enter_context(_started("router", store, *members))], "shard": started}
        opened = {name: [_weighed(one) for one in group] for name, group in servers.items()}
        return {
            **_loaded(store, servers, seconds),
            "opened": opened,
            "memory": {name: [memory(one.process.pid) for one in group] for name, group in servers.items()},
        }


def _loaded(store: Path, servers: Mapping[str, Sequence[_Server]], seconds: float) -> dict[str, Any]:
    """What both loops came to, and what that took of the servers."""
    pids = {f"{name} {at}": one.process.pid for name, group in servers.items() for at, one in enumerate(group)}
    orders = Orders(wire.RECOMMEND.path, "slate", WANTED, seconds, pids=pids)
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests"
        write_requests(requests, _requests(store))
        with processes.driver(servers["router"][0].process.target, requests) as ask:
            peak = ask(replace(orders, callers=CALLERS))
            half = ask(replace(orders, rate=max(RATE_MIN, OF_PEAK * peak.throughput)))
    if not peak.passed or not half.passed:
        raise WrongAnswers(f"{peak.failed} {half.failed} {[*peak.judged.complaints, *half.judged.complaints]}")
    answered = peak.answered + half.answered
    used = {
        name: sum(one.cpu_s[pid] for one in (peak, half) for pid in pids if pid.split()[0] == name) for name in servers
    }
    return {
        "load": {"peak": peak.figures(), "half": half.figures()},
        "cpu_ms_per_request": {name: seconds / answered * 1000 for name, seconds in used.items()},
    }


class WrongAnswers(Exception):
    """Requests failed, or slates were not what was asked for; the message has the first of them."""


class _Server:
    """A server, and what starting it took.

    Attributes:
        process: the server.
        seconds: from its start until it served.
        cpu_s: of a processor, in that time.
    """

    def __init__(self, process: processes.Started, seconds: float) -> None:
        self.process = process
        self.seconds = seconds
        self.cpu_s = process.cpu_s()


@contextlib.contextmanager
def _started(role: str, store: Path, *arguments: str, listen: str = "127.0.0.1:0") -> Iterator[_Server]:
    began = time.perf_counter()
    command = (role, "--store", str(store), *arguments)
    with processes.trunkshow(*command, listen=listen, within_s=START_WITHIN_S) as process:
        yield _Server(process, time.perf_counter() - began)


def _weighed(server: _Server) -> dict[str, float]:
    return {"seconds": server.seconds, "cpu_s": server.cpu_s, **memory(server.process.pid)}


def memory(pid: int) -> dict[str, int]:
    """Bytes of a process that are resident: its own, and those of files that it has mapped."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    own, mapped = (int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return {"anonymous": own, "mapped": mapped}


def _requests(store: Path) -> list[bytes]:
    """For users of all partitions, in turn."""
    snapshot = Snapshot.open(open_store(store))
    users = [one.user for one in of_snapshot(snapshot)]
    snapshot.close()
    return requests_for(users, WANTED, 0)
