"""Two router processes on one port: one that is killed or hangs costs nobody an answer, and all of them drain."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import datasets
import grpc
import pytest
from datasets import Built
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processes import DEADLINE_MS, Process

from cli.addresses import free_address
from cli.cluster import until_ready
from trunkshow.client import AsyncClient
from trunkshow.cluster import ClusterStatus

WITHIN_S = 60
CLIENTS = 6
"""Connections: the kernel gives each to one of the two, and all to the same one once in thirty-two times."""

SERVING = health_pb2.HealthCheckResponse.SERVING
BOTH = 'trunkshow_router_processes{process="parent",serving="yes"} 2.0'


class Routers:
    """A shard, and a router of two processes.

    Attributes:
        target: the routers' address.
        metrics: where the parent tells the numbers of both.
        health: where it tells whether anybody serves.
        parent: the process that was started.
    """

    def __init__(self, store: Path, logs: Path) -> None:
        shard = free_address()
        self.target, self.metrics, self.health = free_address(), free_address(), free_address()
        common = ["--store", str(store), "--shards", shard]
        own = ["--listen", self.target, "--metrics-listen", self.metrics, "--health-listen", self.health]
        deadline = ["--deadline-ms", str(DEADLINE_MS)]
        self._shard = Process(["shard", *common, "--name", shard, "--listen", shard], logs / "shard.log")
        self.parent = Process(["router", *common, *own, *deadline, "--processes", "2"], logs / "router.log")

    async def until(self, line: str) -> None:
        """Wait until the parent's numbers have it."""
        await asyncio.to_thread(self._wait, line)

    def _wait(self, line: str) -> None:
        until = time.monotonic() + WITHIN_S
        while line not in self.numbers():
            assert time.monotonic() < until, f"{line} did not come"
            time.sleep(0.05)

    def numbers(self) -> str:
        """What the parent tells; nothing where it does not answer yet."""
        try:
            with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=60) as answer:
                return str(answer.read(), "utf-8")
        except OSError:
            return ""

    def pids(self) -> list[int]:
        """Of the two."""
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="utf-8").split()]

    async def whole(self) -> None:
        """Wait until both serve, and the shard has everything."""

        def enough(status: ClusterStatus | None) -> bool:
            return status is not None and status.covered

        await self.until(BOTH)
        async with asyncio.timeout(WITHIN_S):
            await until_ready(self.target, enough)

    def alive(self, pids: list[int]) -> list[int]:
        """Of processes those that there are still."""
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    def end(self) -> None:
        """End all: the kernel ends the two when their parent dies."""
        self.parent.kill()
        self._shard.kill()


@pytest.fixture(scope="module")
def routers(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routers]:
    """Both, which each test waits for."""
    started = Routers(built.store, tmp_path_factory.mktemp("logs"))
    yield started
    started.end()


async def asked(routers: Routers, done: asyncio.Event) -> int:
    """Slates that were asked for over a connection of its own until then; every one of them came."""
    answered = 0
    async with AsyncClient(routers.target, deadline_ms=DEADLINE_MS) as client:
        while not done.is_set():
            slate = await client.recommend(datasets.user_id(answered % 400))
            assert slate.carousels
            answered += 1
    return answered


async def test_a_killed_process_costs_nobody_an_answer(routers: Routers) -> None:
    """Its connections are made anew with the other one, and it is started again."""
    await routers.whole()
    done = asyncio.Event()
    asking = [asyncio.create_task(asked(routers, done)) for _ in range(CLIENTS)]
    await routers.until("trunkshow_requests_total")
    before = routers.pids()
    os.kill(before[0], signal.SIGKILL)
    await routers.until('trunkshow_router_process_deaths_total{process="parent"} 1.0')
    await routers.until(BOTH)
    done.set()
    assert all(await asyncio.gather(*asking))
    assert before[0] not in routers.pids()
    assert before[1] in routers.pids()


async def test_health_is_told_of_both_and_numbers_of_each(routers: Routers) -> None:
    """Whoever probes or scrapes need not know how many there are."""
    await routers.whole()
    async with grpc.aio.insecure_channel(routers.health) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == SERVING
    for number in (1, 2):  # one that is busy when it is asked for its numbers is left out, and asked again
        await routers.until(f'trunkshow_serving{{process="{number}"}} 1.0')


async def test_all_of_them_drain(routers: Routers) -> None:
    """At SIGTERM what is in flight is answered, everybody leaves, and the parent ends well."""
    await routers.whole()
    pids = routers.pids()
    async with AsyncClient(routers.target, deadline_ms=DEADLINE_MS) as client:
        await client.recommend(datasets.user_id(0))
        routers.parent.signal(signal.SIGTERM)
        assert await asyncio.to_thread(routers.parent.wait) == 0
    assert not routers.alive(pids)
