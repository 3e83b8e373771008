"""One point, served: shards and a router as an operator starts them, how long that takes, what they hold, and a load.

Every partition is on one shard, so that with several each holds its part of the users; all hold the whole catalogue.
Anonymous memory is what a process needs for itself; what it has mapped of a snapshot's files is page cache, which the
kernel may take back, and is told apart. Memory is read after the load.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import load, processes
from cli.addresses import free_address
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb

USERS_MAX = 3000
CALLERS = 8
START_WITHIN_S = 600.0
"""A snapshot of three million users is checksummed and opened meanwhile."""


def serve(store: Path, shards: int, seconds: float) -> dict[str, Any]:
    """Start, load, weigh.

    Args:
        store: with a snapshot.
        shards: how many.
        seconds: of each of the two loops.
    """
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        addresses = [free_address() for _ in range(shards)]
        members = ("--shards", *addresses)
        started = [
            stack.enter_context(_started("shard", store, *members, "--name", own, "--replicas", "1", listen=own))
            for own in addresses
        ]
        router = stack.enter_context(_started("router", store, *members))
        servers = {"router": [router], "shard": started}
        opened = {name: [_weighed(one) for one in group] for name, group in servers.items()}
        requests = Path(folder) / "requests"
        load.write_requests(requests, [_request(user) for user in _users(store)])
        before = {name: _cpu_s(group) for name, group in servers.items()}
        answered = _asked(router.process.target, requests, seconds)
        count = answered["peak"]["answered"] + answered["half"]["answered"]
        return {
            "load": answered,
            "cpu_ms_per_request": {
                name: (_cpu_s(group) - before[name]) / count * 1000 for name, group in servers.items()
            },
            "opened": opened,
            "memory": {name: [memory(one.process.pid) for one in group] for name, group in servers.items()},
        }


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


def _cpu_s(servers: Sequence[_Server]) -> float:
    return sum(one.process.cpu_s() for one in servers)


def _asked(target: str, requests: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.growth.asking", target, str(requests)]
    chosen = ["--callers", str(CALLERS), "--seconds", str(seconds)]
    done = subprocess.run([*command, *chosen], stdout=subprocess.PIPE, check=True)
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def _request(user: str) -> bytes:
    asked = pb.RecommendRequest(user_id=user, carousels=load.CAROUSELS, items_per_carousel=load.ITEMS)
    data: bytes = asked.SerializeToString()
    return data


def _users(store: Path) -> list[str]:
    """Users of all partitions, in turn."""
    snapshot = Snapshot.open(open_store(store))
    found = []
    for number in range(snapshot.partitions):
        opened = snapshot.open_partition(number)
        found.append(opened.sample_users(USERS_MAX // snapshot.partitions + 1))
        opened.close()
    snapshot.close()
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*found))
    return [user for user in in_turn if user is not None][:USERS_MAX]
