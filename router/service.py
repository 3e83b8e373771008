"""The router's services, put together: from bytes to a valid request with a deadline, and on to who answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from router import validate
from router.batch import Batcher
from router.config import RouterConfig
from router.counters import Counters
from router.fanout import Fanout
from router.receipt import Asking
from router.recommend import Recommender
from router.resident import Resident
from router.shard_channel import ShardChannels
from router.similar import Similar
from router.status import Status
from router.topology import Topology
from router.validate import Known
from router.watch import Board, follow
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.methods import Service
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb

RECOMMENDATION = "trunkshow.v1.RecommendationService"
CLUSTER = "trunkshow.v1.ClusterService"


class Router:
    """Everything that a router process holds.

    Args:
        config: of the process.
        snapshot: open; the caller closes it.
        clock: monotonic.
    """

    def __init__(self, config: RouterConfig, snapshot: Snapshot, clock: Clock = monotonic) -> None:
        self._config = config
        self._clock = clock
        self._shards = ShardChannels(config.shards)
        self._board = Board(Topology.of(config.shards))
        self._known = Known(snapshot.carousels, snapshot.catalogue.attribute_names)
        counters = Counters()
        resident = Resident(snapshot)
        fanout = Fanout(self._shards, self._board, clock=clock)
        self._recommender = Recommender(snapshot, fanout, resident, counters, probes=config.probes, clock=clock)
        self._batcher = Batcher(
            self._recommender,
            fanout,
            chunk_users=config.batch_chunk_users,
            chunks_in_flight=config.batch_chunks_in_flight,
            clock=clock,
        )
        self._similar = Similar(snapshot, resident, self._known, clock)
        self._status = Status(snapshot, self._board, self._shards, counters)
        self._following: list[asyncio.Future[object]] = []

    def services(self) -> list[Service]:
        """The methods, for registration."""
        recommendation = Service(
            RECOMMENDATION,
            unary={"Recommend": self.recommend, "SimilarItems": self._similar.similar_items},
            stream={"RecommendBatch": self.recommend_batch},
        )
        return [recommendation, Service(CLUSTER, unary={"GetClusterStatus": self._status.get_cluster_status})]

    async def start(self) -> None:
        """Follow every shard; return once each was found or lost for the first time."""
        silence_s = self._config.watch_silence_s
        self._following = [
            asyncio.ensure_future(follow(shard, self._board, silence_s=silence_s)) for shard in self._shards
        ]
        # A shard that takes the connection and says nothing is lost after the silence: this always ends.
        await self._board.everyone_answered.wait()

    async def close(self) -> None:
        """Cut every line."""
        for task in self._following:
            task.cancel()
        await self._shards.close()

    async def recommend(self, data: bytes, call: CallView) -> bytes:
        """Recommend.

        Raises:
            InvalidArgument: the request breaks its contract.
        """
        request = pb.RecommendRequest.FromString(data)
        validate.check(request, self._known)
        asking = self._asking(call, self._config.deadline_ms, self._config.reserve_ms)
        return await self._recommender.slate(data, request, asking)

    async def recommend_batch(self, data: bytes, call: CallView) -> AsyncIterator[bytes]:
        """RecommendBatch.

        Raises:
            InvalidArgument: one of the requests breaks its contract.
        """
        batch = pb.RecommendBatchRequest.FromString(data)
        validate.check_batch(batch, self._known)
        asking = self._asking(call, self._config.batch_deadline_ms, self._config.batch_reserve_ms)
        async with aclosing(self._batcher.slates(batch.requests, asking)) as answers:
            async for answer in answers:
                yield answer

    def _asking(self, call: CallView, default_ms: float, reserve_ms: float) -> Asking:
        deadline, now = call.deadline(default_ms), self._clock()
        budget_ms = (deadline.at - call.arrived) * 1000
        return Asking(call.request_id, call.arrived, deadline.reserving(reserve_ms, now), budget_ms)
