"""What a driver counts of an answer, and how it asks of a router that is played here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from datasets import Built

from cli.chaos import manners, versions
from cli.chaos.caller import GIVE_UP_S, RIVAL_S_MIN, promised
from cli.chaos.counting import LATE_MS, count
from cli.chaos.driver import Driver, lines
from cli.chaos.manners import AsFresh, Manner
from cli.chaos.orders import Orders
from cli.chaos.tally import Tally
from cli.chaos.visitors import Ask, mannered
from trunkshow import channel as wire
from trunkshow.errors import REASON_KEY, PartialAborted
from trunkshow.v1 import recommendation_pb2 as pb


@pytest.mark.parametrize(
    ("rung", "took_ms", "stood_ms", "good", "late", "held_up"),
    [
        (pb.RUNG_FRESH, 20, 0, 1, 0, 0),
        (pb.RUNG_SNAPSHOT, 20, 0, 1, 0, 0),
        (pb.RUNG_PREVIOUS, 20, 0, 0, 0, 0),
        (pb.RUNG_POPULAR, 20, 0, 0, 0, 0),
        (pb.RUNG_UNSPECIFIED, 20, 0, 0, 0, 0),  # one of a batch that would rather have had an error
        (pb.RUNG_FRESH, 250, 0, 0, 1, 0),
        (pb.RUNG_POPULAR, 250, 0, 0, 1, 0),
        (pb.RUNG_FRESH, 250, 100, 1, 0, 1),  # the caller itself stood still
    ],
)
def test_an_answer_is_good_or_late_or_neither(
    rung: pb.Rung, took_ms: float, stood_ms: float, good: int, late: int, held_up: int
) -> None:
    """By its rung and its time; one that is late takes nothing off those that are good."""
    tally = Tally()
    count(tally, pb.Receipt(rung=rung), took_ms, LATE_MS, stood_ms=stood_ms)
    assert (tally.good, tally.late, tally.held_up, tally.requests) == (good, late, held_up, 1)
    assert Tally.from_json(tally.to_json()).good == good


@pytest.mark.parametrize(("waited_s", "promised_s"), [(0.0, 0.2), (0.06, 0.14), (0.3, RIVAL_S_MIN)])
def test_another_router_is_given_what_is_left_of_the_promise(waited_s: float, promised_s: float) -> None:
    """With 200 ms of its own it would answer after the caller of a shipped client has given up."""
    assert promised(GIVE_UP_S - waited_s) == pytest.approx(promised_s)


SERVED_WITHIN_S = 60.0

Slate = Callable[[pb.RecommendRequest, Any], Any]


class Router:
    """A router that answers as it is told to.

    Attributes:
        slate: what becomes of a slate; by default nothing, for ever.
        asked: slates.
        left: how many calls their callers have given up.
        asked_for_a_batch: it was, once.
    """

    def __init__(self) -> None:
        self.slate: Slate = self.silence
        self.asked: list[pb.RecommendRequest] = []
        self.left = 0
        self.asked_for_a_batch = asyncio.Event()

    async def silence(self, request: Any, context: Any) -> pb.RecommendResponse:
        """No answer, until the caller leaves."""
        del request, context
        try:
            await asyncio.Event().wait()
        finally:
            self.left += 1
        raise AssertionError("nobody sets it")

    async def recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:
        """Recommend."""
        self.asked.append(request)
        answer: pb.RecommendResponse = await self.slate(request, context)
        return answer

    async def batch(self, request: pb.RecommendBatchRequest, context: Any) -> AsyncIterator[pb.RecommendBatchResponse]:
        """RecommendBatch: its first slate, and no more."""
        self.asked_for_a_batch.set()
        yield pb.RecommendBatchResponse(index=0, response=answered())
        await self.silence(request, context)

    async def until_left(self) -> None:
        """Return once somebody has."""
        async with asyncio.timeout(SERVED_WITHIN_S):
            while not self.left:  # noqa: ASYNC110 - the other end's doing
                await asyncio.sleep(0.005)


def answered(watermark: str = "") -> pb.RecommendResponse:
    """A slate of nobody's: these drivers check none."""
    return pb.RecommendResponse(receipt=pb.Receipt(rung=pb.RUNG_SNAPSHOT, watermark=watermark))


@asynccontextmanager
async def asking(built: Built, folder: Path) -> AsyncIterator[tuple[Router, Driver]]:
    """A router, and a driver of it."""
    version = built.report.manifest.version
    versions.remember(built.store / "snapshots" / version, version, folder)
    router, server = Router(), grpc.aio.server()
    methods = {
        "Recommend": grpc.unary_unary_rpc_method_handler(
            router.recommend, pb.RecommendRequest.FromString, pb.RecommendResponse.SerializeToString
        ),
        "RecommendBatch": grpc.unary_stream_rpc_method_handler(
            router.batch, pb.RecommendBatchRequest.FromString, pb.RecommendBatchResponse.SerializeToString
        ),
    }
    service = wire.RECOMMEND.path.split("/")[1]
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with grpc.aio.insecure_channel(target, options=wire.OPTIONS) as channel:
            await asyncio.wait_for(channel.channel_ready(), SERVED_WITHIN_S)
            yield router, Driver(Orders(target, folder, version, seed=1, check=0.0), channel)
    finally:
        await server.stop(None)


