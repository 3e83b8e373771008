"""The end of every slate that is put together here: gaps filled from the router's own lists, the receipt, the count."""

from __future__ import annotations

from collections.abc import Callable

from router import ladder, receipt
from router.counters import Answered, Counters
from router.descent import Descent
from router.receipt import Asking
from router.resident import Need
from router.views import View
from trunkshow.errors import PartialAborted
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb


class Finish:
    """Finishes slates.

    Args:
        counters: told of every slate.
        store_reachable: whether the snapshot store answers.
        clock: monotonic.
    """

    def __init__(self, counters: Counters, store_reachable: Callable[[], bool], clock: Clock) -> None:
        self._counters = counters
        self._store_reachable = store_reachable
        self._clock = clock

    def slate(self, so_far: Descent, request: pb.RecommendRequest, view: View, need: Need, asking: Asking) -> bytes:
        """A serialised RecommendResponse.

        Args:
            so_far: what shards made.
            request: asked.
            view: that what they left open is made from.
            need: the request, in rows of that view.
            asking: who asks.

        Raises:
            PartialAborted: the request would rather have this than a slate of so low a rung.
        """
        slate, more = view.resident.complete(so_far.wanted, so_far.made, so_far.missing, need)
        version = (so_far.origins.get(slate[0].id) if slate else None) or view.version
        now = self._clock()
        if so_far.heard and self._counters.listeners:
            self._tell(so_far, ladder.rung_of(slate), version, (now - asking.arrived) * 1000)
        self._check_floor(slate, request)
        self._counters.served(slate)
        reasons = [*so_far.reasons, *more]
        if len(so_far.made) < len(slate) and not self._store_reachable():
            reasons.append(pb.REASON_STORE_UNREACHABLE)
        said = receipt.whole(
            asking,
            so_far.reach,
            slate,
            reasons,
            version=version,
            of_shards=so_far.receipts,
            failures=so_far.failures,
            now=now,
        )
        return pb.RecommendResponse(carousels=slate, receipt=said).SerializeToString()

    def _tell(self, so_far: Descent, rung: pb.Rung, version: str, ms: float) -> None:
        failed = bool(so_far.failures) or any(one.failed for one in so_far.reach.attempts)
        self._counters.tell(Answered(so_far.heard[0].version, version, rung, failed, ms))

    def _check_floor(self, slate: list[pb.Carousel], request: pb.RecommendRequest) -> None:
        floor = ladder.floor_of(request)
        low = next((carousel for carousel in slate if carousel.rung > floor), None)
        if low is not None:
            self._counters.aborted += 1
            names = pb.Rung.Name(low.rung), pb.Rung.Name(floor)
            message = f"{low.id} could be had of {names[0]} only, which is below {names[1]}"
            raise PartialAborted(message, field="worst_rung")
