"""One user's slate, from the best rung that the time left allows.

    known user    → ask home → nothing missing          → the shard's bytes, passed on unread
                             → something missing        → ask the next place for that (`router.served.route`), and so on
                             → does not know the user   → as a stranger (`router.answering.strangers`)
    stranger      → items in hand → fold in, ask the nearest partitions, merge; then the previous snapshot's
                  → nothing in hand → the shop's own lists
    in the end    → what is still missing is made here (`router.slates.resident`)

What is asked for at each step is `router.slates.descent`'s to say; whom to ask, and how, `router.asking.fanout`'s. A
request that would rather have an error than a low rung gets one here, and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from router.answering.counters import Counters
from router.answering.finish import Finish
from router.answering.strangers import Strangers
from router.asking.fanout import Fanout
from router.cluster.watch import Board
from router.served import route
from router.served.route import Place
from router.served.views import View, Views
from router.slates import descent, ladder
from router.slates.descent import Descent, Heard
from router.slates.receipt import NOWHERE, Asking, Reach
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

WORTH_A_STEP_MS = 3.0
"""With less time left, no lower place is asked."""


class Plan(NamedTuple):
    """A request whose user is known, ready to be asked for.

    Attributes:
        data: the request as it arrived.
        request: parsed and valid.
        views: what was served when it arrived; leased by whoever holds the plan.
        place: that is asked first.
        meant: the version that the answer was meant from.
        wanted: carousels, in order.
        predict: what is asked there.
    """

    data: bytes
    request: pb.RecommendRequest
    views: Views
    place: Place
    meant: str
    wanted: tuple[str, ...]
    predict: shard_pb2.PredictRequest


class Recommender:
    """Makes slates.

    Args:
        fanout: to the shards.
        board: with the newest topology.
        counters: told of every slate.
        probes: partitions asked for a stranger with items in hand.
        store_reachable: whether the snapshot store answers.
        clock: monotonic.
        reached: whether all newcomers to a view are known here whom the log has up to a watermark.
    """

    def __init__(
        self,
        fanout: Fanout,
        board: Board,
        counters: Counters,
        *,
        probes: int,
        store_reachable: Callable[[], bool] = lambda: True,
        clock: Clock = monotonic,
        reached: Callable[[View, Watermark], bool] = lambda view, watermark: False,
    ) -> None:
        self._fanout = fanout
        self._board = board
        self._finish = Finish(counters, store_reachable, clock, reached)
        self._strangers = Strangers(fanout, board, self._finish, probes=probes, clock=clock)
        self._clock = clock

    def plan(self, data: bytes, request: pb.RecommendRequest, views: Views) -> Plan | None:
        """What to ask whom; None for a stranger."""
        place = route.first(request, views, self._board.topology)
        if place is None:
            return None
        wanted = place.view.wanted(request, impersonal=False)
        meant = route.meant(request, views, place)
        return Plan(data, request, views, place, meant, wanted, _predict(data, place, wanted))

    async def slate(self, data: bytes, request: pb.RecommendRequest, asking: Asking, views: Views) -> bytes:
        """A serialised RecommendResponse for a valid request.

        Args:
            data: the request as it arrived.
            request: the same, parsed.
            asking: who asks, and until when shards may be waited for.
            views: leased by the caller.

        Raises:
            PartialAborted: the request would rather have this than the slate that could be had.
        """
        plan = self.plan(data, request, views)
        if plan is None:
            return await self._strangers.slate(request, asking, views)
        answer, reasons, reach = await self._ask(plan, plan.place, plan.predict, asking, NOWHERE)
        return await self.answered(plan, asking, answer, reasons, reach)

    async def answered(
        self,
        plan: Plan,
        asking: Asking,
        answer: shard_pb2.PredictResponse | None,
        reasons: Sequence[pb.Reason],
        reach: Reach,
    ) -> bytes:
        """The slate of a known user, once the first place was asked.

        Raises:
            PartialAborted: as above.
        """
        if answer is not None and any(one.reason == pb.REASON_USER_UNKNOWN for one in answer.missing):
            before = reach._replace(answered=reach.asked)
            return await self._strangers.slate(plan.request, asking, plan.views, before, plan.meant)
        so_far = Descent(plan.wanted, reasons=self._told_first(plan))
        taken = self._taken(plan, plan.place, asking, so_far, answer, reasons, reach)
        if isinstance(taken, bytes):
            return taken
        taken = await self._descended(plan, asking, taken)
        if isinstance(taken, bytes):
            return taken
        view = plan.views.at(taken.version) or plan.place.view
        home = view.find(plan.request.user_id) or plan.place.home
        need = view.resident.need(plan.request, home.segment)
        return self._finish.slate(taken, plan.request, view, need, asking, plan.meant)

    def at_once(
        self,
        request: pb.RecommendRequest,
        asking: Asking,
        views: Views,
        reasons: Sequence[pb.Reason],
        *,
        counted: bool = True,
    ) -> bytes:
        """A slate from what the router holds itself, nobody asked, for these reasons; whoever keeps it counts it.

        Raises:
            PartialAborted: as above.
        """
        view, home = route.unasked(request, views)
        wanted = view.wanted(request, impersonal=home is None)
        need = view.resident.need(request, home.segment if home is not None else -1)
        return self._finish.slate(Descent(wanted, reasons=tuple(reasons)), request, view, need, asking, counted=counted)

    async def _descended(self, plan: Plan, asking: Asking, so_far: Descent) -> Descent | bytes:
        """The places below the first one, as long as there is something to ask for, and time."""
        for place in route.below(plan.place, plan.request, plan.views, self._board.topology):
            if not self._goes_on(so_far, place, plan.request, asking):
                break
            if so_far.worth_asking(place.held(self._board.topology)):
                taken = await self._step(plan, place, asking, so_far)
                if isinstance(taken, bytes):
                    return taken
                so_far = taken
        return so_far

    async def _step(self, plan: Plan, place: Place, asking: Asking, so_far: Descent) -> Descent | bytes:
        """One place below the first one."""
        wanted, shown = so_far.to_ask, so_far.shown
        data = descent.request_excluding(plan.request, shown) if shown else plan.data
        answer, reasons, reach = await self._ask(plan, place, _predict(data, place, wanted), asking, so_far.reach)
        if answer is not None and any(one.reason == pb.REASON_USER_UNKNOWN for one in answer.missing):
            return so_far.after(Heard(place.view.version, reach._replace(answered=reach.asked)))
        return self._taken(plan, place, asking, so_far, answer, reasons, reach)

    async def _ask(
        self, plan: Plan, place: Place, predict: shard_pb2.PredictRequest, asking: Asking, before: Reach
    ) -> tuple[shard_pb2.PredictResponse | None, Sequence[pb.Reason], Reach]:
        began = self._clock()
        until = self._until(plan, place, asking.shards_by, began)
        outcome = await self._fanout.ask(
            place.view.version,
            place.home.partition,
            predict.SerializeToString(),
            until,
            asking.request_id,
            rung=place.rung,
            stand_in=place.stand_in,
            waits=bool(plan.request.at_least_as_fresh),
            spent=before.attempts,
        )
        ms = (self._clock() - began) * 1000
        return outcome.answer, outcome.reasons, Reach.of(place.rung, 1, outcome.attempts, ms, until.remaining_ms(began))

    def _until(self, plan: Plan, place: Place, shards_by: Deadline, now: float) -> Deadline:
        """How long a place is waited for."""
        stand_ins = self._board.topology.stand_ins(place.view.version, place.home.partition)
        lower = not place.stand_in and (stand_ins or plan.views.earlier)
        return descent.share_of(shards_by, now) if lower else shards_by

    def _taken(
        self,
        plan: Plan,
        place: Place,
        asking: Asking,
        so_far: Descent,
        answer: shard_pb2.PredictResponse | None,
        reasons: Sequence[pb.Reason],
        reach: Reach,
    ) -> Descent | bytes:
        """An answer, passed on unread where it is all that was asked for, else what it brings on the way down."""
        high_enough = place.rung <= ladder.floor_of(plan.request)
        if answer is not None and high_enough and not so_far.made and _is_whole(answer, plan.wanted):
            return self._finish.passed_on(so_far, plan.meant, place, answer, reach, asking)
        return so_far.after(descent.heard_of_home(answer, reasons, place.view.version, reach))

    def _goes_on(self, so_far: Descent, place: Place, request: pb.RecommendRequest, asking: Asking) -> bool:
        """Whether there is anything to ask a lower place for, and time, and any use."""
        return bool(
            so_far.to_ask
            and place.rung <= ladder.floor_of(request)
            and asking.shards_by.remaining_ms(self._clock()) >= WORTH_A_STEP_MS
        )

    def _told_first(self, plan: Plan) -> tuple[pb.Reason, ...]:
        candidate = plan.views.candidate
        shown_first = candidate is not None and plan.place.view is candidate.view
        context = plan.place.view.resident.context_reasons(plan.request)
        return (pb.REASON_CANARY, *context) if shown_first else context


def _predict(data: bytes, place: Place, wanted: Sequence[str]) -> shard_pb2.PredictRequest:
    return shard_pb2.PredictRequest(
        request=data,
        snapshot_version=place.view.version,
        partitions=(place.home.partition,),
        carousels=wanted,
        rung=place.rung,
    )


def _is_whole(answer: shard_pb2.PredictResponse, wanted: Sequence[str]) -> bool:
    """Whether nothing that is missing is to be replaced."""
    if not answer.missing:
        return bool(answer.slate)
    return len(answer.missing) < len(wanted) and all(
        ladder.left_out(one.carousel, one.reason, wanted) for one in answer.missing
    )
