"""A cluster whose shards come and go while it is asked: a members file, real processes, and shoppers who never stop."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import datasets
from processes import DEADLINE_MS, READY_WITHIN_S, Process

from cli.addresses import free_address
from cli.cluster import until_ready
from trunkshow.client import AsyncClient, Rung
from trunkshow.cluster import ClusterStatus, ShardState
from trunkshow.errors import TrunkshowError

PAUSE_S = 0.01


class Elastic:
    """Shards in a members file, and a router.

    Attributes:
        target: the router's address.
        shards: the processes that are members, by address.
    """

    def __init__(self, store: Path, folder: Path, replicas: int = 2) -> None:
        folder.mkdir(parents=True)
        self.target = free_address()
        self.shards: dict[str, Process] = {}
        self._folder, self._members = folder, folder / "members"
        self._common = ["--store", str(store), "--members", f"file:{self._members}"]
        self._replicas = replicas
        self._started: list[Process] = []
        self._numbers = itertools.count()

    async def start(self, shards: int) -> None:
        """All of it, ready."""
        self.join(shards)
        self.route()
        await self.until(lambda status: settled(status, shards))

    def route(self) -> None:
        """The router."""
        own = ["--listen", self.target, "--deadline-ms", str(DEADLINE_MS)]
        self._start(["router", *self._common, *own], "router")

    def join(self, count: int) -> None:
        """More shards."""
        for address in [free_address() for _ in range(count)]:
            self.shards[address] = self.shard(address)
        self._write()

    def name(self, *addresses: str) -> None:
        """These are the members, however they are spelt."""
        fresh = self._members.with_suffix(".new")
        fresh.write_text("".join(f"{address}\n" for address in addresses))
        fresh.replace(self._members)

    def said(self, event: str) -> int:
        """How often the shards' logs have an event."""
        return sum(log.read_text().count(f'"event": "{event}"') for log in self._folder.glob("shard-*.log"))

    def shard(self, address: str) -> Process:
        """A shard's process, with copies of its own."""
        own = ["--name", address, "--listen", address, "--replicas", str(self._replicas)]
        cache = self._folder / f"cache-{address.rpartition(':')[2]}"
        return self._start(["shard", *self._common, *own, "--cache", str(cache)], f"shard-{next(self._numbers)}")

    async def leave(self, count: int) -> None:
        """The newest shards get SIGTERM, and are no members any more once they are gone."""
        leaving = list(self.shards)[-count:]
        for address in leaving:
            self.shards[address].signal(signal.SIGTERM)
        codes = await asyncio.gather(*(asyncio.to_thread(self.shards[address].wait) for address in leaving))
        assert codes == [0] * count
        for address in leaving:
            del self.shards[address]
        self._write()

    async def until(self, enough: Callable[[ClusterStatus | None], bool]) -> None:
        """Until the router's status is so."""
        await asyncio.wait_for(until_ready(self.target, enough), READY_WITHIN_S)

    def end(self) -> None:
        """End every process that was started."""
        for process in self._started:
            process.kill()

    def _write(self) -> None:
        self.name(*self.shards)

    def _start(self, arguments: list[str], name: str) -> Process:
        process = Process(arguments, self._folder / f"{name}.log")
        self._started.append(process)
        return process


def settled(status: ClusterStatus | None, shards: int, version: str = "") -> bool:
    """Whether so many shards are ready, cover everything, and nobody keeps what others have."""
    if status is None or not status.covered or (version and status.snapshot_version != version):
        return False
    up = [shard for shard in status.shards if shard.reachable and shard.state is ShardState.READY]
    held = [generation for shard in up for generation in shard.generations]
    return len(up) == len(status.shards) == shards and not any(one.loading for one in held)


class Shoppers:
    """Ask, one after the other, and keep count.

    Attributes:
        rungs: of the slates.
        versions: of the snapshots that they were made from.
        failed: what went wrong instead of a slate.
    """

    def __init__(self) -> None:
        self.rungs: Counter[Rung] = Counter()
        self.versions: Counter[str] = Counter()
        self.failed: list[str] = []
        self._one_more = asyncio.Event()

    async def ask(self, target: str, users: int) -> None:
        """For ever."""
        async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client:
            for number in itertools.count():
                try:
                    slate = await client.recommend(datasets.user_id(number % users))
                    self.rungs[slate.receipt.rung] += 1
                    self.versions[slate.receipt.snapshot_version] += 1
                except TrunkshowError as error:
                    self.failed.append(str(error))
                self._one_more.set()
                await asyncio.sleep(PAUSE_S)

    async def answered(self, more: int) -> None:
        """Until so many more slates were answered."""
        enough = self.rungs.total() + more
        while self.rungs.total() < enough:
            self._one_more.clear()
            await self._one_more.wait()


@asynccontextmanager
async def shopping(target: str, users: int) -> AsyncIterator[Shoppers]:
    """Shoppers who ask as long as the block lasts."""
    shoppers = Shoppers()
    asking = [asyncio.create_task(shoppers.ask(target, users)) for _ in range(3)]
    try:
        yield shoppers
    finally:
        for one in asking:
            one.cancel()
        await asyncio.wait(asking)
