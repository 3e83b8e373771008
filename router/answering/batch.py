"""Many slates in one call, each sent as soon as it is ready, each exactly once.

    known users → by the replica of their home → chunks → PredictBatch ─┐
    leftovers of chunks that failed or were late ───────────────────────┤→ one by one, as single requests → sent
    strangers, and users whose home nobody holds ───────────────────────┘

What becomes of one batch is `router.answering.batch_run`'s to say; here is what all of them have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from router.answering.batch_run import SINGLES_IN_FLIGHT, Run
from router.answering.batch_time import RESIDENT_MS_AT_FIRST
from router.answering.batch_views import BatchViews
from router.answering.recommend import Recommender
from router.asking.fanout import Fanout
from router.served.keeper import Lease
from router.slates.receipt import Asking
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import recommendation_pb2 as pb

SINGLES_BESIDE_OTHERS = 1
"""As many users are asked for alone while somebody waits for a single slate: a batch has seconds, a page has not."""


class Batcher:
    """Makes batches of slates.

    Args:
        recommender: for one user at a time.
        fanout: to the shards.
        chunk_users: users per call to a shard.
        chunks_in_flight: calls of one batch that wait on the same shard at a time.
        beside_others: whether single slates are being made.
        clock: monotonic.
    """

    def __init__(
        self,
        recommender: Recommender,
        fanout: Fanout,
        *,
        chunk_users: int,
        chunks_in_flight: int,
        beside_others: Callable[[], bool] = lambda: False,
        clock: Clock = monotonic,
    ) -> None:
        self.recommender = recommender
        self.fanout = fanout
        self.chunk_users = chunk_users
        self.chunks_in_flight = chunks_in_flight
        self.clock = clock
        self.resident_ms = RESIDENT_MS_AT_FIRST
        self.singles_in_flight = 0
        self._beside_others = beside_others

    @property
    def has_room(self) -> bool:
        """Whether one more user may be asked for alone."""
        return self.singles_in_flight < (SINGLES_BESIDE_OTHERS if self._beside_others() else SINGLES_IN_FLIGHT)

    async def counted(self, slate: Awaitable[bytes]) -> bytes:
        """The slate, in flight until it is made; a caller who is slow to take it holds nobody else up."""
        self.singles_in_flight += 1
        try:
            return await slate
        finally:
            self.singles_in_flight -= 1

    async def slates(
        self, requests: Sequence[pb.RecommendRequest], asking: Asking, lease: Callable[[], Lease]
    ) -> AsyncGenerator[bytes]:
        """Serialised RecommendBatchResponses for valid requests, in the order in which they are ready.

        Args:
            requests: at least one.
            asking: until when shards may be waited for, but for what this keeps per user.
            lease: what is served, as of when it is called.
        """
        run = Run(self, asking, len(requests), BatchViews(lease))
        working = asyncio.ensure_future(run.work(requests))
        try:
            for _ in requests:
                yield await run.next()
        finally:
            working.cancel()
            run.views.close()
