"""What becomes of a cluster that is asked for more than it can do.

First the sustainable load is found: a closed loop of callers, as many as keep the shards busy, gives the peak of good
answers per second. Then five times that is offered in an open loop, whose arrivals wait for nobody (Poisson, so in
bursts too), by a process of its own that says how far behind its own plan it fell. A good answer is a slate of
SNAPSHOT within 200 ms; a shed one is a resident slate whose receipt says REASON_OVERLOADED.

Driver, router and shard share two cores, and a router that only passes slates on is itself the bottleneck there: taking
a call at all costs it a third of what a slate does, so that five times its own limit it cannot even read. So what is
scarce here is behind the router, where the limit is to find it: a shard of known capacity (`bench.paced_shard`), which
needs no processor. Router and driver are real, and so is everything on the wire.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import uvloop

from bench import processes, synthetic, tables
from bench.wanted import WANTED
from cli.bench.orders import read_requests, write_requests
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import cluster_pb2
from trunkshow.v1 import recommendation_pb2 as pb

RECOMMEND = "/trunkshow.v1.RecommendationService/Recommend"
STATUS = "/trunkshow.v1.ClusterService/GetClusterStatus"
CALLERS = (2, 8, 16)
TIMES = 5
DEADLINE_MS = 200.0
USERS_MAX = 2000
SHARD_MS = 6.0
TIMEOUT_S = 2.0
STATUS_EVERY_S = 0.25


def requests_of(snapshot: Snapshot) -> list[bytes]:
    """Requests of users whom the snapshot knows."""
    known = (f"{number:06d}" for number in range(20_000))
    users = itertools.islice((user for user in known if snapshot.directory.find(user)), USERS_MAX)
    return [pb.RecommendRequest(user_id=user, carousels=WANTED.carousels).SerializeToString() for user in users]


async def offer(target: str, requests: Sequence[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """An open loop at so many requests per second; replies are looked at once the clock has stopped."""
    clock = time.perf_counter
    gaps = np.random.default_rng(2).exponential(1 / rate, int(rate * seconds))
    plan = np.cumsum(gaps).tolist()
    replies: list[tuple[float, bytes]] = []
    errors: Counter[str] = Counter()
    behind = 0.0
    async with grpc.aio.insecure_channel(target) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RECOMMEND)
        await call(requests[0], timeout=TIMEOUT_S)

        async def one(request: bytes) -> None:
            began = clock()
            try:
                reply = await call(request, timeout=TIMEOUT_S)
                replies.append((clock() - began, reply))
            except grpc.aio.AioRpcError as error:
                errors[error.code().name] += 1

        seen: list[dict[str, int]] = []
        watching = asyncio.ensure_future(_watch(channel, seen))
        tasks = []
        start = clock()
        for number, at in enumerate(plan):
            late = clock() - start - at
            if late < 0:
                await asyncio.sleep(-late)
            behind = max(behind, late)
            tasks.append(asyncio.ensure_future(one(requests[number % len(requests)])))
        sent_in = clock() - start
        await asyncio.gather(*tasks)
        watching.cancel()
    return _counted(replies, errors, len(plan), sent_in, behind * 1000) | {"status": seen}


async def _watch(channel: grpc.aio.Channel, seen: list[dict[str, int]]) -> None:
    """Note the router's limit and what is in flight, a few times a second."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(STATUS)
    while True:
        status = cluster_pb2.GetClusterStatusResponse.FromString(await call(b"", timeout=TIMEOUT_S))
        waiting = sum(shard.in_flight for shard in status.shards)
        seen.append({"limit": status.concurrency_limit, "in_flight": status.in_flight, "at_shards": waiting})
        await asyncio.sleep(STATUS_EVERY_S)


def _counted(
    replies: Sequence[tuple[float, bytes]], errors: Counter[str], offered: int, seconds: float, behind_ms: float
) -> dict[str, Any]:
    good, shed, other, all_ms = [], [], [], []
    for took_s, data in replies:
        reply = pb.RecommendResponse.FromString(data)
        ms = took_s * 1000
        all_ms.append(ms)
        if pb.REASON_OVERLOADED in reply.receipt.reasons:
            shed.append(ms)
        elif reply.receipt.rung in (pb.RUNG_FRESH, pb.RUNG_SNAPSHOT) and ms <= DEADLINE_MS:
            good.append(ms)
        else:
            other.append(ms)
    return {
        "offered": offered,
        "offered_rps": offered / seconds,
        "driver_behind_ms": behind_ms,
        "errors": dict(errors),
        "good_rps": len(good) / seconds,
        "good_p50_ms": _percentile(good, 50),
        "accepted_p99_ms": _percentile([*good, *other], 99),
        "shed": len(shed),
        "shed_p99_ms": _percentile(shed, 99),
        "other": len(other),
        "late": sum(ms > DEADLINE_MS for ms in all_ms),
        "p99_ms": _percentile(all_ms, 99),
    }


