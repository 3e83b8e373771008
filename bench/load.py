"""The load: a closed loop of callers in a process of its own, each asking again as soon as it was answered.

Requests are bytes made before the clock starts. Which of them is sent follows a Zipf law, as visits do. All replies are
kept, and checked after the clock has stopped: a status other than OK, or a slate without its two times ten items,
fails the run. Slates of a lower rung of the ladder, which is what a machine that is busy with something else gets
instead of an error, are counted.

As a program: `python -m bench.load TARGET METHOD REQUESTS --kind shard|router|echo --concurrency N --seconds S`
prints one JSON object. REQUESTS is a file of length-prefixed requests, the most asked first.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop

from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

CAROUSELS = ("for-you", "because-you-liked")
ITEMS = 10
ZIPF_EXPONENT = 0.9
TIMEOUT_S = 5.0
WARM_UP_S = 0.5

_LENGTH = struct.Struct("<I")


class WrongReply(Exception):
    """A reply is not the whole slate that was asked for."""


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """Write requests for a load process to send."""
    path.write_bytes(b"".join(_LENGTH.pack(len(one)) + one for one in requests))


def read_requests(path: Path) -> list[bytes]:
    """The requests of a file."""
    data, at, requests = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + size
        requests.append(data[at - size : at])
    return requests


def visits(requests: int, count: int = 100_000) -> Iterator[int]:
    """Which request comes next, for ever: Zipf over the requests, the same on every run."""
    weights = np.arange(1, requests + 1) ** -ZIPF_EXPONENT
    drawn = np.random.default_rng(0).choice(requests, count, p=weights / weights.sum())
    return itertools.cycle(drawn.tolist())


def check_shard(reply: bytes) -> bool:
    """A whole slate in a shard's wrapping, and nothing missing.

    Returns:
        Whether it is of the snapshot's rung.

    Raises:
        WrongReply: it is not.
    """
    answer = shard_pb2.PredictResponse.FromString(reply)
    if answer.missing:
        raise WrongReply(f"missing: {answer.missing}")
    return _check_slate(pb.RecommendResponse.FromString(answer.slate))


def check_router(reply: bytes) -> bool:
    """A whole slate.

    Returns:
        Whether it is of the snapshot's rung or FRESH: the shard was asked, and answered.

    Raises:
        WrongReply: it is not.
    """
    return _check_slate(pb.RecommendResponse.FromString(reply))


def _check_slate(slate: pb.RecommendResponse) -> bool:
    shape = [(one.id, len(one.items)) for one in slate.carousels]
    if shape != [(name, ITEMS) for name in CAROUSELS]:
        raise WrongReply(f"the slate is {shape}, receipt {slate.receipt}")
    return all(one.rung <= pb.RUNG_SNAPSHOT for one in slate.carousels)


CHECKS: dict[str, Callable[[bytes], bool]] = {"shard": check_shard, "router": check_router, "echo": lambda reply: True}


async def run(
    target: str,
    method: str,
    requests: Sequence[bytes],
    concurrency: int,
    seconds: float,
    check: Callable[[bytes], bool],
) -> dict[str, Any]:
    """Ask for `seconds` after a warm-up; any status but OK raises.

    Returns:
        requests (measured), answered (with the warm-up), seconds, rps, p50_ms, p99_ms, stepped_down (replies
        of a lower rung), reply_bytes (mean).

    Raises:
        grpc.aio.AioRpcError: a call failed.
        WrongReply: a reply did not pass the check.
    """
    async with grpc.aio.insecure_channel(target) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        order = visits(len(requests))
        replies: list[bytes] = []
        latencies: list[float] = []
        clock = time.perf_counter
        measure_from = clock() + WARM_UP_S
        until = measure_from + seconds

        async def caller() -> None:
            while (began := clock()) < until:
                replies.append(await call(requests[next(order)], timeout=TIMEOUT_S))
                if began >= measure_from:
                    latencies.append(clock() - began)

        await asyncio.gather(*(caller() for _ in range(concurrency)))
        took = clock() - measure_from
    stepped_down = sum(not check(reply) for reply in replies)
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    return {
        "requests": len(latencies),
        "answered": len(replies),
        "seconds": took,
        "rps": len(latencies) / took,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "stepped_down": stepped_down,
        "reply_bytes": float(np.mean([len(reply) for reply in replies])),
    }


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("method")
    parser.add_argument("requests", type=Path)
    parser.add_argument("--kind", choices=CHECKS, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    chosen = parser.parse_args()
    measured = run(
        chosen.target,
        chosen.method,
        read_requests(chosen.requests),
        chosen.concurrency,
        chosen.seconds,
        CHECKS[chosen.kind],
    )
    json.dump(uvloop.run(measured), sys.stdout)


if __name__ == "__main__":
    main()
