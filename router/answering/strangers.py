"""The slate of somebody whom the snapshot does not know.

With items in hand they are folded in: their taste is solved from these, and the partitions nearest to it are asked, of
the current snapshot, and for what that leaves open, of the previous one. With nothing in hand, or no time, the shop's
own lists are all that can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from router.answering.finish import Finish
from router.asking.attempts import Gathered
from router.asking.fanout import Fanout
from router.cluster.watch import Board
from router.served import route
from router.served.views import View, Views
from router.slates import ladder
from router.slates.descent import Descent, Heard, failures_of, request_excluding, share_of
from router.slates.merge import merged, slotted
from router.slates.receipt import NOWHERE, Asking, Reach
from trunkshow import carousels
from trunkshow.models.protocol import NO_FLOATS, Floats
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

SLACK = 2
"""Shards that are merged are asked for so many times the items shown: one may be shown further up already."""


class Near(NamedTuple):
    """Where somebody would live in a snapshot.

    Attributes:
        view: of it.
        vector: (factors,) their taste there; empty where nothing is known of it.
        partitions: nearest to it.
    """

    view: View
    vector: Floats
    partitions: Sequence[int]


class Strangers:
    """Makes slates for strangers.

    Args:
        fanout: to the shards.
        board: with the newest topology.
        finish: fills the gaps.
        probes: partitions asked.
        clock: monotonic.
    """

    def __init__(self, fanout: Fanout, board: Board, finish: Finish, *, probes: int, clock: Clock) -> None:
        self._fanout = fanout
        self._board = board
        self._finish = finish
        self._probes = probes
        self._clock = clock

    async def slate(
        self, request: pb.RecommendRequest, asking: Asking, views: Views, before: Reach = NOWHERE, meant: str = ""
    ) -> bytes:
        """A serialised RecommendResponse.

        Args:
            request: valid.
            asking: who asks, and until when shards may be waited for.
            views: leased by the caller.
            before: askings that came to nothing: a home that does not know the user.
            meant: the version of that home; empty where there was none.

        Raises:
            PartialAborted: the request would rather have this than the slate that could be had.
        """
        in_time = asking.shards_by.remaining_ms(self._clock()) > 0
        near = self._near(views.current, request, in_time=in_time)
        view = route.for_strangers(request, views, near.partitions)
        if view is not near.view:
            near = self._near(view, request, in_time=in_time)
        reasons = [pb.REASON_USER_UNKNOWN, *view.resident.context_reasons(request)]
        known = bool(len(near.vector))
        if not known:
            late = view.resident.rows(request.context_item_ids) and not in_time
            reasons.append(pb.REASON_SHARD_LATE if late else pb.REASON_NOTHING_IN_HAND)
        wanted = view.wanted(request, impersonal=not known)
        so_far = Descent(wanted, reasons=tuple(reasons), reach=before)
        if known:
            so_far = await self._folded_in(near, request, asking, views, so_far)
        view = views.at(so_far.version) or view
        vector = near.vector if view is near.view else view.resident.taste(view.resident.rows(request.context_item_ids))
        need = view.resident.need(request, segment=-1, vector=vector)
        return self._finish.slate(so_far, request, view, need, asking, meant)

    async def _folded_in(
        self, near: Near, request: pb.RecommendRequest, asking: Asking, views: Views, so_far: Descent
    ) -> Descent:
        first = asking._replace(shards_by=share_of(asking.shards_by, self._clock())) if views.earlier else asking
        so_far = await self._step(near, pb.RUNG_SNAPSHOT, request, first, so_far)
        if not so_far.to_ask or ladder.floor_of(request) < pb.RUNG_PREVIOUS:
            return so_far
        earlier = route.earlier(views, self._board.topology)
        for view in (one for one in earlier if one is not near.view and one.admits(request)):
            there = self._near(view, request, in_time=asking.shards_by.remaining_ms(self._clock()) > 0)
            holders = {one for n in there.partitions for one in self._board.topology.holders(view.version, n)}
            if holders and so_far.worth_asking(holders):
                return await self._step(there, pb.RUNG_PREVIOUS, request, asking, so_far)
        return so_far

    def _near(self, view: View, request: pb.RecommendRequest, *, in_time: bool) -> Near:
        context = view.resident.rows(request.context_item_ids)
        vector = view.resident.taste(context) if in_time else NO_FLOATS
        return Near(view, vector, view.nearest(vector, self._probes) if len(vector) else ())

    async def _step(
        self, near: Near, rung: pb.Rung, request: pb.RecommendRequest, asking: Asking, so_far: Descent
    ) -> Descent:
        """Ask the nearest partitions of one snapshot for what is missing."""
        began = self._clock()
        wanted, until = so_far.to_ask, asking.shards_by
        gathered = await self._ask(near, rung, request, wanted, so_far, asking)
        ms, budget_ms = (self._clock() - began) * 1000, until.remaining_ms(began)
        attempts = tuple(attempt._replace(rung=rung) for attempt in gathered.attempts)
        reach = Reach.of(rung, len(near.partitions), attempts, ms, budget_ms)
        count = request.items_per_carousel or carousels.ITEMS_DEFAULT
        return so_far.after(_heard(near, gathered, wanted, count, reach))

    async def _ask(
        self,
        near: Near,
        rung: pb.Rung,
        request: pb.RecommendRequest,
        wanted: Sequence[str],
        so_far: Descent,
        asking: Asking,
    ) -> Gathered:
        roomy = pb.RecommendRequest.FromString(request_excluding(request, so_far.shown))
        # Beyond what callers may ask for: between router and shard that limit does not hold.
        roomy.items_per_carousel = SLACK * (request.items_per_carousel or carousels.ITEMS_DEFAULT)
        data, taste = roomy.SerializeToString(), near.vector.astype("<f4").tobytes()

        def request_for(numbers: Sequence[int]) -> bytes:
            return shard_pb2.PredictRequest(
                request=data,
                snapshot_version=near.view.version,
                partitions=numbers,
                carousels=wanted,
                vector=taste,
                rung=rung,
            ).SerializeToString()

        return await self._fanout.ask_many(
            near.view.version,
            near.partitions,
            request_for,
            asking.shards_by,
            asking.request_id,
            rung=rung,
            spent=so_far.reach.attempts,
        )


def _heard(near: Near, gathered: Gathered, wanted: Sequence[str], count: int, reach: Reach) -> Heard:
    """What several shards' answers bring, put together."""
    slates, unreadable = _decoded(gathered.answers)
    reasons = [*gathered.reasons]
    if slates:
        reasons.append(pb.REASON_FOLDED_IN)
    if unreadable:
        reasons.append(pb.REASON_SHARD_FAILED)
    if slates and (unreadable or gathered.answered < len(near.partitions)):
        reasons.append(pb.REASON_PARTITION_MISSING)
    made = merged([slate.carousels for slate in slates], wanted, count)
    return Heard(
        near.view.version,
        reach._replace(answered=gathered.answered),
        made,
        _left_open(wanted, made, gathered.answers) if slates else {},
        reasons,
        [slate.receipt for slate in slates],
        [failure for answer in gathered.answers for failure in failures_of(answer)],
    )


def _left_open(
    wanted: Sequence[str], made: Sequence[pb.Carousel], answers: Sequence[shard_pb2.PredictResponse]
) -> dict[str, pb.Reason]:
    """Why carousels are missing that no shard made: what one of them said, else that there was nothing left."""
    reasons = dict.fromkeys(wanted, pb.REASON_CAROUSEL_EMPTY)
    reasons.update((one.carousel, one.reason) for answer in answers for one in answer.missing)
    by_slot = slotted((carousel.id for carousel in made), wanted)
    return {slot: reasons[slot] for slot in wanted if not by_slot[slot]}


def _decoded(answers: Sequence[shard_pb2.PredictResponse]) -> tuple[list[pb.RecommendResponse], int]:
    """The slates that can be read, and how many cannot."""
    slates = []
    for answer in answers:
        try:
            slates.append(pb.RecommendResponse.FromString(answer.slate))
        except DecodeError:
            continue
    return slates, len(answers) - len(slates)
