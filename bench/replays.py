"""What it costs to read the log again for a version that comes, in processor time: a shard, and a router.

Usage: python -m bench.replays [--store .demo/store] [--events 25000] [--rounds 5] [--acts]

The log is on a real NATS server of this machine, whose own time does not count; what is in it is `bench.hearing`'s, a
record for each call. The store's snapshot is opened as one more version in each round, as many others stay open; the
shard holds all of its partitions. Nobody asks for anything, so nothing rests. Subjects:

    shard, router, first     before anything is known: a process that starts
    shard, router, again     a version that comes while others are served, the median of the rounds
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from bench import tables
from bench.hearing import Mix, rounds_of
from bench.hearing_parts import Log, Shard, keeper_of
from cli import nats
from cli.addresses import free_address
from router.served.arrivals import Arrivals
from router.served.keeper import Keeper
from router.served.views import View
from shard.online.residents import Residents
from shard.scene import Kind, Piece
from trunkshow.eventlog.log import EventLog
from trunkshow.eventlog.opening import open_log
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import log_pb2

WITHIN_S = 600.0


async def measure(url: str, store: Path, records: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of each round, by subject."""
    log, snapshot = open_log(url), Snapshot.open(open_store(store))
    for record in records:
        await log.append(log_pb2.Record.FromString(record).events, WITHIN_S)
    shard = Shard(snapshot, cast("Log", log), time.time)
    keeper = keeper_of(snapshot, [snapshot.version])
    router = Arrivals(keeper, log, busy=bool)
    spent: dict[str, list[float]] = {"shard, again": [], "router, again": []}
    async with asyncio.TaskGroup() as running:
        following = running.create_task(shard.upkeep.follower.run(from_end=True))
        first = shard.upkeep.opened.get(snapshot.version)
        assert first is not None
        first.homes.replay_anew()
        spent["shard, first"] = [await _shard_read(shard, first)]
        spent["router, first"] = [await _router_read(router, keeper.opened[snapshot.version], log)]
        for number in range(rounds):
            twin = copy.copy(snapshot)
            twin.version = f"{snapshot.version}.{number}"
            spent["shard, again"].append(await _shard_read(shard, _admitted(shard, twin)))
            spent["router, again"].append(await _router_read(router, _opened(keeper, twin), log))
        following.cancel()
        for task in router._running.values():
            task.cancel()
    await log.close()
    return spent


def _admitted(shard: Shard, snapshot: Snapshot) -> Residents:
    admitted = shard.upkeep.admit(snapshot)
    pieces = {Piece(snapshot.version, Kind.HOME, number) for number in range(snapshot.partitions)}
    shard.upkeep.want(shard.upkeep._patience.wanted | pieces)
    return admitted


async def _shard_read(shard: Shard, residents: Residents) -> float:
    await shard.upkeep.follower.began()
    began = time.process_time()
    assert await shard.upkeep._replaying.replay(residents)
    return time.process_time() - began


def _opened(keeper: Keeper, snapshot: Snapshot) -> View:
    view = keeper.opened[snapshot.version] = View.of(snapshot)
    return view


async def _router_read(router: Arrivals, view: View, log: EventLog) -> float:
    end = await log.end(WITHIN_S)
    began = time.process_time()
    router.look()
    assert await router.reached(view, end, WITHIN_S)
    return time.process_time() - began


@contextmanager
def server() -> Iterator[str]:
    """A NATS server for the time of the context; the address of a log on it."""
    address = free_address()
    with tempfile.TemporaryDirectory() as folder:
        command = nats.child(Path(folder), address, None, sync="2m").command
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            asyncio.run(asyncio.wait_for(nats.until_up(address), nats.UP_WITHIN_S))
            yield nats.url(address)
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path(".demo/store"))
    parser.add_argument("--events", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--acts", action="store_true", help="nothing but what users do")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    store = chosen.store.resolve()
    (records,) = rounds_of(store, 0, Mix(chosen.events, 1, chosen.acts), time.time() - 3600)
    events = sum(len(log_pb2.Record.FromString(one).events) for one in records)
    with server() as url:
        spent = asyncio.run(measure(url, store, records, chosen.rounds))
    found = {name: statistics.median(rounds) / events * 1e4 for name, rounds in spent.items()}
    if chosen.json:
        json.dump(found, sys.stdout)
        print()
    else:
        tables.show(("subject", "s per 10,000 events"), [(name, round(s, 3)) for name, s in found.items()])


if __name__ == "__main__":
    main()
