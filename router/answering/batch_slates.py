"""What each user of a batch gets: a slate of their own, a resident one, or, where that is right, none.

Nobody suffers from another: what breaks for one user, or is refused, costs that one alone a rung or the slate. When who
is asked is left to `router.answering.batch_run`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from router.answering import last_resort
from router.answering.batch_time import BatchTime
from router.answering.batch_views import BatchViews
from router.answering.chunks import Member
from router.answering.recommend import Recommender
from router.served.views import Views
from router.slates.receipt import Asking, slateless
from trunkshow.errors import PartialAborted
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb

TAKEN_BACK = (pb.REASON_SNAPSHOT_MISMATCH,)
"""Why somebody gets a resident slate whose own was of a version that was taken back, and then once more."""

UNKNOWN_BY_NOW = pb.REASON_SNAPSHOT_MISMATCH
"""Why somebody gets none who named what only a version knew that was taken back."""

Shed = Callable[[pb.RecommendRequest, Asking, Views], bytes]
"""Makes the slate of one who is turned away; may raise PartialAborted."""


class BatchSlates:
    """Makes the slates of one batch.

    Args:
        recommender: for one user at a time.
        shed: for one who is turned away.
        views: that the batch goes by.
        time: that it has.
        clock: monotonic.
    """

    def __init__(self, recommender: Recommender, shed: Shed, views: BatchViews, time: BatchTime, clock: Clock) -> None:
        self._recommender = recommender
        self._shed = shed
        self._views = views
        self._time = time
        self._clock = clock

    async def alone(self, member: Member) -> bytes:
        """Of a user who is asked for alone."""
        if not self._views.admit(member.request):
            return self._unmade(UNKNOWN_BY_NOW)
        return await self._recommender.slate(member.data, member.request, self._time.now(), self._views.now)

    async def turned_away(self, member: Member) -> bytes:
        """Of one there is no room for."""
        if not self._views.admit(member.request):
            return self._unmade(UNKNOWN_BY_NOW)
        return self._shed(member.request, self._time.asking, self._views.now)

    async def at_once(self, member: Member, reasons: Sequence[pb.Reason]) -> bytes:
        """One for which nobody is asked."""
        if not self._views.admit(member.request):
            return self._unmade(UNKNOWN_BY_NOW)
        return self._recommender.at_once(member.request, self._time.asking, self._views.now, reasons)

    async def settled(self, member: Member, slate: Awaitable[bytes]) -> bytes:
        """The slate, or what one gets who has none."""
        try:
            return await self._made(member, slate)
        except PartialAborted:  # this member's choice; the others' slates come
            return self._unmade(pb.REASON_PARTIAL_ABORTED)

    async def _made(self, member: Member, slate: Awaitable[bytes]) -> bytes:
        try:
            return await slate
        except PartialAborted:
            raise
        except Exception as error:  # nor do the others suffer from a bug
            last_resort.report(error, self._time.asking.request_id)
            return await self.at_once(member, last_resort.REASONS)

    def _unmade(self, reason: pb.Reason) -> bytes:
        return slateless(self._time.asking, reason, self._clock())
