"""A process that asks and checks, until its standard input ends: `python -m cli.chaos.driver`.

It reads its `Orders` as one line of JSON, and prints one line of JSON for every `Series` slice that something became
of; after those, each time, the moment before which no more will become of anything. Requests are sent at a given rate
whatever becomes of them (an open loop: a cluster that stalls is asked on, as shoppers would), or by so many callers one
after the other (a closed loop, which finds out what a cluster sustains). They go the way of the shipped client
(`cli.chaos.caller`); some hang up (`cli.chaos.manners`). No call is left out of the counts: what the driver could not
send in time it counts as unsent.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import uvloop

from cli.chaos import manners
from cli.chaos.caller import Caller
from cli.chaos.counting import LATE_BATCH_MS, LATE_MS, count, count_error, count_manner, count_rung, fail
from cli.chaos.manners import AsFresh
from cli.chaos.model import Oracle
from cli.chaos.orders import Orders
from cli.chaos.stalls import Stalls, settle
from cli.chaos.tally import Series, Tally, bin_of
from cli.chaos.visitors import Ask, Visitors
from trunkshow import channel as wire
from trunkshow.v1 import recommendation_pb2 as pb

IN_FLIGHT_MAX = 4_096
TELL_EVERY_S = 0.1
SHED_PAUSE_S = 0.1
"""A caller of a closed loop who was shed asks again after this long: at once, and a few callers would be a flood."""


class Driver:
    """Asks, checks and counts.

    Args:
        orders: what to do.
        channel: to the routers.
    """

    def __init__(self, orders: Orders, channel: grpc.aio.Channel) -> None:
        self.series = Series()
        self._orders = orders
        self._oracle = Oracle(orders.oracle)
        facts = self._oracle.of(orders.version)
        if facts is None:
            raise FileNotFoundError(orders.oracle / orders.version)
        self._calls = Visitors(facts, orders.seed).calls()
        self._random = random.Random(orders.seed)  # noqa: S311 - as for the visitors
        self._stalls = Stalls()
        self._watermark = ""  # of the last answer that had one
        self._in_flight: set[asyncio.Task[bool]] = set()
        self._under_way: dict[object, float] = {}  # when each call was sent, the oldest first
        self._caller = Caller(orders.target, channel)

    @property
    def done_before(self) -> float:
        """All that was sent before this moment is counted: a call is, once it ended, and a batch may take seconds."""
        return next(iter(self._under_way.values()), time.monotonic())

    async def run(self) -> None:
        """Ask until cancelled."""
        watching = asyncio.ensure_future(self._stalls.watch())
        try:
            await self._ask_on()
        finally:
            watching.cancel()

    async def _ask_on(self) -> None:
        if self._orders.rate:
            await self._open_loop()
        else:
            await asyncio.gather(*(self._closed_loop() for _ in range(self._orders.callers)))

    async def finish(self) -> None:
        """Wait for what is under way; every call ends by its own deadline."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _open_loop(self) -> None:
        due = time.monotonic()
        for ask in self._calls:
            due += self._random.expovariate(self._orders.rate) * ask.size
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if len(self._in_flight) >= IN_FLIGHT_MAX:
                self.series.at(due).counts["unsent"] += ask.size
                await asyncio.sleep(0)
                continue
            task = asyncio.ensure_future(self._ask(ask))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _closed_loop(self) -> None:
        for ask in self._calls:
            if await self._ask(ask):
                await asyncio.sleep(SHED_PAUSE_S)

    async def _ask(self, ask: Ask) -> bool:
        """Ask and count, unless its caller hangs up; whether it was shed."""
        call, sent = object(), time.monotonic()
        self._under_way[call] = sent
        try:
            async with asyncio.timeout(ask.manner.hangs_up_ms / 1000 or None):
                if isinstance(ask.request, pb.RecommendBatchRequest):
                    await self._ask_batch(ask.request, sent)
                    return False
                return await self._ask_one(self._dated(ask), sent)
        except TimeoutError:
            self.series.at(sent).counts["hung_up"] += 1
            return False
        finally:
            del self._under_way[call]

    def _dated(self, ask: Ask) -> Ask:
        """With the watermark that it is to name."""
        if ask.manner.as_fresh is AsFresh.NONE or not isinstance(ask.request, pb.RecommendRequest):
            return ask
        request = pb.RecommendRequest(at_least_as_fresh=manners.watermark(ask.manner.as_fresh, self._watermark))
        request.MergeFrom(ask.request)
        return replace(ask, request=request)

    async def _ask_one(self, ask: Ask, sent: float) -> bool:
        try:
            answer = await self._caller.single(ask)
        except grpc.RpcError as error:
            took_ms = (time.monotonic() - sent) * 1000
            count_error(self.series.at(sent), ask, error, took_ms, stood_ms=self._stalls.since(sent))
            return False
        took_ms = (time.monotonic() - sent) * 1000
        tally = self.series.at(sent)
        tally.latencies[bin_of(took_ms)] += 1
        count(tally, answer.receipt, took_ms, LATE_MS, stood_ms=self._stalls.since(sent))
        count_manner(tally, ask, answer.receipt)
        self._judge(tally, ask, answer)
        self._watermark = answer.receipt.watermark or self._watermark
        return pb.REASON_OVERLOADED in answer.receipt.reasons

    async def _ask_batch(self, batch: pb.RecommendBatchRequest, sent: float) -> None:
        waiting = dict(enumerate(batch.requests))
        error: grpc.RpcError | None = None
        try:
            async for one in self._caller.batch(batch, lambda index: self._stray(index, sent)):
                self._judge_one(one, waiting, sent)
        except grpc.RpcError as raised:
            error = raised
        if waiting:
            tally = self.series.at(sent)
            tally.counts["batched"] += len(waiting)
            fail(tally, len(waiting), error)

    def _judge_one(self, one: pb.RecommendBatchResponse, waiting: dict[int, pb.RecommendRequest], sent: float) -> None:
        """An answer to one of a batch; `waiting` are those without one, as they become fewer."""
        took_ms = (time.monotonic() - sent) * 1000
        tally = self.series.at(sent)
        tally.counts["batched"] += 1
        count(tally, one.response.receipt, took_ms, LATE_BATCH_MS, stood_ms=self._stalls.since(sent))
        request = waiting.pop(one.index, None)
        if request is None:
            self._stray(one.index, sent)
        else:
            self._judge(tally, Ask(request), one.response)

    def _stray(self, index: int, sent: float) -> None:
        tally = self.series.at(sent)
        tally.counts["wrong"] += 1
        tally.complain(f"the batch's request {index} was answered twice, or never asked")

    def _judge(self, tally: Tally, ask: Ask, answer: Any) -> None:
        if ask.personal:
            count_rung(tally, answer.receipt)
        if self._orders.check < 1 and self._random.random() >= self._orders.check:
            return
        tally.counts["checked"] += 1
        if isinstance(ask.request, pb.SimilarItemsRequest):
            wrong = self._oracle.wrong_similar(ask.request, answer)
        else:
            wrong = self._oracle.wrong(ask.request, answer)  # type: ignore[arg-type]
        if wrong:
            tally.counts["wrong"] += 1
            tally.complain(f"wrong: {wrong[0]}; request: {' '.join(str(ask.request).split())[:300]}")


