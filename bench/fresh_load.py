"""The load of `bench.fresh`, in a process of its own: events and requests in open loops, and probes beside them.

Arrivals wait for nobody: both streams follow a plan (Poisson), and how far the driver fell behind it is told. A probe
is a shopper who clicks something, and then asks for their page at a fixed rate, from the moment that the click was
sent, until it shows: the receipt counts the click, and a carousel is named after its item. Every other probe reads its
writes instead: it waits for the acknowledgement, and asks once, with its watermark.

Replies are looked at once the clock has stopped. Reads orders as JSON on standard input, writes what it measured to
standard output.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import numpy as np
import uvloop

from bench import fresh_shop, processes
from bench.fresh_shop import Shop
from trunkshow.v1 import events_pb2
from trunkshow.v1 import recommendation_pb2 as pb

RECOMMEND = "/trunkshow.v1.RecommendationService/Recommend"
RECORD = "/trunkshow.v1.EventService/RecordEvents"
WARM_UP_S = 1.0
TIMEOUT_S = 5.0
POLL_S = 0.02
"""Between two askings of a probe: a time measured is up to so much too long."""

GIVE_UP_S = 5.0
clock = time.perf_counter

Method = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


@dataclass(frozen=True)
class Orders:
    """What is done.

    Attributes:
        seconds: measured, after a warm-up.
        seed: of everything drawn.
        events_per_s: recorded, in calls of several.
        requests_per_s: asked for.
        probes_per_s: begun.
        clicked: what probed users did in measurements before.
    """

    seconds: float
    seed: int
    events_per_s: float
    requests_per_s: float
    probes_per_s: float
    clicked: dict[str, int]


@dataclass
class Taken:
    """What came of one measurement; times in milliseconds.

    Attributes:
        effect: from a click's being sent until an answer that shows it, asked again and again.
        own_writes: the same, asked once, with the acknowledgement's watermark.
        not_as_fresh: of these, answers that said that they are not.
        not_shown: probes that never saw their click.
        acknowledged: calls of RecordEvents.
        events: that were acknowledged.
        answered: requests for slates.
        ages: of the knowledge in their receipts.
        rungs: of them.
        errors: statuses other than OK, by method and name.
        behind_ms: that the driver was behind its plan, at most.
    """

    effect: list[float] = field(default_factory=list)
    own_writes: list[float] = field(default_factory=list)
    not_as_fresh: int = 0
    not_shown: int = 0
    acknowledged: list[float] = field(default_factory=list)
    events: int = 0
    answered: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    rungs: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    behind_ms: float = 0.0


class Load:
    """One measurement.

    Attributes:
        taken: what came of it.
        clicked: what probed users did so far.

    Args:
        channel: to the router.
        shop: who shops there.
        orders: what is done.
    """

    def __init__(self, channel: grpc.aio.Channel, shop: Shop, orders: Orders) -> None:
        self.taken = Taken()
        self._orders = orders
        self._whole_s = WARM_UP_S + orders.seconds
        count = round(orders.events_per_s * self._whole_s)
        self._calls = fresh_shop.calls(shop, count, time.time(), self._whole_s, orders.seed)
        self._recommend: Method = channel.unary_unary(RECOMMEND)
        self._record: Method = channel.unary_unary(RECORD)
        self._shop = shop
        self._replies: list[bytes] = []
        self.clicked = Counter(orders.clicked)
        self._measured_from = 0.0

    async def run(self) -> None:
        """Everything at once, until it is over."""
        orders, calls = self._orders, iter(self._calls)
        requests = fresh_shop.requests(self._shop.users, orders.seed)
        begins = clock()
        self._measured_from = begins + WARM_UP_S
        await asyncio.gather(
            self._stream(begins, orders.requests_per_s, lambda: self._asked(next(requests))),
            self._stream(begins, orders.probes_per_s, self._probes(), spread=False),
            self._stream(begins, len(self._calls) / self._whole_s, lambda: self._recorded(next(calls))),
        )

    async def _stream(
        self, begins: float, rate: float, one: Callable[[], Awaitable[None]], *, spread: bool = True
    ) -> None:
        """An open loop: at random moments, or at equal distances."""
        count = round(rate * self._whole_s)
        rng = np.random.default_rng(self._orders.seed)
        gaps = rng.exponential(1, count) if spread else np.ones(count)
        tasks = []
        for at in (begins + np.cumsum(gaps) / max(rate, 1e-9)).tolist():
            late = clock() - at
            if late < 0:
                await asyncio.sleep(-late)
            self.taken.behind_ms = max(self.taken.behind_ms, late * 1000)
            tasks.append(asyncio.ensure_future(one()))
        await asyncio.gather(*tasks)

    async def _timed(self, method: Method, data: bytes, into: list[float]) -> bytes:
        """A reply, empty where there was an error."""
        sent = clock()
        try:
            reply = await method(data, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            self.taken.errors[
                f"{'Recommend' if method is self._recommend else 'RecordEvents'} {error.code().name}"
            ] += 1
            return b""
        if sent >= self._measured_from:
            into.append((clock() - sent) * 1000)
        return reply

    async def _asked(self, request: bytes) -> None:
        began = clock()
        reply = await self._timed(self._recommend, request, self.taken.answered)
        if reply and began >= self._measured_from:
            self._replies.append(reply)

    async def _recorded(self, call: fresh_shop.Call) -> None:
        if await self._timed(self._record, call.data, self.taken.acknowledged):
            self.taken.events += call.events

    # --- probes --------------------------------------------------------------------------------------------------

    def _probes(self) -> Callable[[], Awaitable[None]]:
        shop = self._shop
        numbers = itertools.count()

        def next_probe() -> Awaitable[None]:
            number = next(numbers)
            user = shop.probed[number % len(shop.probed)]
            # By turns, so that nobody clicks the item again by which their carousel is named already.
            item, title = shop.named[(number + self.clicked[user]) % len(shop.named)]
            self.clicked[user] += 1
            probe = self._reads_its_writes if number % 2 else self._polls
            return probe(user, item, _shows(title, self.clicked[user]))

        return next_probe

    async def _polls(self, user: str, item: str, shows: Callable[[bytes], bool]) -> None:
        sent = clock()
        recording = asyncio.ensure_future(self._timed(self._record, fresh_shop.click(user, item), []))
        request = fresh_shop.asking(user)
        for tick in _ticks(sent):
            await asyncio.sleep(tick - clock())
            reply = await self._timed(self._recommend, request, [])
            if reply and shows(reply):
                break
        else:
            self.taken.not_shown += 1
        if sent >= self._measured_from:
            self.taken.effect.append((clock() - sent) * 1000)
        await recording

    async def _reads_its_writes(self, user: str, item: str, shows: Callable[[bytes], bool]) -> None:
        sent = clock()
        said = await self._timed(self._record, fresh_shop.click(user, item), [])
        watermark = events_pb2.RecordEventsResponse.FromString(said).watermark
        reply = await self._timed(self._recommend, fresh_shop.asking(user, watermark), [])
        if sent >= self._measured_from:
            self.taken.own_writes.append((clock() - sent) * 1000)
        if not reply or pb.REASON_NOT_AS_FRESH in pb.RecommendResponse.FromString(reply).receipt.reasons:
            self.taken.not_as_fresh += 1
        elif not shows(reply):
            self.taken.not_shown += 1

    def look(self) -> None:
        """Decode what was answered."""
        for reply in self._replies:
            receipt = pb.RecommendResponse.FromString(reply).receipt
            self.taken.rungs[pb.Rung.Name(receipt.rung).removeprefix("RUNG_")] += 1
            if receipt.HasField("watermark_age_ms"):
                self.taken.ages.append(receipt.watermark_age_ms)


def _ticks(sent: float) -> Iterator[float]:
    """When a probe asks: at a fixed rate, whatever the answers take."""
    tick = sent
    while tick < sent + GIVE_UP_S:
        tick = max(tick + POLL_S, clock())
        yield tick


def _shows(title: str, clicks: int) -> Callable[[bytes], bool]:
    """Whether a slate has a shopper's newest click in it, which is so manieth of theirs."""

    def shows(reply: bytes) -> bool:
        slate = pb.RecommendResponse.FromString(reply)
        named = any(title in carousel.title for carousel in slate.carousels)
        return named and slate.receipt.events_folded >= clicks

    return shows


async def run(orders: dict[str, Any]) -> dict[str, Any]:
    """One measurement: what it took, and the processor seconds of each process meanwhile."""
    servers = {name: processes.Started(pid, "") for name, pid in orders["servers"].items()}
    async with grpc.aio.insecure_channel(orders["target"]) as channel:
        load = Load(channel, Shop(**orders["shop"]), Orders(**orders["load"]))
        before, began = {name: one.cpu_s() for name, one in servers.items()}, clock()
        await load.run()
        took = clock() - began
        cores = {name: (one.cpu_s() - before[name]) / took for name, one in servers.items()}
    load.look()
    return {**vars(load.taken), "clicked": load.clicked, "cores": cores, "seconds": took}


def main() -> None:
    """Run one measurement."""
    json.dump(uvloop.run(run(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
