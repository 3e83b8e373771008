"""The load on one point, in a process of its own: a closed loop to find the peak, then an open one at half of it.

    python -m bench.growth.asking TARGET REQUESTS --callers N --seconds S        prints one JSON object

Requests are bytes made before, sent by a Zipf law (`bench.load`). In the open loop they are due at random moments
(Poisson) and wait for nobody: a latency counts from the moment that a request was due, so that a stall costs all who
would have come during it. Any status but OK, or an empty slate, fails the run; slates of a lower rung are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop

from bench import load
from trunkshow.v1 import recommendation_pb2 as pb

RECOMMEND = "/trunkshow.v1.RecommendationService/Recommend"
WARM_UP_S = 0.5
OF_PEAK = 0.5
clock = time.perf_counter


class Asked:
    """What came of one loop.

    Attributes:
        latencies: seconds, of what was due after the warm-up.
        replies: all of them.
        behind_s: that the driver was behind its plan, at most.
    """

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.replies: list[bytes] = []
        self.behind_s = 0.0

    def told(self, seconds: float) -> dict[str, Any]:
        """As numbers.

        Raises:
            load.WrongReply: a slate is empty.
        """
        rungs = [checked(reply) for reply in self.replies]
        p50, p99 = np.percentile(self.latencies, (50, 99)) * 1000
        return {
            "requests": len(self.latencies),
            "answered": len(self.replies),
            "rps": len(self.latencies) / seconds,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "stepped_down": sum(rung > pb.RUNG_SNAPSHOT for rung in rungs),
            "behind_ms": self.behind_s * 1000,
        }


def checked(reply: bytes) -> int:
    """The lowest rung of a slate's carousels.

    Raises:
        load.WrongReply: it has none, or one of them is empty.
    """
    slate = pb.RecommendResponse.FromString(reply)
    if not slate.carousels or not all(one.items for one in slate.carousels):
        raise load.WrongReply(f"an empty slate, receipt {slate.receipt}")
    return max(one.rung for one in slate.carousels)


async def closed(
    call: Callable[[bytes], Awaitable[bytes]], requests: Sequence[bytes], callers: int, seconds: float
) -> Asked:
    """Callers who each ask again as soon as they were answered."""
    asked, order = Asked(), load.visits(len(requests))
    measure_from = clock() + WARM_UP_S

    async def caller() -> None:
        while (began := clock()) < measure_from + seconds:
            asked.replies.append(await call(requests[next(order)]))
            if began >= measure_from:
                asked.latencies.append(clock() - began)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return asked


async def opened(
    call: Callable[[bytes], Awaitable[bytes]],
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    now: Callable[[], float] = clock,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Asked:
    """Requests at a rate, whatever becomes of those before; the clock and waiting are ports."""
    asked, order = Asked(), load.visits(len(requests))
    begins = now()
    measure_from = begins + WARM_UP_S
    gaps = np.random.default_rng(0).exponential(1 / rate, max(1, round(rate * (WARM_UP_S + seconds))))

    async def one(due: float) -> None:
        asked.replies.append(await call(requests[next(order)]))
        if due >= measure_from:
            asked.latencies.append(now() - due)

    running = []
    for due in (begins + np.cumsum(gaps)).tolist():
        if (wait := due - now()) > 0:
            await sleep(wait)
        asked.behind_s = max(asked.behind_s, now() - due)
        running.append(asyncio.ensure_future(one(due)))
    await asyncio.gather(*running)
    return asked


async def run(target: str, requests: Sequence[bytes], callers: int, seconds: float) -> dict[str, Any]:
    """Both loops."""
    async with grpc.aio.insecure_channel(target) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RECOMMEND)

        async def call(request: bytes) -> bytes:
            return await method(request, timeout=load.TIMEOUT_S)

        peak = (await closed(call, requests, callers, seconds)).told(seconds)
        half = (await opened(call, requests, OF_PEAK * peak["rps"], seconds)).told(seconds)
    return {"peak": peak, "half": half}


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("requests", type=Path)
    parser.add_argument("--callers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    chosen = parser.parse_args()
    requests = load.read_requests(chosen.requests)
    json.dump(uvloop.run(run(chosen.target, requests, chosen.callers, chosen.seconds)), sys.stdout)


if __name__ == "__main__":
    main()