def lines(driver: Driver) -> Iterator[str]:
    """What there is to tell since the last time, and up to when that is all."""
    done_before = driver.done_before
    for number, tally in driver.series.take().items():
        yield json.dumps([number, tally.to_json()])
    yield json.dumps(done_before)


async def drive(orders: Orders, stop: asyncio.Event) -> AsyncIterator[str]:
    """Ask until told to stop; give what there is to tell, line by line."""
    async with grpc.aio.insecure_channel(orders.target, options=wire.OPTIONS) as channel:
        driver = Driver(orders, channel)
        settle()
        running = asyncio.ensure_future(driver.run())
        stopping = asyncio.ensure_future(stop.wait())
        while not (stopping.done() or running.done()):
            await asyncio.wait({stopping, running}, timeout=TELL_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for line in lines(driver):
                yield line
        if running.done():
            running.result()
        running.cancel()
        await asyncio.wait({running})
        await driver.finish()
        for line in lines(driver):
            yield line


async def _main(orders: Orders) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)  # nothing more is said: it can only have ended
    print("ready", flush=True)
    async for line in drive(orders, stop):
        print(line, flush=True)


def main() -> None:
    """Follow the orders on standard input."""
    uvloop.run(_main(Orders.from_json(sys.stdin.readline())))


if __name__ == "__main__":
    main()
