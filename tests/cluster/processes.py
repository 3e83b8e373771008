"""A cluster of real processes on free ports, each started here and ended here by its own process id."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.addresses import free_address
from cli.cluster import until_ready
from trunkshow.client import Client
from trunkshow.cluster import ClusterStatus, ShardState

READY_WITHIN_S = 120
END_WITHIN_S = 60
BUILT_WITHIN_S = 120
DEADLINE_MS = 8000
"""Of the router in these tests: what is tested is who answers, not how fast a busy machine does."""

BATCH_DEADLINE_MS = 60_000
"""Of a batch: the same."""

ROOT = Path(__file__).parents[2]


def is_held(status: ClusterStatus | None, times: int) -> bool:
    """Whether every partition is warm on so many shards: with fewer, what harms one may cost a rung."""
    if status is None:
        return False
    there = (shard for shard in status.shards if shard.reachable)  # of one that is gone the last word is remembered
    held = Counter(number for shard in there for one in shard.generations for number in one.warm)
    return len(held) == status.partitions and min(held.values(), default=0) >= times


def is_up(status: ClusterStatus, address: str) -> bool:
    """Whether a shard is there, and has all that it should have."""
    return any(one.address == address and one.reachable and one.state is ShardState.READY for one in status.shards)


class Process:
    """One command of ours, its log in a file."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments], stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)

    def wait(self, within_s: float = END_WITHIN_S) -> int:
        """Its exit code, negative for a signal."""
        return self._process.wait(within_s)

    def kill(self) -> None:
        """End it at once, and wait until it has."""
        if self.lives:
            self._process.kill()
        self._process.wait(END_WITHIN_S)
        self._log.close()


class Cluster:
    """Shards and a router.

    Attributes:
        target: the router's address.
        router: its process.
        shards: by address.
    """

    def __init__(self, store: Path, logs: Path, shards: int, replicas: int, log: str = "") -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.target = free_address()
        addresses = [free_address() for _ in range(shards)]
        membership = ["--store", str(store), "--shards", *addresses, *(["--log", log] if log else [])]
        self.shards: dict[str, Process] = {}
        self._held_by = min(replicas, shards)
        self._commands: dict[str, tuple[list[str], Path]] = {}
        self._started: list[Process] = []
        try:
            for number, address in enumerate(addresses):
                own = ["--name", address, "--listen", address, "--replicas", str(replicas)]
                self._commands[address] = ["shard", *membership, *own], logs / f"shard-{number}.log"
                self.shards[address] = self._start(*self._commands[address])
            own = ["--deadline-ms", str(DEADLINE_MS), "--batch-deadline-ms", str(BATCH_DEADLINE_MS)]
            self.router = self._start(["router", *membership, "--listen", self.target, *own], logs / "router.log")
            self._until(lambda status: is_held(status, self._held_by))
        except BaseException:
            self.end()
            raise

    def until_held(self) -> None:
        """Wait until every partition is warm on as many shards as it should be."""
        ready = until_ready(self.target, lambda status: is_held(status, self._held_by))
        asyncio.run(asyncio.wait_for(ready, READY_WITHIN_S))

    def mend(self) -> None:
        """Start those shards again that have ended, whatever ended them."""
        for address in [address for address, shard in self.shards.items() if not shard.lives]:
            self.restart(address)

    def restart(self, address: str) -> None:
        """Kill a shard, wait until the router has missed it, start it again, and wait until all is warm."""
        self.shards[address].kill()
        self._until(lambda status: status is not None and not is_up(status, address))
        self.shards[address] = self._start(*self._commands[address])
        self._until(lambda status: status is not None and is_up(status, address) and is_held(status, self._held_by))

    def _until(self, enough: Callable[[ClusterStatus | None], bool]) -> None:
        asyncio.run(asyncio.wait_for(until_ready(self.target, enough), READY_WITHIN_S))

    def _start(self, arguments: list[str], log: Path) -> Process:
        process = Process(arguments, log)
        self._started.append(process)
        return process

    def end(self) -> None:
        """End every process that was started."""
        for process in self._started:
            process.kill()


@contextmanager
def running(store: Path, logs: Path, shards: int = 3, replicas: int = 2, log: str = "") -> Iterator[Cluster]:
    """A cluster that is ready, and gone afterwards, whatever happens; it records in the event log that is named."""
    cluster = Cluster(store, logs, shards, replicas, log)
    try:
        yield cluster
    finally:
        cluster.end()


def asking(cluster: Cluster) -> Client:
    """A client that is in no hurry."""
    return Client(cluster.target, deadline_ms=DEADLINE_MS)
