"""A cluster on this machine: which processes it is made of, and when it is ready.

Keeping the processes is `cli.processes`; the shards and the router know nothing of being kept.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

import cli
from cli import local_log, scaling
from cli.addresses import free_address, split_address
from cli.local_log import NO_LOG, NOWHERE, LocalLog, LogPlan
from cli.output import UsageError
from cli.processes import Child, ChildGaveUp, Say, Supervisor
from cli.readiness import Hopeless, Waiting
from cli.scaling import Ledger
from trunkshow.channel import OPTIONS
from trunkshow.client import AsyncClient
from trunkshow.cluster import ClusterStatus
from trunkshow.errors import TrunkshowError

READY_WITHIN_S = 120.0
POLL_S = 0.05
_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class Plan:
    """What a local cluster is made of.

    Attributes:
        store: folder of the snapshot store, or its s3:// address.
        snapshot: version that is served at the start.
        shards: how many.
        replicas: shards that hold each partition.
        listen: address of the router; port 0 takes a free one.
        logs: folder for the children's logs, this cluster's alone; they go to stderr where None.
        pinned: whether every process stays on that version, instead of following the store's pointer.
        cache: folder for the processes' copies of snapshots, one folder each; none are kept where None.
        log: event log that it records in.
    """

    store: str
    snapshot: str
    shards: int
    replicas: int
    listen: str
    logs: Path | None
    pinned: bool = False
    cache: Path | None = None
    log: LogPlan = NO_LOG


def children(plan: Plan, router: str, shards: Mapping[str, str], members: Path, log: LocalLog = NOWHERE) -> list[Child]:
    """The processes of a cluster whose addresses are chosen.

    Args:
        plan: what it is made of.
        router: its address.
        shards: addresses by name.
        members: the file in which every process looks the membership up.
        log: that it records in.
    """
    common = (*_store(plan, "router"), "--members", f"file:{members}", *_log(log))
    made = [shard_child(plan, name, address, members, log) for name, address in shards.items()]
    own = [log.child] if log.child else []
    return [*own, *made, _child(plan, "router", ("router", *common, "--listen", router))]


def shard_child(plan: Plan, name: str, address: str, members: Path, log: LocalLog = NOWHERE) -> Child:
    """The process of one shard."""
    own = ("--name", address, "--listen", address, "--replicas", str(plan.replicas))
    return _child(plan, name, ("shard", *_store(plan, name), *own, "--members", f"file:{members}", *_log(log)))


def _log(log: LocalLog) -> tuple[str, ...]:
    return ("--log", log.url) if log.url else ()


def _store(plan: Plan, name: str) -> tuple[str, ...]:
    pinned = ("--snapshot", plan.snapshot) if plan.pinned else ()
    cache = ("--cache", str(plan.cache / name)) if plan.cache else ()
    return ("--store", plan.store, *pinned, *cache)


def _child(plan: Plan, name: str, arguments: Sequence[str]) -> Child:
    # Neither the working directory nor an installation decides which code the children run: it is this one's.
    root = str(Path(cli.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return Child(
        name,
        (sys.executable, "-P", "-m", "cli.main", *arguments),
        {"PYTHONPATH": path},
        plan.logs and plan.logs / f"{name}.log",
    )


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up.

    Attributes:
        target: the router's address.
        keeping: the supervisor at work; it ends only by cancellation, or by a bug of ours.
    """

    target: str
    keeping: asyncio.Task[None]


@asynccontextmanager
async def running(plan: Plan, say: Say, hurry: asyncio.Event | None = None) -> AsyncIterator[Cluster]:
    """Start a cluster, give it once it is ready, and end it, whatever happens inside.

    Args:
        plan: what it is made of.
        say: told of every event.
        hurry: once set, children are killed rather than waited for.

    Raises:
        UsageError: it does not come up; nothing of it is left.
    """
    with local_log.held(plan.log, plan.logs) as log:
        async with _running(plan, log, say, hurry) as cluster:
            yield cluster