async def told(driver: Driver, ask: Ask) -> Tally:
    """What one call counts as."""
    await driver._ask(ask)
    return Tally.sum(driver.series.take().values())


SLATE = pb.RecommendRequest(user_id="user")
BATCH = pb.RecommendBatchRequest(requests=[SLATE, SLATE])


@pytest.mark.parametrize(("request_", "answers"), [(SLATE, 0), (BATCH, 1)])
def test_who_hangs_up_leaves_nothing_at_the_router(built: Built, tmp_path: Path, request_: Any, answers: int) -> None:
    """Their call is over there too; it is no request, but for what came before they left."""

    async def run() -> None:
        async with asking(built, tmp_path) as (router, driver):
            tally = await told(driver, Ask(request_, manner=Manner(hangs_up_ms=100)))
            assert (tally.counts["hung_up"], tally.requests, tally.failed) == (1, answers, 0)
            await router.until_left()

    asyncio.run(run())


def test_a_call_is_told_of_as_a_whole_once_it_is_over(built: Built, tmp_path: Path) -> None:
    """What else was sent by then may be: of a batch that waits, nothing is known yet."""

    async def run() -> None:
        async with asking(built, tmp_path) as (router, driver):
            before = time.monotonic()
            assert driver.done_before >= before
            waiting = asyncio.ensure_future(driver._ask(Ask(BATCH)))
            await router.asked_for_a_batch.wait()
            asked = time.monotonic()
            await told(driver, Ask(SLATE, manner=Manner(hangs_up_ms=1)))
            assert before <= float(list(lines(driver))[-1]) <= asked
            waiting.cancel()
            await asyncio.wait({waiting})
            assert float(list(lines(driver))[-1]) > asked

    asyncio.run(run())


def test_who_was_answered_before_has_not_hung_up(built: Built, tmp_path: Path) -> None:
    """They are like everybody."""

    async def slate(request: Any, context: Any) -> pb.RecommendResponse:
        del request, context
        return answered()

    async def run() -> None:
        async with asking(built, tmp_path) as (router, driver):
            router.slate = slate
            tally = await told(driver, Ask(SLATE, manner=Manner(hangs_up_ms=1000 * SERVED_WITHIN_S)))
            assert (tally.counts["hung_up"], tally.requests) == (0, 1)

    asyncio.run(run())


def test_a_call_in_haste_has_its_own_deadline(built: Built, tmp_path: Path) -> None:
    """Once it is over, the router knows; and it was missed, unless this process stood still."""

    async def run() -> None:
        async with asking(built, tmp_path) as (router, driver):
            tally = await told(driver, mannered(Ask(SLATE), Manner(deadline_ms=80)))
            assert (tally.counts["missed"] + tally.counts["stood_still"], tally.failed) == (1, 0)
            await router.until_left()

    asyncio.run(run())


def test_an_error_that_was_wished_for_is_not_tried_again(built: Built, tmp_path: Path) -> None:
    """One call, which says which rung would do."""

    async def slate(request: Any, context: Any) -> None:
        del request
        reason = (REASON_KEY, PartialAborted.default_reason)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no", (reason, ("grpc-retry-pushback-ms", "-1")))

    async def run() -> None:
        async with asking(built, tmp_path) as (router, driver):
            router.slate = slate
            tally = await told(driver, mannered(Ask(SLATE), Manner(worst_rung=pb.RUNG_SEGMENT)))
            assert (tally.counts["aborted"], tally.failed) == (1, 0)
            assert [one.worst_rung for one in router.asked] == [pb.RUNG_SEGMENT]

    asyncio.run(run())


def test_a_watermark_is_named_once_an_answer_had_one(built: Built, tmp_path: Path) -> None:
    """The last one; whoever does not ask for it does not name it."""

    async def run() -> None:
        async with asking(built, tmp_path) as (router, driver):
            marks = iter(("log-a/0:5", "", "", ""))

            async def slate(request: Any, context: Any) -> pb.RecommendResponse:
                del request, context
                return answered(next(marks))

            router.slate = slate
            for as_fresh in (AsFresh.SEEN, AsFresh.NONE, AsFresh.SEEN, AsFresh.NEVER):
                await told(driver, mannered(Ask(SLATE), Manner(as_fresh=as_fresh)))
            named = [one.at_least_as_fresh for one in router.asked]
            assert named == ["", "", "log-a/0:5", manners.watermark(AsFresh.NEVER, "log-a/0:5")]

    asyncio.run(run())
