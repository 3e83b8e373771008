"""What the ladder of limits measures, up and serving: a bare echo, a bare forwarder, a shard, a router.

Servers are real child processes, started as an operator starts them, and end with the context.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc

from bench import echo, forwarder, processes
from bench.wanted import WANTED
from cli.bench.judging import Judged, Wanted, judge
from cli.bench.orders import Orders, write_requests
from cli.bench.users import USERS_MAX, Resident, of_snapshot, requests_for
from shard.config import ShardConfig
from trunkshow import channel as wire
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import shard_pb2

BATCH = 50
CALLERS = (8, 32)
BATCH_CALLERS = (1, 4)
TIMEOUT_S = 5.0
KEPT_SLATES_MIB = ShardConfig(store="").kept_slates_mib

ECHO, FORWARDER, SHARD, ROUTER, ROUTER_BATCH = "echo", "forwarder+echo", "shard", "router+shard", "router, batch"
SHARD_KEPT, ROUTER_KEPT = "shard, kept slates", "router+shard, kept slates"
"""The same, but for what a shard keeps by default; the others make every slate."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """Something to measure.

    Attributes:
        name: for the table.
        orders: what is asked of it; how long, and how often, comes later.
        ask: a process that does.
        callers: few and many, in a closed loop.
    """

    name: str
    orders: Orders
    ask: processes.Driver = field(repr=False)
    callers: tuple[int, int] = CALLERS


@contextlib.contextmanager
def standing(store: Path, folder: Path, say: Say) -> Iterator[tuple[int, list[Subject]]]:
    """How many users are asked for, and what is asked, all of it up and serving."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        say("a shard and a router start")
        shard = enter(processes.trunkshow("shard", "--store", str(store)))
        users, reply_bytes = _write_requests(store, folder, shard.target)
        say(f"{users:,} users; a shard's reply has {reply_bytes} bytes")
        bare = enter(processes.echo(reply_bytes))
        hop = enter(processes.forwarder(bare.target, echo.METHOD))
        router = enter(processes.trunkshow("router", "--store", str(store), "--shards", shard.target))
        say("a shard that keeps slates, and a router before it")
        keeping = enter(
            processes.trunkshow("shard", "--store", str(store), processes.KEPT_SLATES, str(KEPT_SLATES_MIB))
        )
        beside = enter(processes.trunkshow("router", "--store", str(store), "--shards", keeping.target))

        def subject(name: str, orders: Orders, target: processes.Started, requests: str, **others: Any) -> Subject:
            return Subject(name, orders, enter(processes.driver(target.target, folder / requests)), **others)

        def bytes_of(method: str, **pids: int) -> Orders:
            return Orders(method, "bytes", Wanted(), 0, pids=pids)

        def shard_orders(of: processes.Started) -> Orders:
            return Orders(wire.PREDICT, "shard", WANTED, 0, pids={"shard": of.pid})

        def router_orders(**pids: int) -> Orders:
            return Orders(wire.RECOMMEND.path, "slate", WANTED, 0, pids=pids)

        both = {"router": router.pid, "shard": shard.pid}
        kept = {"router": beside.pid, "shard": keeping.pid}
        batch = replace(WANTED, slates=BATCH)
        yield (
            users,
            [
                subject(ECHO, bytes_of(echo.METHOD, echo=bare.pid), bare, "predict"),
                subject(FORWARDER, bytes_of(forwarder.METHOD, forwarder=hop.pid, echo=bare.pid), hop, "predict"),
                subject(SHARD, shard_orders(shard), shard, "predict"),
                subject(SHARD_KEPT, shard_orders(keeping), keeping, "predict"),
                subject(ROUTER, router_orders(**both), router, "recommend"),
                subject(ROUTER_KEPT, router_orders(**kept), beside, "recommend"),
                subject(
                    ROUTER_BATCH,
                    Orders(wire.RECOMMEND_BATCH.path, "batch", batch, 0, pids=both),
                    router,
                    "batches",
                    callers=BATCH_CALLERS,
                ),
            ],
        )


def _write_requests(store: Path, folder: Path, shard: str) -> tuple[int, int]:
    """Request files for shard and router, over the same users in the same order; how many, and a reply's mean size.

    Users whom the shard cannot give the whole slate, in a store of the caller's own, are left out.
    """
    snapshot = Snapshot.open(open_store(store))
    asked, users, sizes = [], list[str](), list[int]()
    with grpc.insecure_channel(shard) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(wire.PREDICT)
        for resident in of_snapshot(snapshot, USERS_MAX):
            request = prediction(snapshot.version, resident)
            reply, judged = ask(request, timeout=TIMEOUT_S), Judged()
            judge("shard", [reply], WANTED, judged)
            if judged.counts["whole"]:
                asked.append(request)
                users.append(resident.user)
                sizes.append(len(reply))
    snapshot.close()
    if not users:
        sys.exit("no user of this store has a whole slate")
    write_requests(folder / "predict", asked)
    write_requests(folder / "recommend", requests_for(users, WANTED, 0))
    write_requests(folder / "batches", requests_for(users, replace(WANTED, slates=BATCH), 0))
    return len(users), round(statistics.mean(sizes))


def prediction(version: str, resident: Resident, wanted: Wanted = WANTED) -> bytes:
    """What a router asks a shard for a user."""
    return shard_pb2.PredictRequest(
        request=requests_for([resident.user], replace(wanted, slates=1), 0)[0],
        snapshot_version=version,
        partitions=[resident.partition],
        carousels=wanted.carousels,
    ).SerializeToString()
