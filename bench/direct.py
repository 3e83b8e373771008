"""The Python client with and without the router between: the same callers, the same slates, one process, in turns.

    plain     AsyncClient: caller → router → shard
    direct    AsyncDirectClient: caller → shard, and the router for whatever is not the plain case

Both ask for two carousels of ten for users whose homes the direct client has been told, so that what is measured is the
way and nothing else; how many slates of `direct` came directly is printed. Processor seconds are those of all processes
together, the callers' too: on a machine that is busy with other work they are the steadier figure, since waiting costs
none. The ratio of each turn is within that turn, and what is shown is the median of these.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench import processes, synthetic, tables
from bench.wanted import WANTED
from cli.bench import arrivals
from cli.bench.users import of_snapshot
from trunkshow.async_client import AsyncClient
from trunkshow.direct import AsyncDirectClient
from trunkshow.receipts import Rung
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

USERS_MAX = 500
CONCURRENCIES = (1, 8, 32)
DEADLINE_MS = 5_000.0
TOLD_WITHIN_S = 60.0
TELLING = ("--direct", "--direct-route-s", "600")
"""A route outlives the run; with the default each is asked for anew every 15 s, beside the requests."""


def users_in(store: Path) -> list[str]:
    """Users of all partitions, in turn."""
    with contextlib.closing(Snapshot.open(open_store(store))) as snapshot:
        return [one.user for one in of_snapshot(snapshot, USERS_MAX)]


async def told(client: AsyncDirectClient, users: Sequence[str]) -> list[str]:
    """Those of the users who come directly, once the client was told of them all."""
    await client.connect()
    until = time.monotonic() + TOLD_WITHIN_S
    left, direct = list(users), list[str]()
    while left and time.monotonic() < until:
        slates = [(user, await client.recommend(user, carousels=WANTED.carousels)) for user in left]
        direct += [user for user, slate in slates if slate.receipt.direct]
        left = [user for user, slate in slates if not slate.receipt.direct]
    if not direct:
        sys.exit("nobody came directly: the machine is too busy to measure anything")
    return direct


async def asked(client: AsyncClient, users: Sequence[str], concurrency: int, requests: int) -> dict[str, Any]:
    """So many requests, by so many callers."""
    order = iter(arrivals.visits(len(users), requests, seed=0).tolist())
    took: list[float] = []
    direct = stepped_down = 0

    async def caller() -> None:
        nonlocal direct, stepped_down
        for index in order:
            began = time.perf_counter()
            slate = await client.recommend(users[index], carousels=WANTED.carousels, items_per_carousel=WANTED.items)
            took.append((time.perf_counter() - began) * 1e3)
            direct += slate.receipt.direct
            stepped_down += slate.receipt.rung > Rung.SNAPSHOT

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    seconds = time.perf_counter() - began
    took.sort()
    return {
        "rps": len(took) / seconds,
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[int(len(took) * 0.99)],
        "direct": direct / len(took),
        "stepped_down": stepped_down,
    }


async def measure(store: Path, turns: int, requests: int) -> dict[str, Any]:
    """All turns of both, interleaved."""
    users = users_in(store)
    with (
        processes.trunkshow("shard", "--store", str(store)) as shard,
        processes.trunkshow("router", "--store", str(store), "--shards", shard.target, *TELLING) as router,
    ):
        servers = (shard, router)
        async with (
            AsyncClient(router.target, deadline_ms=DEADLINE_MS) as plain,
            AsyncDirectClient(router.target, deadline_ms=DEADLINE_MS) as direct,
        ):
            known = await told(direct, users)
            samples: dict[tuple[str, int], list[dict[str, Any]]] = {}
            subjects: dict[str, AsyncClient] = {"plain": plain, "direct": direct}
            for _, concurrency, (name, client) in itertools.product(range(turns), CONCURRENCIES, subjects.items()):
                before = _cpu_s(servers)
                one = await asked(client, known, concurrency, requests)
                one["cpu_s_per_1000"] = (_cpu_s(servers) - before) / requests * 1e3
                samples.setdefault((name, concurrency), []).append(one)
    rows = [_row(concurrency, samples) for concurrency in CONCURRENCIES]
    return {"machine": tables.machine(), "turns": turns, "requests": requests, "users": len(known), "rows": rows}


def _cpu_s(servers: Sequence[processes.Started]) -> float:
    """Of all of them and of this process."""
    own = os.times()
    return own.user + own.system + sum(server.cpu_s() for server in servers)


def _row(concurrency: int, samples: dict[tuple[str, int], list[dict[str, Any]]]) -> dict[str, Any]:
    plain, direct = samples["plain", concurrency], samples["direct", concurrency]

    def ratio(of: str) -> float:
        return statistics.median(float(one[of] / beside[of]) for one, beside in zip(direct, plain, strict=True))

    figures = ("rps", "p50_ms", "p99_ms", "cpu_s_per_1000")
    return {
        "concurrency": concurrency,
        "plain": {of: statistics.median(one[of] for one in plain) for of in figures},
        "direct": {of: statistics.median(one[of] for one in direct) for of in figures},
        "ratio": {of: ratio(of) for of in figures},
        "came_directly": statistics.mean(one["direct"] for one in direct),
        "stepped_down": sum(one["stepped_down"] for one in (*plain, *direct)),
    }


def _show(result: dict[str, Any]) -> None:
    print(f"{result['machine']}, {result['turns']} turns of {result['requests']} requests, {result['users']} users\n")
    columns = ("callers", "figure", "plain", "direct", "direct ÷ plain", "came directly", "lower rung")
    rows = [
        (
            row["concurrency"],
            name,
            f"{row['plain'][of]:.3g}",
            f"{row['direct'][of]:.3g}",
            f"{row['ratio'][of]:.2f}",
            f"{row['came_directly']:.1%}",
            row["stepped_down"],
        )
        for row in result["rows"]
        for of, name in (
            ("rps", "requests/s"),
            ("p50_ms", "p50 ms"),
            ("p99_ms", "p99 ms"),
            ("cpu_s_per_1000", "CPU s per 1,000"),
        )
    ]
    tables.show(columns, rows)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a snapshot store of your own; else one is made up and built")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-bench")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--requests", type=int, default=3000, help="of each client, turn and number of callers")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    store = chosen.store or synthetic.store_of(chosen.work)
    result = uvloop.run(measure(store, chosen.turns, chosen.requests))
    if chosen.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        _show(result)


if __name__ == "__main__":
    main()
