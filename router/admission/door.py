"""The door for pages: who is worked for with shards, and who gets a resident slate at once.

    shed      the router works on as many slates as its limit allows (`router.admission.limiter`)
    in haste  the caller's deadline has all but passed: no shard could answer in it
    admitted  everybody else; what the router takes for it after the shards is learned (`router.admission.reserve`)
    broken    of these, where the router itself fails (`router.answering.last_resort`)

Nobody waits at this door.
"""

from __future__ import annotations

from router.admission.limiter import Limiter
from router.admission.reserve import Reserve
from router.admission.shed import ResidentSlates
from router.answering import last_resort
from router.answering.counters import Counters
from router.answering.recommend import Recommender
from router.asking.fanout import Fanout
from router.served import route
from router.served.views import Views
from router.slates.receipt import Asking
from trunkshow.errors import InvalidArgument, PartialAborted
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb

WORTH_ADMITTING_MS = 3.0
"""With less time for shards, nobody is asked."""

SHED = (pb.REASON_OVERLOADED,)
IN_HASTE = (pb.REASON_SHARD_LATE,)


class Admission:
    """Admits pages, each for one shopper who waits.

    Args:
        recommender: makes them.
        fanout: that it asks shards with.
        limiter: of how many at a time.
        reserve: that is learned.
        counters: told of every slate.
        clock: monotonic.
    """

    def __init__(
        self,
        recommender: Recommender,
        fanout: Fanout,
        limiter: Limiter,
        reserve: Reserve,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._recommender = recommender
        self._fanout = fanout
        self._limiter = limiter
        self._reserve = reserve
        self._resident = ResidentSlates(counters, clock)
        self._clock = clock

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
        began = self._clock()
        if asking.shards_by.remaining_ms(began) < WORTH_ADMITTING_MS:
            return self.at_once(request, asking, views, IN_HASTE)
        if not self._limiter.admit():
            return self.shed(request, asking, views)
        try:
            slate = await self._recommender.slate(data, request, asking, views)
            self._learn(began, asking)
            return slate
        except (PartialAborted, InvalidArgument):
            raise
        except Exception as error:
            last_resort.report(error, asking.request_id)
            return self.at_once(request, asking, views, last_resort.REASONS)
        finally:
            self._limiter.leave()

    def shed(self, request: pb.RecommendRequest, asking: Asking, views: Views) -> bytes:
        """The same for one who is turned away; of a batch as well (`router.admission.line`)."""
        return self.at_once(request, asking, views, SHED)

    def at_once(
        self, request: pb.RecommendRequest, asking: Asking, views: Views, reasons: tuple[pb.Reason, ...]
    ) -> bytes:
        """A slate of resident lists, for these reasons.

        Raises:
            PartialAborted: as above.
        """
        if request.partial == pb.PARTIAL_ABORT:
            return self._recommender.at_once(request, asking, views, reasons)

        def make(one: pb.RecommendRequest) -> bytes:
            return self._recommender.at_once(one, asking, views, reasons, counted=False)

        return self._resident.slate(request, asking, route.unasked(request, views)[0], reasons, make)

    def _learn(self, began: float, asking: Asking) -> None:
        """What the router took after its shards' answers, where it asked any.

        Nothing else ran since the last asking of this request returned, so that the fanout's last one is this one's.
        """
        answered = self._fanout.last_asked_until
        if answered < began:
            return
        late = answered >= asking.shards_by.at
        now = self._clock()
        self._reserve.learn((now - min(answered, asking.shards_by.at)) * 1000, late=late)
