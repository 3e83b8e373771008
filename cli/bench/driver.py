"""Asks: calls made of bytes beforehand, sent when they are due, answered in bytes, judged once the clock has stopped.

An open loop sends each call when it is due, however many are under way, and counts its latency from then
(`cli.bench.outcome` says why). A closed loop is so many callers who ask again as soon as they were answered; it finds
what can be had. More than `IN_FLIGHT_MAX` calls are never under way: those beyond wait, and their time runs. Replies
are kept up to `KEPT_BYTES_MAX` and judged after the end; beyond, as they come.

As a process of its own (`python -m cli.bench.driver TARGET REQUESTS`) it takes orders as JSON, one a line on standard
input, and answers each with its outcome, one line.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import uvloop

from cli.bench import arrivals, usage
from cli.bench.alarm import alarm
from cli.bench.judging import Judged, judge
from cli.bench.orders import Orders, read_requests
from cli.bench.outcome import Outcome
from trunkshow import channel as wire

WARM_UP_S = 0.5
GIVE_UP_S = 5.0
CONNECT_WITHIN_S = 60.0
IN_FLIGHT_MAX = 1_000
KEPT_BYTES_MAX = 256 << 20
DRAWN_BY_CALLERS = 100_000
TELL_EVERY_S = 1.0
UNSENT = "UNSENT"

Metadata = tuple[tuple[str, str], ...]
Call = Callable[[bytes], Awaitable[list[bytes]]]
Told = Callable[[float, int], None]
"""Told, about every second, for how many seconds has been asked, and how many calls are done."""


class Driver:
    """One stretch of asking.

    Args:
        orders: what to do.
        requests: one of each user, or one of each batch; the most asked for first.
        channels: to send them over, in turns.
        identity: makes the metadata of each call.
        told: of the progress.
    """

    def __init__(
        self,
        orders: Orders,
        requests: Sequence[bytes],
        channels: Sequence[grpc.aio.Channel],
        identity: Callable[[], Metadata] = tuple,
        told: Told = lambda seconds, done: None,
    ) -> None:
        self._orders, self._told = orders, told
        self._calls = itertools.cycle([_call(orders, channel, identity) for channel in channels])
        self._requests = _in_order(orders, requests)
        self._judged = Judged()
        self._kept: list[list[bytes]] = []
        self._kept_bytes = self._reply_bytes = 0
        self._latencies, self._dues, self._lags = array("d"), array("d"), array("d")
        self._failed: Counter[str] = Counter()
        self._from = self._until = 0.0

    async def run(self) -> Outcome:
        """Ask for as long as ordered."""
        self._from = time.monotonic() + WARM_UP_S
        self._until = self._from + self._orders.seconds
        weighing, telling = asyncio.ensure_future(self._weigh()), asyncio.ensure_future(self._tell())
        try:
            await (self._open_loop() if self._orders.rate else self._closed_loop())
            before, (after, took_s) = await weighing, (usage.of_all(self._orders.pids), time.monotonic() - self._from)
        finally:
            telling.cancel()
            weighing.cancel()
        for messages in self._kept:
            self._judge(messages)
        calls, slates = len(self._latencies), self._orders.wanted.slates
        order = np.argsort(self._latencies, kind="stable")
        return Outcome(
            seconds=took_s,
            rate=self._orders.rate * slates,
            callers=self._orders.callers,
            latencies_ms=np.asarray(self._latencies)[order].tolist(),
            due_s=np.asarray(self._dues)[order].tolist(),
            lags_ms=sorted(self._lags),
            answered=calls * slates,
            failed=dict(self._failed),
            judged=self._judged,
            reply_bytes=self._reply_bytes / max(calls, 1),
            cpu_s={name: after[name].cpu_s - before[name].cpu_s for name in after},
            rss_bytes={name: after[name].rss_bytes for name in after},
        )

    async def _weigh(self) -> dict[str, usage.Usage]:
        """What was used up to the beginning of what counts."""
        await asyncio.sleep(max(0.0, self._from - time.monotonic()))
        return usage.of_all(self._orders.pids)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            self._told(min(time.monotonic() - self._from, self._orders.seconds), len(self._latencies))

    async def _open_loop(self) -> None:
        start, seconds = self._from - WARM_UP_S, WARM_UP_S + self._orders.seconds
        plan = arrivals.due_times(self._orders.rate, seconds, self._orders.seed).tolist()
        under_way: set[asyncio.Future[None]] = set()
        with alarm() as waiting:
            for number, at in enumerate(plan):
                await waiting.until(start + at)
                while len(under_way) >= IN_FLIGHT_MAX:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                if time.monotonic() > self._until + GIVE_UP_S:
                    self._failed[UNSENT] += (len(plan) - number) * self._orders.wanted.slates
                    break
                asking = asyncio.ensure_future(self._ask(start + at))
                under_way.add(asking)
                asking.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _closed_loop(self) -> None:
        async def caller() -> None:
            asked = 0.0
            while (now := time.monotonic()) < self._until or asked < self._from:  # one at least is no warm-up
                await self._ask(asked := now)

        await asyncio.gather(*(caller() for _ in range(self._orders.callers)))

    async def _ask(self, due: float) -> None:
        sent = time.monotonic()
        try:
            messages = await next(self._calls)(next(self._requests))
        except grpc.aio.AioRpcError as error:
            if due >= self._from:
                self._failed[error.code().name] += self._orders.wanted.slates
                self._judged.note(f"{error.code().name}: {' '.join(str(error.details()).split())[:200]}")
            return
        if due >= self._from:
            self._take(messages, due, sent)

    def _take(self, messages: list[bytes], due: float, sent: float) -> None:
        self._latencies.append((time.monotonic() - due) * 1e3)
        self._dues.append(due)
        self._lags.append((sent - due) * 1e3)
        size = sum(map(len, messages))
        self._reply_bytes += size
        if self._kept_bytes < KEPT_BYTES_MAX:
            self._kept.append(messages)
            self._kept_bytes += size
        else:
            self._judge(messages)

    def _judge(self, messages: list[bytes]) -> None:
        judge(self._orders.kind, messages, self._orders.wanted, self._judged)


def _in_order(orders: Orders, requests: Sequence[bytes]) -> Iterator[bytes]:
    """Requests for ever, by a Zipf law."""
    count = int(orders.rate * (orders.seconds + WARM_UP_S)) + 1 if orders.rate else DRAWN_BY_CALLERS
    order = arrivals.visits(len(requests), count, orders.seed).tolist()
    return (requests[rank] for rank in itertools.cycle(order))


def _call(orders: Orders, channel: grpc.aio.Channel, identity: Callable[[], Metadata]) -> Call:
    """The method over a channel: bytes in, messages out."""
    if orders.kind == "batch":
        streaming: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(orders.method)

        async def streamed(request: bytes) -> list[bytes]:
            return [message async for message in streaming(request, timeout=GIVE_UP_S, metadata=identity())]

        return streamed
    single: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(orders.method)

    async def asked(request: bytes) -> list[bytes]:
        return [await single(request, timeout=GIVE_UP_S, metadata=identity())]

    return asked


async def _measured(target: str, requests: Sequence[bytes], orders: Orders) -> Outcome:
    async with contextlib.AsyncExitStack() as stack:
        opened = [grpc.aio.insecure_channel(target, options=wire.SHARD_OPTIONS) for _ in range(orders.connections)]
        for channel in opened:
            await stack.enter_async_context(channel)
        async with asyncio.timeout(CONNECT_WITHIN_S):
            await asyncio.gather(*(channel.channel_ready() for channel in opened))
        return await Driver(orders, requests, opened).run()


def _tell(line: bytes) -> None:
    """All of it: a pipe takes a part where a signal comes, and where Python is told not to buffer, the rest is lost."""
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]


def main() -> None:
    """Follow the orders on standard input."""
    target, requests = sys.argv[1], read_requests(Path(sys.argv[2]))
    print("ready", flush=True)
    for line in sys.stdin:
        outcome = uvloop.run(_measured(target, requests, Orders.from_json(json.loads(line))))
        _tell(f"{json.dumps(outcome.to_json())}\n".encode())


if __name__ == "__main__":
    main()
