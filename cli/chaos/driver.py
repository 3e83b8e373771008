"""A process that asks and checks, until its standard input ends: `python -m cli.chaos.driver`.

It reads its `Orders` as one line of JSON, and prints one line of JSON for every `Series` slice that something became
of. Requests are sent at a given rate whatever becomes of them (an open loop: a cluster that stalls is asked on, as
shoppers would), or by so many callers one after the other (a closed loop, which finds out what a cluster sustains).
They go the way of the shipped client: over its connection, and to another router as well where one takes long. No call
is left out of the counts: what the driver could not send in time it counts as unsent.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import uvloop

from cli.chaos.latecomers import Latecomer
from cli.chaos.model import Oracle
from cli.chaos.orders import Orders
from cli.chaos.stalls import Stalls, settle
from cli.chaos.tally import BECAUSE, Series, Tally, bin_of
from cli.chaos.visitors import Ask, Visitors
from trunkshow import channel as wire
from trunkshow.bundles import each
from trunkshow.rivals import Hedge, raced
from trunkshow.targets import Routers
from trunkshow.v1 import recommendation_pb2 as pb

GIVE_UP_S = 2.0
"""A caller waits so long for a slate. More than the promise, so that an answer that is late can be told from none."""

GIVE_UP_BATCH_S = 6.0
LATE_MS = 200.0
LATE_BATCH_MS = 2_000.0
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
        self._in_flight: set[asyncio.Task[bool]] = set()
        self._hedge = Hedge(Routers(orders.target).several)
        self._slate = _unary(channel, wire.RECOMMEND)
        self._similar = _unary(channel, wire.SIMILAR_ITEMS)
        method = wire.RECOMMEND_BATCH
        self._batch = channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

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
        """Ask and count; whether it was shed."""
        sent = time.monotonic()
        if isinstance(ask.request, pb.RecommendBatchRequest):
            await self._ask_batch(ask.request, sent)
            return False
        try:
            method = self._slate if isinstance(ask.request, pb.RecommendRequest) else self._similar
            answer = await raced(self._hedge, lambda seconds: method(ask.request, timeout=seconds), GIVE_UP_S)
        except grpc.RpcError as error:
            self._failed(self.series.at(sent), 1, error)
            return False
        took_ms = (time.monotonic() - sent) * 1000
        tally = self.series.at(sent)
        tally.latencies[bin_of(took_ms)] += 1
        count(tally, answer.receipt, took_ms, LATE_MS, stood_ms=self._stalls.since(sent))
        self._judge(tally, ask, answer)
        return pb.REASON_OVERLOADED in answer.receipt.reasons

    async def _ask_batch(self, batch: pb.RecommendBatchRequest, sent: float) -> None:
        waiting = dict(enumerate(batch.requests))
        error: grpc.RpcError | None = None
        try:
            async for message in self._batch(batch, timeout=GIVE_UP_BATCH_S):
                for one in each(message):
                    self._judge_one(one, waiting, sent)
        except grpc.RpcError as raised:
            error = raised
        if waiting:
            tally = self.series.at(sent)
            tally.counts["batched"] += len(waiting)
            self._failed(tally, len(waiting), error)

    def _judge_one(self, one: pb.RecommendBatchResponse, waiting: dict[int, pb.RecommendRequest], sent: float) -> None:
        """An answer to one of a batch; `waiting` are those without one, as they become fewer."""
        took_ms = (time.monotonic() - sent) * 1000
        tally = self.series.at(sent)
        tally.counts["batched"] += 1
        count(tally, one.response.receipt, took_ms, LATE_BATCH_MS, stood_ms=self._stalls.since(sent))
        request = waiting.pop(one.index, None)
        if request is None:
            tally.counts["wrong"] += 1
            tally.complain(f"the batch's request {one.index} was answered twice, or never asked")
        else:
            self._judge(tally, Ask(request), one.response)

    def _failed(self, tally: Tally, requests: int, error: grpc.RpcError | None) -> None:
        code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else "NO_ANSWER"
        tally.counts.update(requests=requests, failed=requests)
        tally.statuses[code] += requests
        said = error.details() if isinstance(error, grpc.aio.AioRpcError) else "the stream ended"
        tally.complain(f"failed: {code}: {' '.join(str(said).split())[:200]}")

    def _judge(self, tally: Tally, ask: Ask, answer: Any) -> None:
        if ask.personal:
            tally.counts["personal"] += 1
            if answer.receipt.rung > pb.RUNG_SNAPSHOT:
                tally.counts["stepped_down"] += 1
                for reason in answer.receipt.reasons:
                    tally.counts[f"{BECAUSE}{pb.Reason.Name(reason).removeprefix('REASON_').lower()}"] += 1
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


def count(tally: Tally, receipt: pb.Receipt, took_ms: float, late_ms: float, *, stood_ms: float) -> None:
    """An answer that came after so long, for some of which its caller's own process stood still."""
    tally.counts["requests"] += 1
    tally.rungs[pb.Rung.Name(receipt.rung).removeprefix("RUNG_")] += 1
    tally.versions[receipt.snapshot_version] += 1
    late_in_router = receipt.elapsed_ms > late_ms  # whatever this process did meanwhile
    if late_in_router or took_ms - stood_ms > late_ms:
        tally.counts["late"] += 1
        tally.counts["late_in_router"] += late_in_router
        tally.note(Latecomer.of(receipt, time.time() - took_ms / 1000, took_ms, stood_ms))
        return
    tally.counts["held_up"] += took_ms > late_ms
    tally.counts["good"] += pb.RUNG_UNSPECIFIED < receipt.rung <= pb.RUNG_SNAPSHOT


def _unary(channel: grpc.aio.Channel, method: wire.Method[Any, Any]) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
    return channel.unary_unary(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )


def lines(series: Series) -> Iterator[str]:
    """What there is to tell since the last time."""
    for number, tally in series.take().items():
        yield json.dumps([number, tally.to_json()])


async def drive(orders: Orders, stop: asyncio.Event) -> AsyncIterator[str]:
    """Ask until told to stop; give what there is to tell, line by line."""
    async with grpc.aio.insecure_channel(orders.target, options=wire.OPTIONS) as channel:
        driver = Driver(orders, channel)
        settle()
        running = asyncio.ensure_future(driver.run())
        stopping = asyncio.ensure_future(stop.wait())
        while not (stopping.done() or running.done()):
            await asyncio.wait({stopping, running}, timeout=TELL_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for line in lines(driver.series):
                yield line
        if running.done():
            running.result()
        running.cancel()
        await asyncio.wait({running})
        await driver.finish()
        for line in lines(driver.series):
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
