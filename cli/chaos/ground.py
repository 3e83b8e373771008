"""The cluster that is harmed: its processes, the links between them, and the store that they serve from.

    driver ──► router-0 ─┬─ link ─► shard-0        every router has links of its own, so that one of them
           └─► router-1 ─┼─ link ─► shard-1        can be cut off while the other is not
                         └─ link ─► shard-2

    routers and shards ──► link ─► log            one for all of them

Callers go by a link, too, while `cli.chaos.caller_faults` has one for them, and not else: it would be in every latency.

Routers are given the links' addresses, shards know each other by their own; both look up in files who is a member. The
store is a copy (hard links, or a bucket) of the one that was given, so that nothing that is done here reaches it;
`oracle` holds every version that was ever pushed here, and no fault touches that.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from cli import nats
from cli.addresses import free_address
from cli.chaos import starting
from cli.chaos.chores import Chores
from cli.chaos.clock import Clock
from cli.chaos.depot import Depot
from cli.chaos.processes import TRUNKSHOW, Body, bytecode, start_together
from cli.chaos.proxy import Link
from cli.chaos.recording import Recording
from cli.chaos.rolls import Rolls
from cli.chaos.stalls import Stalls
from cli.chaos.terrain import Terrain
from cli.chaos.traffic import Traffic
from cli.cluster import until_ready
from cli.output import UsageError
from trunkshow.client import AsyncClient
from trunkshow.cluster import ClusterStatus, ShardState
from trunkshow.errors import TrunkshowError

READY_WITHIN_S = 120.0
STATUS_MS = 1_000.0
POLL_S = 0.05
SERVED_WITHIN_S = 30.0
LOG = "log"
"""The name of the event log's server."""


