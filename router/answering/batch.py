"""Many slates in one call, each sent as soon as it is ready, each exactly once.

    known users → by the replica of their home → chunks → PredictBatch ─┐
    leftovers of chunks that failed or were late ───────────────────────┤→ one by one, as single requests → sent
    strangers, and users whose home nobody holds ───────────────────────┘
    whoever there is no room for beside pages ──────────────────────────→ a resident slate at once

What becomes of one batch is `router.answering.batch_run`'s to say; here is what all of them have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from router.answering.batch_run import Run
from router.answering.batch_slates import Shed
from router.answering.batch_time import RESIDENT_MS_AT_FIRST
from router.answering.batch_views import BatchViews
from router.answering.chunks import UsersMax
from router.answering.recommend import Recommender
from router.asking.fanout import Fanout
from router.served.keeper import Lease
from router.slates.receipt import Asking
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import recommendation_pb2 as pb


class Line(Protocol):
    """Lets users in, as there is room for beside pages."""

    async def room(self, users: int, within_s: float) -> bool:
        """Whether these may be asked for now, in one call, which must `leave`; else all of them are turned away."""
        ...

    def leave(self) -> None:
        """A call that there was room for has ended."""
        ...


class Lines(Protocol):
    """By address, the line of those who are asked for at a shard."""

    def to(self, address: str) -> Line:
        """Of one shard."""
        ...


class Batcher:
    """Makes batches of slates.

    Args:
        recommender: for one user at a time.
        fanout: to the shards.
        together: lets in chunks, by the shard that is asked.
        alone: lets in those who are asked for one by one.
        shed: for whom there is no room.
        chunk_users: users per call to a shard, by its address.
        chunks_in_flight: calls of one batch that wait on the same shard at a time.
        clock: monotonic.
    """

    def __init__(
        self,
        recommender: Recommender,
        fanout: Fanout,
        together: Lines,
        alone: Line,
        shed: Shed,
        *,
        chunk_users: UsersMax,
        chunks_in_flight: int,
        clock: Clock = monotonic,
    ) -> None:
        self.recommender = recommender
        self.fanout = fanout
        self.together = together
        self.alone = alone
        self.shed = shed
        self.chunk_users = chunk_users
        self.chunks_in_flight = chunks_in_flight
        self.clock = clock
        self.resident_ms = RESIDENT_MS_AT_FIRST

    async def slates(
        self,
        requests: Sequence[pb.RecommendRequest],
        asking: Asking,
        lease: Callable[[], Lease],
        *,
        together: bool = False,
    ) -> AsyncGenerator[bytes]:
        """Serialised RecommendBatchResponses for valid requests, in the order in which they are ready.

        Args:
            requests: at least one.
            asking: until when shards may be waited for, but for what this keeps per user.
            lease: what is served, as of when it is called.
            together: what is ready at the same time may go out in one message.
        """
        run = Run(self, asking, len(requests), BatchViews(lease))
        working = asyncio.ensure_future(run.work(requests))
        try:
            left = len(requests)
            while left:
                bundle = await run.next(together=together)
                left -= len(bundle)
                yield bundle.message()
        finally:
            working.cancel()
            run.views.close()
