"""The end of every slate: gaps filled from the router's own lists, or a shard's passed on; the receipt, the count."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from router.answering.counters import Answered, Counters
from router.asking.attempts import once
from router.served.route import Place
from router.served.views import View
from router.slates import ladder, receipt
from router.slates.descent import Descent
from router.slates.receipt import Asking, Reach
from router.slates.resident import Need
from trunkshow.errors import PartialAborted
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

SAME_MOMENT_S = 0.001
"""For so long a receipt's times hold."""


class _Said(NamedTuple):
    """The router's part of a receipt, when and of what it was written."""

    asking: Asking
    reach: Reach
    at: float
    part: bytes


class Finish:
    """Finishes slates.

    Args:
        counters: told of every slate.
        store_reachable: whether the snapshot store answers.
        clock: monotonic.
        reached: whether all newcomers to a view are known here whom the log has up to a watermark.
    """

    def __init__(
        self,
        counters: Counters,
        store_reachable: Callable[[], bool],
        clock: Clock,
        reached: Callable[[View, Watermark], bool] = lambda view, watermark: False,
    ) -> None:
        self._counters = counters
        self._store_reachable = store_reachable
        self._clock = clock
        self._reached = reached
        self._said: _Said | None = None

    def slate(
        self,
        so_far: Descent,
        request: pb.RecommendRequest,
        view: View,
        need: Need,
        asking: Asking,
        meant: str = "",
        *,
        counted: bool = True,
    ) -> bytes:
        """A serialised RecommendResponse.

        Args:
            so_far: what shards made.
            request: asked.
            view: that the answer is of (`router.slates.descent`, rule 5); what shards left open is made from it.
            need: the request, in rows of that view.
            asking: who asks.
            meant: the version that the answer was meant from; where empty, the one that was asked first, if any.
            counted: whether it is sent to the request's caller; else whoever sends it counts it.

        Raises:
            PartialAborted: the request would rather have this than a slate of so low a rung.
        """
        so_far = so_far.of_one_snapshot(partial(view.resident.narrowed, need=need))
        view.resident.avoid(need, so_far.hidden, so_far.had)
        slate, more = view.resident.complete(so_far.wanted, so_far.made, so_far.missing, need)
        now = self._clock()
        meant = meant or (so_far.heard[0].version if so_far.heard else "")
        if meant and self._counters.listeners:
            made, ms = (so_far.origins.get(slate[0].id) if slate else None) or view.version, _ms(asking, now)
            self._tell(meant, made, ladder.rung_of(slate), so_far, so_far.reach, ms)
        self._check_floor(slate, request)
        if counted:
            self._counters.served(slate)
        reasons = [*so_far.reasons, *more]
        # A shard that answered says so itself.
        if request.at_least_as_fresh and not so_far.receipts and not self._is_all_known(request, view):
            reasons.append(pb.REASON_NOT_AS_FRESH)
        if len(so_far.made) < len(slate) and not self._store_reachable():
            reasons.append(pb.REASON_STORE_UNREACHABLE)
        said = receipt.whole(
            asking,
            so_far.reach,
            slate,
            reasons,
            version=view.version,
            of_shards=so_far.receipts,
            failures=so_far.failures,
            now=now,
        )
        return pb.RecommendResponse(carousels=slate, receipt=said, intent=so_far.intent).SerializeToString()

    def _is_all_known(self, request: pb.RecommendRequest, view: View) -> bool:
        """Whether somebody is a stranger who did nothing, whatever the log has up to where the request asks for."""
        watermark = Watermark.parse(request.at_least_as_fresh)
        return self._reached(view, watermark) and view.is_stranger(request.user_id)

    def passed_on(
        self,
        so_far: Descent,
        meant: str,
        place: Place,
        answer: shard_pb2.PredictResponse,
        reach: Reach,
        asking: Asking,
    ) -> bytes:
        """A shard's slate as it came, with the router's part of the receipt behind it.

        Args:
            so_far: what came of the places asked before.
            meant: the version that the answer was meant from.
            place: that answered.
            answer: with nothing missing that is to be replaced.
            reach: of this place.
            asking: who asks.
        """
        rung = answer.rung or place.rung
        self._counters.passed_on(len(so_far.wanted) - len(answer.missing), rung)
        reasons = once((*so_far.reasons, *(one.reason for one in answer.missing)))
        if self._counters.listeners:
            whole = so_far.reach.plus(reach)
            self._tell(meant, place.view.version, rung, so_far, whole, _ms(asking, self._clock()))
        if reasons or so_far.heard:
            whole = so_far.reach.plus(reach._replace(answered=reach.asked))
            told = answer.slate + receipt.routers_part(asking, whole, reasons, so_far.failures, self._clock())
            # Of all that places asked before may have told, this alone a shard's own receipt may say as well.
            return receipt.reasons_once(told) if pb.REASON_REDUCED_EFFORT in reasons else told
        return answer.slate + self._plain(asking, reach)

    def _plain(self, asking: Asking, reach: Reach) -> bytes:
        """The router's part of a receipt of which nothing is to be said but whom this reached.

        It is written once for all of a batch who were answered in the same message: these have the very same values.
        """
        said, now = self._said, self._clock()
        if said is None or said.asking is not asking or said.reach is not reach or now - said.at > SAME_MOMENT_S:
            part = receipt.routers_part(asking, reach._replace(answered=reach.asked), (), (), now)
            self._said = said = _Said(asking, reach, now, part)
        return said.part

    def _tell(self, meant: str, made: str, rung: pb.Rung, so_far: Descent, reach: Reach, ms: float) -> None:
        failed = bool(so_far.failures) or any(one.failed for one in reach.attempts)
        self._counters.tell(Answered(meant, made, rung, failed, ms))

    def _check_floor(self, slate: list[pb.Carousel], request: pb.RecommendRequest) -> None:
        floor = ladder.floor_of(request)
        low = next((carousel for carousel in slate if carousel.rung > floor), None)
        if low is not None:
            self._counters.abort()
            names = pb.Rung.Name(low.rung), pb.Rung.Name(floor)
            message = f"{low.id} could be had of {names[0]} only, which is below {names[1]}"
            raise PartialAborted(message, field="worst_rung")


def _ms(asking: Asking, now: float) -> float:
    return (now - asking.arrived) * 1000
