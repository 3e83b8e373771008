"""A router of ours with a shard behind it, asked as a shop asks: `Recommend`, and `RecommendBatch` for many users."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc.aio

from bench.peers import ours
from bench.peers.data import Data
from bench.peers.protocol import Answer
from trunkshow.bundles import each
from trunkshow.v1 import recommendation_pb2 as pb

_RECOMMEND = "/trunkshow.v1.RecommendationService/Recommend"
_RECOMMEND_BATCH = "/trunkshow.v1.RecommendationService/RecommendBatch"


class Subject(ours.Subject):
    """One router, one shard."""

    def __init__(self, folder: Path, data: Data) -> None:
        super().__init__(folder, data)
        self._plain = [ours.plain(user) for user, _ in data.users]
        self._plain_bytes = [request.SerializeToString() for request in self._plain]

    async def start(self) -> None:
        """Start both, and wait until they serve."""
        shard = await asyncio.to_thread(self._run, "shard", "--store", self._data.store)
        router = await asyncio.to_thread(self._run, "router", "--store", self._data.store, "--shards", shard)
        self._channel = grpc.aio.insecure_channel(router)
        self._recommend: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_RECOMMEND)
        self._recommend_batch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _RECOMMEND_BATCH
        )

    async def ask(self, caller: int, query: int) -> Answer:
        """One `Recommend`."""
        reply = await self._recommend(self._plain_bytes[query], timeout=ours.TIMEOUT_S)
        return self._rows_of(pb.RecommendResponse.FromString(reply))

    async def ask_many(self, caller: int, queries: Sequence[int]) -> list[Answer]:
        """One `RecommendBatch`."""
        asked = pb.RecommendBatchRequest(requests=[self._plain[query] for query in queries], together=True)
        answers: list[Answer] = [None] * len(queries)
        async for reply in self._recommend_batch(asked.SerializeToString(), timeout=ours.TIMEOUT_S):
            for one in each(pb.RecommendBatchResponse.FromString(reply)):
                answers[one.index] = self._rows_of(one.response)
        return answers
