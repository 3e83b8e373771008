"""ShardService over bytes: parse, answer, serialise. What an answer is made of is left to `shard.predict`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from shard.config import ShardConfig
from shard.generation import Generation
from trunkshow.errors import InvalidArgument, SnapshotMismatch, TrunkshowError
from trunkshow.serving.auth import Role
from trunkshow.serving.call import CallView
from trunkshow.serving.limits import MESSAGE_BYTES_MAX
from trunkshow.serving.methods import Service
from trunkshow.serving.process import resident_bytes
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

NAME = "trunkshow.v1.ShardService"

PREDICT_MS_MAX = 3_600_000.0
"""What a prediction is given where its caller set no deadline, which routers always do."""

YIELD_EVERY_S = 0.005
"""A batch gives way to other requests after this long."""


class ShardService:
    """What a shard answers.

    Args:
        config: of this shard.
        name: this shard's address in the membership.
    """

    def __init__(self, config: ShardConfig, name: str) -> None:
        self._config = config
        self._name = name
        self._generation: Generation | None = None
        self._draining = False
        self._requests = 0
        self._changed = asyncio.Event()

    def service(self) -> Service:
        """The methods, for registration."""
        return Service(
            NAME,
            unary={"Predict": self.predict},
            stream={"PredictBatch": self.predict_batch, "Watch": self.watch},
            endless=frozenset({"Watch"}),
            role=Role.ROUTER,
            request_bytes_max=MESSAGE_BYTES_MAX,
        )

    def serve(self, generation: Generation) -> None:
        """Answer from this generation's partitions as they come up."""
        self._generation = generation
        self.changed()

    def drain(self) -> None:
        """Tell every watcher that this shard takes nothing new."""
        self._draining = True
        self.changed()

    def changed(self) -> None:
        """Wake every watch stream."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def predict(self, request: bytes, call: CallView) -> bytes:
        """Predict."""
        asked = shard_pb2.PredictRequest.FromString(request)
        answer = await self._serving().predictor.predict(asked, call.deadline(PREDICT_MS_MAX))
        self._requests += 1
        return answer.SerializeToString()

    async def predict_batch(self, request: bytes, call: CallView) -> AsyncIterator[bytes]:
        """PredictBatch. A request that Predict would refuse is answered with every carousel missing."""
        deadline = call.deadline(PREDICT_MS_MAX)
        batch = shard_pb2.PredictBatchRequest.FromString(request).requests
        if not 0 < len(batch) <= self._config.batch_users_max:
            message = f"requests: {len(batch)} of them; 1 to {self._config.batch_users_max} are allowed"
            raise InvalidArgument(message, field="requests", reason="BATCH_SIZE")
        began = time.perf_counter()
        for index, asked in enumerate(batch):
            try:
                answer = await self._serving().predictor.predict(asked, deadline)
            except TrunkshowError:
                answer = shard_pb2.PredictResponse(
                    missing=[shard_pb2.Missing(carousel=one, reason=pb.REASON_SHARD_FAILED) for one in asked.carousels]
                )
            self._requests += 1
            yield shard_pb2.PredictBatchResponse(index=index, response=answer).SerializeToString()
            if time.perf_counter() - began > YIELD_EVERY_S:
                await asyncio.sleep(0)
                began = time.perf_counter()

    async def watch(self, request: bytes, call: CallView) -> AsyncIterator[bytes]:
        """Watch."""
        del call
        shard_pb2.WatchRequest.FromString(request)
        while True:
            changed = self._changed
            yield shard_pb2.WatchResponse(status=self.status()).SerializeToString()
            # asyncio.wait, unlike wait_for, makes no exception of a period that passed quietly.
            waiting = asyncio.ensure_future(changed.wait())
            await asyncio.wait({waiting}, timeout=self._config.status_period_s)
            waiting.cancel()

    def status(self) -> shard_pb2.ShardStatus:
        """What this shard says of itself."""
        generation = self._generation
        state = shard_pb2.SHARD_STATE_LOADING if generation is None else generation.state
        return shard_pb2.ShardStatus(
            name=self._name,
            state=shard_pb2.SHARD_STATE_DRAINING if self._draining else state,
            generations=[generation.status()] if generation is not None else [],
            requests=self._requests,
            rss_bytes=resident_bytes(),
        )

    def _serving(self) -> Generation:
        if self._generation is None:
            raise SnapshotMismatch("this shard is still opening its snapshot")
        return self._generation
