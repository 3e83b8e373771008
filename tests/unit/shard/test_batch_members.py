"""One of a batch that cannot be answered costs the others nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from shard.config import ShardConfig
from shard.service import ShardService
from trunkshow.bundles import each
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


class Reading:
    """A predictor over records one of which is spoilt, and one of somebody who waits for an event."""

    def __init__(self) -> None:
        self.comes = asyncio.Event()

    async def predict(
        self, asked: shard_pb2.PredictRequest, deadline: Deadline, keep: None
    ) -> shard_pb2.PredictResponse:
        """Its request as the slate."""
        del deadline
        if asked.request == b"spoilt":
            raise ValueError("a record of another format")
        if asked.request == b"waits":
            await self.comes.wait()
        return shard_pb2.PredictResponse(slate=asked.request)


def serving(predictor: Reading) -> ShardService:
    """A shard's service with this predictor."""
    generation: Any = SimpleNamespace(predictor=predictor, uses=SimpleNamespace(reading=nullcontext))
    service = ShardService(ShardConfig(store="."), "own:1")
    keeper: Any = SimpleNamespace(generations={"v1": generation}, recent=deque())
    service._keeper = keeper
    return service


def batch(*requests: bytes, together: bool = False) -> bytes:
    """These, asked for at a time."""
    asked = [shard_pb2.PredictRequest(snapshot_version="v1", request=one, carousels=["for-you"]) for one in requests]
    return shard_pb2.PredictBatchRequest(requests=asked, together=together).SerializeToString()


CALL: Any = SimpleNamespace(request_id="r", deadline=lambda ms: Deadline.after(ms, monotonic()))


async def test_a_record_that_cannot_be_read_costs_its_own_user_a_slate_and_nobody_else() -> None:
    """The stream goes on, and the log has it."""
    service = serving(Reading())
    with capture_logs() as logs:
        sent = [one async for one in service.predict_batch(batch(b"a", b"spoilt", b"c"), CALL)]
    answers = [shard_pb2.PredictBatchResponse.FromString(one) for one in sent]
    assert [one.index for one in answers] == [0, 1, 2]
    assert [one.response.slate for one in answers] == [b"a", b"", b"c"]
    assert [one.reason for one in answers[1].response.missing] == [pb.REASON_SHARD_FAILED]
    assert [one["event"] for one in logs] == ["predict.failed"]


async def test_who_waits_holds_back_nothing_that_is_ready() -> None:
    """What was made before goes out together, at once."""
    predictor = Reading()
    service = serving(predictor)
    messages = aiter(service.predict_batch(batch(b"a", b"b", b"waits", b"d", together=True), CALL))
    first = shard_pb2.PredictBatchResponse.FromString(await asyncio.wait_for(anext(messages), 60))
    assert [one.response.slate for one in each(first)] == [b"a", b"b"]
    predictor.comes.set()
    rest = [shard_pb2.PredictBatchResponse.FromString(one) async for one in messages]
    assert [one.index for message in rest for one in each(message)] == [2, 3]


async def test_a_batch_that_its_caller_left_is_not_worked_for() -> None:
    """Who waits is waited for no more."""
    service = serving(Reading())
    messages = service.predict_batch(batch(b"a", b"waits"), CALL)
    assert await anext(aiter(messages))
    await messages.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert service._cancelled == 1