@asynccontextmanager
async def _running(plan: Plan, log: LocalLog, say: Say, hurry: asyncio.Event | None) -> AsyncIterator[Cluster]:
    router = free_address(*split_address(plan.listen))
    ledger = Ledger(router)
    ledger.open()
    shards = {f"shard-{number}": free_address() for number in range(plan.shards)}
    ledger.enlist(shards)
    made = children(plan, router, shards, ledger.members, log)
    names = {address: name for name, address in shards.items()}
    waiting = Waiting(names, say, time.monotonic, with_log=log.child is not None)
    supervisor = Supervisor(made, say, hurry=hurry)
    keeping = asyncio.create_task(supervisor.run())
    tasks = {keeping}
    try:
        await _ready_or_dead(until_ready(router, waiting.look), keeping, made)
        supervisor.cluster_is_up()
        say("cluster.ready", target=router, pids=dict(supervisor.pids), log=log.url)
        child = partial(shard_child, plan, members=ledger.members, log=log)
        tasks.add(asyncio.create_task(scaling.follow(ledger, shards, supervisor, child, say)))
        yield Cluster(router, keeping)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        ledger.close()
        say("cluster.stopped")


async def _ready_or_dead(ready: Coroutine[Any, Any, None], keeping: asyncio.Task[None], made: Sequence[Child]) -> None:
    waiting = asyncio.create_task(asyncio.wait_for(ready, READY_WITHIN_S))
    try:
        await asyncio.wait({waiting, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        await waiting
    except ChildGaveUp as error:
        raise UsageError(f"the cluster did not come up: {error}") from None
    except Hopeless as error:
        raise UsageError(f"the cluster did not come up: {error}{_last_errors(made, error.child)}") from None
    except TimeoutError:
        raise UsageError(f"the cluster did not come up within {READY_WITHIN_S:g} s{_last_errors(made)}") from None
    finally:
        waiting.cancel()


def _last_errors(made: Sequence[Child], name: str = "") -> str:
    """What the children's logs, or the named child's, hold as their last errors."""
    said = [(child, child.last_error()) for child in made if not name or child.name == name]
    errors = "; ".join(f"{child.name} last said: {error}" for child, error in said if error)
    logs = next((child.log.parent for child in made if child.log), None)
    return ("; " + errors if errors else "") + (f"; its logs are in {logs}" if logs else "")


def is_covered(status: ClusterStatus | None) -> bool:
    """Whether the router answered, and every partition is covered."""
    return status is not None and status.covered


async def until_ready(target: str, enough: Callable[[ClusterStatus | None], bool] = is_covered) -> None:
    """Return once the router says that it serves, and its status is enough.

    Args:
        target: the router.
        enough: shown what the router knows, None where it does not answer, at every try; what it raises ends the
            waiting.
    """
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel, AsyncClient(target) as client:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        while True:
            if enough(await _status(client)) and await _serves(check):
                return
            await asyncio.sleep(POLL_S)


async def _status(client: AsyncClient) -> ClusterStatus | None:
    try:
        return await client.status(deadline_ms=1_000)
    except TrunkshowError:
        return None


async def _serves(check: Callable[..., Any]) -> bool:
    try:
        return bool((await check(health_pb2.HealthCheckRequest(), timeout=1)).status == _SERVING)
    except grpc.RpcError:
        return False


async def interruptible(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> bool:
    """Do the work until it is done, or until SIGINT, SIGTERM or SIGHUP, which cancel it; it then cleans up.

    Args:
        work: is given an event that a second signal sets: whoever sends one will not wait.

    Returns:
        Whether the work was done.
    """
    hurry = asyncio.Event()
    working = asyncio.ensure_future(work(hurry))
    stopping = False

    def hear() -> None:
        nonlocal stopping
        if stopping:
            hurry.set()
        else:
            stopping = working.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, hear)
    await asyncio.wait({working})
    if working.cancelled():
        return False
    working.result()
    return True
