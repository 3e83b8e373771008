"""Calls as the shipped client makes them: over its connection, and to another router as well where one takes long.

What becomes of a call is the driver's to see, and to count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio

from cli.chaos.counting import LATE_MS
from cli.chaos.visitors import Ask
from trunkshow import channel as wire
from trunkshow.rival_batches import answers
from trunkshow.rival_rules import Hedge
from trunkshow.rivals import raced
from trunkshow.targets import Routers
from trunkshow.v1 import recommendation_pb2 as pb

GIVE_UP_S = 2.0
"""A caller waits so long for a slate. More than the promise, so that an answer that is late can be told from none."""

GIVE_UP_BATCH_S = 6.0
PATIENT_S = GIVE_UP_S - LATE_MS / 1e3
RIVAL_S_MIN = 0.01


class Caller:
    """Calls routers.

    Args:
        target: of the routers, as gRPC resolves it.
        channel: to them.
    """

    def __init__(self, target: str, channel: grpc.aio.Channel) -> None:
        self._hedge = Hedge(Routers(target).count)
        self._slate = _unary(channel, wire.RECOMMEND)
        self._similar = _unary(channel, wire.SIMILAR_ITEMS)
        method = wire.RECOMMEND_BATCH
        self._batch = channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

    async def single(self, ask: Ask) -> Any:
        """The answer to a request for a slate, or for similar items.

        Raises:
            grpc.RpcError: there is none.
        """
        is_slate = isinstance(ask.request, pb.RecommendRequest)
        method = self._slate if is_slate else self._similar
        timeout_s = ask.manner.deadline_ms / 1000 or GIVE_UP_S

        def begin(left_s: float) -> Any:
            if timeout_s >= GIVE_UP_S > left_s:
                return _rival(method, ask.request, left_s)
            return method(ask.request, timeout=left_s)

        return await raced(self._hedge, begin, timeout_s, waits=wire.waits(ask.request), by=wire.router_of)

    def batch(
        self, batch: pb.RecommendBatchRequest, stray: Callable[[int], object]
    ) -> AsyncIterator[pb.RecommendBatchResponse]:
        """The answers of a batch, each as soon as it is there.

        Args:
            batch: asked.
            stray: told of an index that was answered twice, or never asked.

        Raises:
            grpc.RpcError: no more will come.
        """

        def begin(part: pb.RecommendBatchRequest, seconds: float) -> Any:
            return self._batch(part, timeout=seconds)

        return answers(self._hedge, begin, batch, GIVE_UP_BATCH_S, stray)


async def _rival(method: grpc.aio.UnaryUnaryMultiCallable[Any, Any], request: Any, left_s: float) -> Any:
    """Another router's answer, for a caller whose patience has so many seconds left.

    It has what is left of the 200 ms, as with the shipped client, or it would take 200 anew. Where it did not answer in
    that, it is asked again for as long as the caller waits: to be late is another thing than to fail.
    """
    promised_s = promised(left_s)
    try:
        return await method(request, timeout=promised_s)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    return await method(request, timeout=left_s - promised_s)


def promised(left_s: float) -> float:
    """Seconds that are left of the 200 ms, of the patience of a caller who has so many left."""
    return max(left_s - PATIENT_S, RIVAL_S_MIN)


def _unary(channel: grpc.aio.Channel, method: wire.Method[Any, Any]) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
    return channel.unary_unary(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