class Ground:
    """A cluster that is up.

    Attributes:
        terrain: what it is made of.
        bodies: its processes by name.
        links: from each router to each shard, by both names.
        fronts: from callers to a router, by its name, while they are to go by one.
        routers: addresses, by name.
        shards: the same; their own addresses, on no link.
        depot: the copy of the store that is served.
        logs: of every process.
        caches: of every process, by name.
        clock: of those processes whose clock can be stepped.
        log_link: from every router and shard to the event log.
        stalls: of this process, which carries the links.
        traffic: the drivers; set by who starts them.
        recording: who records events beside them; set likewise.
        notes: what faults measured, in words; whoever judges one takes them.
        chores: what goes on beside everything else.
    """

    def __init__(self, terrain: Terrain) -> None:
        self.terrain = terrain
        self.depot = Depot(terrain.work, terrain.store, s3=terrain.s3)
        self.logs = terrain.work / "logs"
        self._bytecode = terrain.work / "bytecode"
        self.bodies: dict[str, Body] = {}
        self.links: dict[tuple[str, str], Link] = {}
        self.fronts: dict[str, Link] = {}
        self.routers: dict[str, str] = {}
        self.shards: dict[str, str] = {}
        self.caches = {name: terrain.work / "cache" / name for name in terrain.shard_names + terrain.router_names}
        self.clock = Clock(terrain.work / "clock")
        self._rolls = Rolls(terrain.work / "members")
        self.log_address = free_address()
        self.log_link = Link(self.log_address, terrain.seed)
        self.stalls = Stalls()
        self.traffic = Traffic()
        self.recording: Recording
        self.notes: list[str] = []
        self.chores = Chores()

    @property
    def target(self) -> str:
        """Every router, as gRPC resolves it; by the link to it where callers are to go by one."""
        fronts = {name: link.address for name, link in self.fronts.items()}
        return "ipv4:" + ",".join({**self.routers, **fronts}.values())

    @property
    def places(self) -> dict[str, str]:
        """What receipts call an address: the link from a router to a shard."""
        return {link.address: f"{router} to {shard}" for (router, shard), link in self.links.items()}

    async def start(self) -> None:
        """Copy the store, and bring everything up; another ground may have stood here before.

        Raises:
            UsageError: it does not come up.
        """
        await asyncio.to_thread(self._clear)
        await self.depot.place.start()
        await asyncio.to_thread(self.depot.fill)
        self.chores.begin("stalls", self.stalls.watch())
        if self.terrain.clock:
            await asyncio.to_thread(self.clock.compile)
        await self._start_log()
        self.shards = {name: free_address() for name in self.terrain.shard_names}
        for name, address in self.shards.items():
            own = ("--name", address, "--listen", address, "--replicas", str(self.terrain.replicas))
            rolls = ("--members", self._rolls.source("shards"))
            self._body(name, partial(starting.holds_something, address), ("shard", *own, *rolls))
        for seed, router in enumerate(self.terrain.router_names):
            self.routers[router] = free_address()
            for name, address in self.shards.items():
                link = self.links[router, name] = Link(address, self.terrain.seed + seed)
                await link.open()
            rolls = ("--members", self._rolls.source(router))
            listens = partial(starting.listens, self.routers[router])
            self._body(router, listens, ("router", "--listen", self.routers[router], *rolls))
        self.enrol(self.shards, self.shards)
        await start_together(self.bodies, self.bodies)
        await self.until(self.whole, READY_WITHIN_S)

    def _clear(self) -> None:
        """Of a ground before this one its logs stay, which are added to, byte code, and files: the report."""
        with suppress(FileNotFoundError):
            for path in self.terrain.work.iterdir():
                if path.is_dir() and path not in (self.logs, self._bytecode):
                    shutil.rmtree(path, ignore_errors=True)

    def enrol(self, for_shards: Iterable[str], for_routers: Iterable[str]) -> None:
        """These shards, by name, are the members: what shards look up, and what routers do, each through its links."""
        listed = tuple(for_routers)
        self._rolls.enter("shards", (self.shards[name] for name in for_shards))
        for router in self.routers:
            self._rolls.enter(router, (self.links[router, name].address for name in listed))

    async def _start_log(self) -> None:
        """The event log, as `trunkshow up` runs one; its folder outlives its process."""
        command = nats.child(self.terrain.work / "events", self.log_address, None).command
        self.bodies[LOG] = Body(LOG, command, self.logs / f"{LOG}.log")
        await self.bodies[LOG].start()
        await asyncio.wait_for(nats.until_up(self.log_address), nats.UP_WITHIN_S)
        await self.log_link.open()

    def _body(self, name: str, serves: Callable[[], Awaitable[bool]], arguments: Sequence[str]) -> None:
        store = ("--store", self.depot.url, "--cache", str(self.caches[name]))
        common = (*store, "--log", nats.url(self.log_link.address))
        environment = bytecode(self._bytecode)
        if self.terrain.clock:
            environment = {**environment, **self.clock.environment}
        command, log = (*TRUNKSHOW, *arguments, *common), self.logs / f"{name}.log"
        self.bodies[name] = Body(name, command, log, environment, serves)

    async def end(self) -> None:
        """End every process, and every link."""
        await self.chores.stop_all()
        await asyncio.gather(*(body.kill() for body in self.bodies.values()))
        await asyncio.gather(*(link.close() for link in (*self.links.values(), *self.fronts.values(), self.log_link)))
        await asyncio.to_thread(self.depot.close)
        await self.depot.place.end()

    @property
    def log(self) -> str:
        """The event log's address, on no link that is harmed."""
        return nats.url(self.log_address)

    def links_to(self, shard: str) -> list[Link]:
        """From every router."""
        return [link for (_, to), link in self.links.items() if to == shard]

    def links_of(self, router: str) -> list[Link]:
        """To every shard."""
        return [link for (of, _), link in self.links.items() if of == router]

    async def statuses(self) -> list[ClusterStatus | None]:
        """What every router says; None where one does not answer."""
        return list(await asyncio.gather(*map(_status, self.routers.values())))

    def whole(self, status: ClusterStatus | None) -> bool:
        """Whether a router sees every partition covered, and every shard ready."""
        return (
            status is not None
            and status.covered
            and all(shard.reachable and shard.state is ShardState.READY for shard in status.shards)
        )

    async def until(self, enough: Callable[[ClusterStatus | None], bool], within_s: float) -> float:
        """Wait until every router's status is enough; how many seconds that took.

        Raises:
            UsageError: it did not become so in time.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(until_ready(address, enough) for address in self.routers.values()))
        except TimeoutError:
            raise UsageError(f"the cluster was not whole within {within_s:g} s; its logs are in {self.logs}") from None
        return time.monotonic() - began

    async def until_served(self, version: str) -> None:
        """Wait until a second of answers was from this version alone.

        Raises:
            UsageError: it did not come to that in time.
        """
        try:
            async with asyncio.timeout(SERVED_WITHIN_S):
                while set(self._versions_of_late()) != {version}:  # noqa: ASYNC110 - other processes' doing
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise UsageError(f"{version} was not served to all within {SERVED_WITHIN_S:g} s of its promotion") from None

    def _versions_of_late(self) -> Counter[str]:
        now = time.monotonic()
        return self.traffic.series.between(now - 1.2, now - 0.2).versions


async def _status(address: str) -> ClusterStatus | None:
    async with AsyncClient(address) as client:
        try:
            return await client.status(deadline_ms=STATUS_MS)
        except TrunkshowError:
            return None


@asynccontextmanager
async def standing(terrain: Terrain) -> AsyncIterator[Ground]:
    """A ground for the time of the context; nothing of it is left running, whatever happens."""
    ground = Ground(terrain)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ground.end)
        await ground.start()
        yield ground