def _percentile(values: Sequence[float], which: float) -> float:
    return float(np.percentile(values, which)) if values else 0.0


async def peak(target: str, requests: Sequence[bytes], callers: int, seconds: float) -> dict[str, Any]:
    """A closed loop: what so many callers get who ask again as soon as they were answered."""
    clock = time.perf_counter
    replies: list[tuple[float, bytes]] = []
    turn = iter(range(10**9))
    async with grpc.aio.insecure_channel(target) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RECOMMEND)
        start = clock()
        until = start + seconds

        async def caller() -> None:
            while (began := clock()) < until:
                reply = await call(requests[next(turn) % len(requests)], timeout=TIMEOUT_S)
                replies.append((clock() - began, reply))

        await asyncio.gather(*(caller() for _ in range(callers)))
        took = clock() - start
    return _counted(replies, Counter(), len(replies), took, 0.0)


def measure(work: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """The peak, then five times that."""
    store = synthetic.store_of(work)
    snapshot = Snapshot.open(open_store(store))
    requests = folder / "requests"
    write_requests(requests, requests_of(snapshot))
    with (
        processes.paced_shard(snapshot.version, snapshot.partitions, SHARD_MS) as shard,
        processes.trunkshow("router", "--store", str(store), "--shards", shard.target) as router,
    ):
        driver = Driver(router.target, requests)
        driver("--callers", "4", seconds=2)  # warm
        peaks = {callers: driver("--callers", str(callers), seconds=seconds) for callers in CALLERS}
        best = max(peaks.values(), key=lambda one: float(one["good_rps"]))
        before = router.cpu_s()
        over = driver("--rate", str(TIMES * best["good_rps"]), seconds=2 * seconds)
        router_cores = (router.cpu_s() - before) / (2 * seconds)
        after = driver("--callers", "8", seconds=seconds)
    return {
        "machine": tables.machine(),
        "peaks": peaks,
        "peak_rps": best["good_rps"],
        "over": over,
        "router_cores": router_cores,
        "after": after,
    }


class Driver:
    """The load, in a process of its own each time."""

    def __init__(self, target: str, requests: Path) -> None:
        self._command = [sys.executable, "-m", "bench.overload", "--target", target, "--requests", str(requests)]

    def __call__(self, *chosen: str, seconds: float) -> dict[str, Any]:
        """One measurement."""
        done = subprocess.run([*self._command, *chosen, "--seconds", str(seconds)], stdout=subprocess.PIPE, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def _show(result: dict[str, Any]) -> None:
    over, seen = result["over"], result["over"]["status"]
    print(f"{result['machine']}; a shard that takes {SHARD_MS:g} ms per slate\n")
    for callers, one in result["peaks"].items():
        print(f"closed loop, {callers:2d} callers: {one['good_rps']:.0f} good/s, p99 {one['p99_ms']:.0f} ms")
    share = over["good_rps"] / result["peak_rps"]
    print(
        f"\nopen loop, {over['offered_rps']:.0f}/s offered ({TIMES} times {result['peak_rps']:.0f}):"
        f" {over['good_rps']:.0f} good/s = {share:.0%} of the peak"
        f"\n  accepted: p50 {over['good_p50_ms']:.0f} ms, p99 {over['accepted_p99_ms']:.0f} ms,"
        f" {over['other']} not good; shed {over['shed']} of {over['offered']} ({over['shed'] / over['offered']:.0%}),"
        f" p99 {over['shed_p99_ms']:.0f} ms"
        f"\n  later than {DEADLINE_MS:.0f} ms: {over['late']}; errors: {over['errors'] or 'none'};"
        f" driver at most {over['driver_behind_ms']:.0f} ms behind its plan"
        f"\n  the router used {result['router_cores']:.2f} of a core"
    )
    if seen:
        limits, flights = [one["limit"] for one in seen], [one["in_flight"] for one in seen]
        print(f"  limit {min(limits)} to {max(limits)}, in flight at most {max(flights)}")
    print(f"\nafterwards, 8 callers: {result['after']['good_rps']:.0f} good/s, shed {result['after']['shed']}")


def main() -> None:
    """Measure; or, with --target, be the driver."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-bench")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--target", help="drive a router: an open loop with --rate, a closed one with --callers")
    parser.add_argument("--requests", type=Path)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--callers", type=int)
    chosen = parser.parse_args()
    if chosen.target:
        requests = read_requests(chosen.requests)
        driven = (
            offer(chosen.target, requests, chosen.rate, chosen.seconds)
            if chosen.rate
            else peak(chosen.target, requests, chosen.callers, chosen.seconds)
        )
        json.dump(uvloop.run(driven), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measure(chosen.work, Path(folder), chosen.seconds)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2)
    else:
        _show(result)


if __name__ == "__main__":
    main()
