"""The answers to a batch: made one after the other, sent as they are ready, with other requests in between.

What one of them is answered with is the caller's to say; one that cannot be answered costs the others nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from trunkshow.bundles import bundles, numbered
from trunkshow.errors import TrunkshowError
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

YIELD_EVERY_S = 0.002
"""A batch gives way to other requests after this long, and sends what is ready: some twenty slates."""

Predict = Callable[[shard_pb2.PredictRequest], Awaitable[shard_pb2.PredictResponse]]


async def answers(
    asked: shard_pb2.PredictBatchRequest, predict: Predict, failed: Callable[[Exception], None]
) -> AsyncGenerator[bytes]:
    """Serialised PredictBatchResponses.

    Args:
        asked: no more than may be.
        predict: answers one of them.
        failed: told of what is no refusal.
    """
    ready: asyncio.Queue[bytes] = asyncio.Queue()  # of no more than the batch
    making = asyncio.ensure_future(_make(asked, predict, failed, ready))
    try:
        async for message in bundles(ready, len(asked.requests), together=asked.together):
            yield message
    finally:
        making.cancel()


async def _make(
    asked: shard_pb2.PredictBatchRequest,
    predict: Predict,
    failed: Callable[[Exception], None],
    ready: asyncio.Queue[bytes],
) -> None:
    """Answer each; who has to wait for something holds back nothing that is ready."""
    began = time.perf_counter()
    for index, one in enumerate(asked.requests):
        try:
            answer = await predict(one)
        except TrunkshowError:
            answer = _nothing(one)
        except Exception as error:  # a record that cannot be read, say: the others of the batch are none the worse
            failed(error)
            answer = _nothing(one)
        ready.put_nowait(numbered(index, answer.SerializeToString()))
        if time.perf_counter() - began > YIELD_EVERY_S:
            await asyncio.sleep(0)
            began = time.perf_counter()


def _nothing(asked: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """The answer to one of a batch that there is none for."""
    return shard_pb2.PredictResponse(
        missing=[shard_pb2.Missing(carousel=one, reason=pb.REASON_SHARD_FAILED) for one in asked.carousels]
    )
