"""The load: callers in a closed loop, each asking again as soon as it was answered, all of them the same questions.

What came back is judged while the clock runs as far as that it is an answer; whether it is the right one is `recall`'s
to say, which asks the first queries once and compares.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from bench.peers.data import Data, recall
from bench.peers.protocol import Answer, Peer

WARM_UP_S = 0.4
CHECKED_QUERIES = 500
CHECKING_CALLERS = 8

Ask = Callable[[int, int], Awaitable[tuple[int, int]]]
"""Of a caller and a turn: how many answers came, and how many of them were wrong."""


async def measure(peer: Peer, queries: int, callers: int, seconds: float, batch: int) -> dict[str, Any]:
    """Answers per second after a warm-up.

    Args:
        peer: loaded and turned.
        queries: to go round.
        callers: at a time.
        seconds: of measuring.
        batch: queries per call; 0 asks for one at a time.

    Returns:
        answers, wrong, rps (answers per second), p50_ms and p99_ms of a call, cpu_s_per_1000 of the servers' answers.
    """
    ask = _batches(peer, queries, batch) if batch else _singles(peer, queries)
    turns, clock = itertools.count(), time.perf_counter
    measure_from = clock() + WARM_UP_S
    until = measure_from + seconds
    latencies: list[float] = []
    answers = wrong = 0

    async def call(caller: int) -> None:
        nonlocal answers, wrong
        while (began := clock()) < until or not answers:  # a rate takes one at least
            came, bad = await ask(caller, next(turns))
            if began >= measure_from:
                latencies.append(clock() - began)
                answers += came
                wrong += bad

    async def weigh() -> float:
        await asyncio.sleep(WARM_UP_S)
        return _cpu_s(peer)

    weighing = asyncio.create_task(weigh())
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    took, used = clock() - measure_from, _cpu_s(peer) - await weighing
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    return {
        "answers": answers,
        "wrong": wrong,
        "rps": answers / took,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "cpu_s_per_1000": used / answers * 1000,
    }


async def recalled(peer: Peer, data: Data) -> float:
    """The share of the exact answers that the peer finds; a wrong answer finds nothing."""
    exact = (data.unseen if peer.unseen else data.exact)[:CHECKED_QUERIES]
    found: list[list[int]] = [[]] * len(exact)
    left = iter(range(len(exact)))

    async def call(caller: int) -> None:
        for query in left:
            found[query] = list(await peer.ask(caller, query) or ())

    await asyncio.gather(*(call(caller) for caller in range(CHECKING_CALLERS)))
    return recall(found, exact)


def _singles(peer: Peer, queries: int) -> Ask:
    async def ask(caller: int, turn: int) -> tuple[int, int]:
        return 1, _wrong([await peer.ask(caller, turn % queries)])

    return ask


def _batches(peer: Peer, queries: int, batch: int) -> Ask:
    groups = [range(start, start + batch) for start in range(0, queries - batch + 1, batch)]

    async def ask(caller: int, turn: int) -> tuple[int, int]:
        answers = await peer.ask_many(caller, groups[turn % len(groups)])
        return batch, _wrong(answers)

    return ask


def _wrong(answers: Sequence[Answer]) -> int:
    return sum(answer is None for answer in answers)


def _cpu_s(peer: Peer) -> float:
    return sum(server.cpu_s() for server in peer.servers)
