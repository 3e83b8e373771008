"""A shard of ours, asked as a router asks it: `Predict` for a known user's for-you carousel, one home partition.

The answer is from the whole path: the user's record and history read from the store, candidates from the partition's
index, what they already had left out, titles and reasons filled in, a receipt. There is nothing to turn: how much of
the exact answers a snapshot finds was decided when it was built.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import grpc.aio

from bench import processes
from bench.peers.data import TOP, Data
from bench.peers.protocol import Answer, Range, Weighed
from trunkshow.bundles import each
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

CAROUSEL = "for-you"
TIMEOUT_S = 5.0
_PREDICT = "/trunkshow.v1.ShardService/Predict"
_PREDICT_BATCH = "/trunkshow.v1.ShardService/PredictBatch"


class Subject:
    """One shard."""

    keeps = "nothing"
    knob: Range | None = None
    unseen = True

    def __init__(self, folder: Path, data: Data) -> None:
        del folder  # what a shard loads is the snapshot
        self._data = data
        self._rows = {item: row for row, item in enumerate(data.item_ids)}
        self._running = contextlib.ExitStack()
        self._channel: grpc.aio.Channel | None = None
        self.servers: list[Weighed] = []
        self._requests = [self._request(query) for query in range(len(data.users))]
        self._bytes = [request.SerializeToString() for request in self._requests]

    async def start(self) -> None:
        """Start the shard, and wait until it serves."""
        shard = await asyncio.to_thread(self._run, "shard", "--store", self._data.store)
        self._channel = grpc.aio.insecure_channel(shard)
        self._predict: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_PREDICT)
        self._predict_batch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _PREDICT_BATCH
        )

    def _run(self, *arguments: str) -> str:
        started = self._running.enter_context(processes.trunkshow(*arguments))
        self.servers.append(started)
        return started.target

    async def load(self, *, fresh: bool) -> None:
        """Nothing to load beside the snapshot."""

    async def turn(self, knob: int) -> None:
        """Nothing to turn."""

    async def ask(self, caller: int, query: int) -> Answer:
        """One `Predict`."""
        return self._read(await self._predict(self._bytes[query], timeout=TIMEOUT_S))

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """One `PredictBatch`."""
        asked = shard_pb2.PredictBatchRequest(requests=[self._requests[query] for query in queries], together=True)
        answers: list[Answer] = [None] * len(queries)
        async for reply in self._predict_batch(asked.SerializeToString(), timeout=TIMEOUT_S):
            for one in each(shard_pb2.PredictBatchResponse.FromString(reply)):
                answers[one.index] = self._rows_of(pb.RecommendResponse.FromString(one.response.slate))
        return answers

    async def stop(self) -> None:
        """End what runs."""
        if self._channel is not None:
            await self._channel.close()
        await asyncio.to_thread(self._running.close)

    def _request(self, query: int) -> shard_pb2.PredictRequest:
        user, home = self._data.users[query]
        return shard_pb2.PredictRequest(
            request=plain(user).SerializeToString(),
            snapshot_version=self._data.version,
            partitions=[home],
            carousels=[CAROUSEL],
        )

    def _read(self, reply: bytes) -> Answer:
        answer = shard_pb2.PredictResponse.FromString(reply)
        return None if answer.missing else self._rows_of(pb.RecommendResponse.FromString(answer.slate))

    def _rows_of(self, slate: pb.RecommendResponse) -> Answer:
        return rows_of(slate, self._rows)


def plain(user: str) -> pb.RecommendRequest:
    """One user's request for their personal top ten."""
    return pb.RecommendRequest(user_id=user, carousels=[CAROUSEL], items_per_carousel=TOP)


def rows_of(slate: pb.RecommendResponse, rows: dict[str, int]) -> Answer:
    """The slate's items; None where it is not a whole one of the user's own snapshot or fresher."""
    if len(slate.carousels) != 1 or len(slate.carousels[0].items) != TOP:
        return None
    (carousel,) = slate.carousels
    if carousel.id != CAROUSEL or carousel.rung > pb.RUNG_SNAPSHOT:
        return None
    return [rows[item.item_id] for item in carousel.items]
