"""RecommendationService: from bytes to a valid request with a deadline, and on to who answers it.

Who is worked for with shards is `router.admission`'s to say, what an answer is made of `router.answering`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial

from router.admission.door import Admission
from router.admission.limiter import Limiter
from router.admission.line import Lines, line_alone
from router.admission.reserve import Reserve
from router.answering import last_resort
from router.answering.batch import Batcher
from router.answering.batch_slates import TAKEN_BACK
from router.answering.chunk_users import ChunkUsers
from router.answering.counters import Counters
from router.answering.recommend import Recommender
from router.answering.similar import Similar
from router.asking.fanout import Fanout
from router.cluster.watch import Board
from router.config import RouterConfig
from router.served import route
from router.served.arrivals import Arrivals
from router.served.keeper import Keeper
from router.served.views import View, Views
from router.slates import validate
from router.slates.receipt import Asking
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.auth import Role
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.methods import Service
from trunkshow.v1 import recommendation_pb2 as pb

RECOMMENDATION = "trunkshow.v1.RecommendationService"

ROLLED_BACK_S = 0.9
"""After its pointer was moved, no answer is of a version that was taken back any more; a tenth of a second of the one
that is promised is for what lies between."""

Sampler = Callable[[bytes, float], None]
"""Given a valid request as it came, and when it did."""


class RecommendationService:
    """Answers Recommend, RecommendBatch and SimilarItems.

    Args:
        config: of the process.
        keeper: of what is served.
        board: with the newest topology.
        fanout: to the shards.
        limiter: of slates that are made with shards at a time.
        reserve: of a request's time that is kept for the ladder.
        counters: of what was served.
        samplers: shown every valid request; more may join.
        arrivals: who knows newcomers; none are known where None.
        store_reachable: whether the snapshot store answers.
        clock: monotonic.
    """

    def __init__(
        self,
        config: RouterConfig,
        keeper: Keeper,
        board: Board,
        fanout: Fanout,
        limiter: Limiter,
        reserve: Reserve,
        counters: Counters,
        samplers: Sequence[Sampler],
        *,
        arrivals: Arrivals | None = None,
        store_reachable: Callable[[], bool] = lambda: True,
        clock: Clock = monotonic,
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._reserve = reserve
        self._samplers = samplers
        self._arrivals = arrivals
        self._clock = clock
        recommender = Recommender(
            fanout,
            board,
            counters,
            probes=config.probes,
            store_reachable=store_reachable,
            clock=clock,
            reached=self._has_arrived,
        )
        self._admission = Admission(recommender, fanout, limiter, reserve, counters, clock)
        self._batcher = Batcher(
            recommender,
            fanout,
            Lines(limiter),
            line_alone(limiter),
            self._admission.shed,
            chunk_users=ChunkUsers(board, config.batch_chunk_users),
            chunks_in_flight=config.batch_chunks_in_flight,
            clock=clock,
        )
        self._similar = Similar(keeper, clock)

    def service(self) -> Service:
        """The methods, for registration."""
        return Service(
            RECOMMENDATION,
            unary={"Recommend": self.recommend, "SimilarItems": self._similar.similar_items},
            stream={"RecommendBatch": self.recommend_batch},
            role=Role.READ,
        )

    async def recommend(self, data: bytes, call: CallView) -> bytes:
        """Recommend.

        Raises:
            InvalidArgument: the request breaks its contract.
            PartialAborted: it would rather have this than the slate that could be had.
        """
        request = pb.RecommendRequest.FromString(data)
        with self._keeper.lease() as views:
            route.check(request, views)
            asking = self._asking(call, self._config.deadline_ms, self._reserve.ms)
            await self._begun(data, request, asking, views)
            slate = await self._admission.slate(data, request, asking, views)
            if not self._was_taken_back(slate, call, views):
                return slate
        return await self._anew(data, request, asking, call)

    async def _anew(self, data: bytes, request: pb.RecommendRequest, asking: Asking, call: CallView) -> bytes:
        """The slate of one whose own was of a version that was taken back meanwhile; what they named may have gone."""
        with self._keeper.lease() as views:
            route.check(request, views)
            slate = await self._admission.slate(data, request, asking, views)
            if not self._was_taken_back(slate, call, views):
                return slate
        views = self._keeper.now
        route.check(request, views)
        return self._admission.at_once(request, asking, views, TAKEN_BACK)

    def _was_taken_back(self, slate: bytes, call: CallView, views: Views) -> bool:
        """Whether a slate is of a version that is served no more, and that long enough ago that it must not go out.

        A younger request than that began when its version was served, by a pointer that was `pointer_period_s` old at
        most, and whatever became of that since, it is still in time. With the usual deadlines all are.
        """
        young_s = ROLLED_BACK_S - self._config.pointer_period_s
        now = self._keeper.now
        if self._clock() - call.arrived < young_s or now is views:
            return False
        return now.at(pb.RecommendResponse.FromString(slate).receipt.snapshot_version) is None

    async def recommend_batch(self, data: bytes, call: CallView) -> AsyncIterator[bytes]:
        """RecommendBatch.

        Raises:
            InvalidArgument: one of the requests breaks its contract.
        """
        batch = pb.RecommendBatchRequest.FromString(data)
        with self._keeper.lease() as views:
            validate.check_batch(batch, partial(route.check, views=views))
            asking = self._asking(call, self._config.batch_deadline_ms, self._config.batch_reserve_ms)
        slates = self._batcher.slates(batch.requests, asking, self._keeper.lease, together=batch.together)
        async with aclosing(slates) as answers:
            async for answer in answers:
                yield answer

    async def _begun(self, data: bytes, request: pb.RecommendRequest, asking: Asking, views: Views) -> None:
        """Samplers are shown a request, and a newcomer is waited for; what breaks in that costs nobody the slate."""
        try:
            for sample in self._samplers:
                sample(data, asking.arrived)
            if request.at_least_as_fresh:
                await self._arrived(request, views, asking)
        except Exception as error:
            last_resort.report(error, asking.request_id)

    async def _arrived(self, request: pb.RecommendRequest, views: Views, asking: Asking) -> None:
        """Wait for what makes a stranger a newcomer, half of the time that there is at most."""
        if self._arrivals is not None and views.current.find(request.user_id) is None:
            watermark = Watermark.parse(request.at_least_as_fresh)
            await self._arrivals.reached(views.current, watermark, asking.shards_by.remaining_s(self._clock()) / 2)

    def _has_arrived(self, view: View, watermark: Watermark) -> bool:
        return self._arrivals is not None and self._arrivals.has_reached(view, watermark)

    def _asking(self, call: CallView, default_ms: float, reserve_ms: float) -> Asking:
        deadline, now = call.deadline(default_ms), self._clock()
        budget_ms = (deadline.at - call.arrived) * 1000
        return Asking(call.request_id, call.arrived, deadline.reserving(reserve_ms, now), budget_ms)
