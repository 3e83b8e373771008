"""One of a batch that cannot be answered costs the others nothing."""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from shard.config import ShardConfig
from shard.service import ShardService
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


class Reading:
    """A predictor over records one of which is spoilt."""

    async def predict(
        self, asked: shard_pb2.PredictRequest, deadline: Deadline, keep: None
    ) -> shard_pb2.PredictResponse:
        """Its request as the slate."""
        del deadline
        if asked.request == b"spoilt":
            raise ValueError("a record of another format")
        return shard_pb2.PredictResponse(slate=asked.request)


async def test_a_record_that_cannot_be_read_costs_its_own_user_a_slate_and_nobody_else() -> None:
    """The stream goes on, and the log has it."""
    generation: Any = SimpleNamespace(predictor=Reading(), uses=SimpleNamespace(reading=nullcontext))
    service = ShardService(ShardConfig(store="."), "own:1")
    keeper: Any = SimpleNamespace(generations={"v1": generation}, recent=deque())
    service._keeper = keeper
    requests = [
        shard_pb2.PredictRequest(snapshot_version="v1", request=one, carousels=["for-you"])
        for one in (b"a", b"spoilt", b"c")
    ]
    call: Any = SimpleNamespace(request_id="r", deadline=lambda ms: Deadline.after(ms, monotonic()))
    batch = shard_pb2.PredictBatchRequest(requests=requests).SerializeToString()
    with capture_logs() as logs:
        sent = [one async for one in service.predict_batch(batch, call)]
    answers = [shard_pb2.PredictBatchResponse.FromString(one) for one in sent]
    assert [one.index for one in answers] == [0, 1, 2]
    assert [one.response.slate for one in answers] == [b"a", b"", b"c"]
    assert [one.reason for one in answers[1].response.missing] == [pb.REASON_SHARD_FAILED]
    assert [one["event"] for one in logs] == ["predict.failed"]
