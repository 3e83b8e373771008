"""One user's slate from the partitions at hand. Mapped reads are its only I/O: it runs on the event loop.

It waits for nothing but plugged-in models, which are asked on threads of their own (`shard.isolation`), and for events
that are to be in the slate, where the request says so (`shard.online.freshness`). While it does, and as long as such a
thread works, what it reads from is kept open: whoever holds a partition may close it at any time. How much work a
prediction gets is `shard.effort`'s to say; who asks, and where it is looked, `shard.seats`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import structlog

from shard import limits
from shard import receipt as receipts
from shard.again import Again
from shard.apart import Apart
from shard.effort import WORK, Costs, partitions_of
from shard.kept import Kept
from shard.online.freshness import NOTHING_KNOWN, known, waited
from shard.online.port import NOTHING_ONLINE, Online
from shard.seats import Seat, Seats, parse
from trunkshow import carousels, pacing
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.errors import Overloaded
from trunkshow.models.protocol import NO_FLOATS
from trunkshow.models.trending import TrendingNow
from trunkshow.proposals import FULL
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.slate import Missing, SlateMaker
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

log = structlog.get_logger()

Response = shard_pb2.PredictResponse

STAND_IN_PARTITIONS = 4
"""Partitions, of those warm here, that a stand-in's slate is made from (docs/adr/0012-stand-ins.md)."""

MODEL_SHARE = 0.8
"""Of the time left, for plugged-in models."""

MODEL_MS_MAX = 150.0
"""For plugged-in models, however much time is left: a caller who waits for seconds need not wait for them."""

WARM_MODEL_S = 1.0
"""For a plugged-in model while a partition is warmed: it may read its files for the first time."""

UNFIT_TO_WARM = frozenset({pb.REASON_MODEL_FAILED, pb.REASON_MODEL_NONSENSE})

MODEL_FAILURES = metrics.counter(
    "trunkshow_model_failures_total", "Carousels that a model could not make, by reason.", ("model", "reason")
)


class Predictor:
    """Answers predictions over one snapshot.

    Args:
        snapshot: opened.
        warm: its partitions that may be asked, by number; the caller adds to it as they come up.
        stand_ins: compact copies of the users of partitions that are held elsewhere, by number, as they come up.
        online: what users did since the snapshot.
        apart: who asks plugged-in models; one of its own where None. Predictors over the same snapshot share one, since
            a model that hangs would otherwise hang threads of each.
        clock: seconds, monotonic.

    Attributes:
        apart: who asks plugged-in models.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        warm: Mapping[int, Partition],
        stand_ins: Mapping[int, StandIns] = MappingProxyType({}),
        online: Online = NOTHING_ONLINE,
        *,
        apart: Apart | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self._snapshot = snapshot
        trending = TrendingNow(snapshot.catalogue, snapshot.segment_names, lambda: online.trends)
        self._maker = SlateMaker(snapshot, [trending])
        self._seats = Seats(snapshot, warm, stand_ins, online)
        self._online = online
        self._again = Again(snapshot, warm, online, self._maker.proposer)
        self._clock = clock
        self._costs = Costs()
        self.apart = apart or Apart(self._maker)
        self._throttle = Throttle()  # a model that fails may fail every request

    async def predict(
        self,
        asked: shard_pb2.PredictRequest,
        deadline: Deadline | None = None,
        keep: Callable[[Kept], None] | None = None,
    ) -> Response:
        """The slate, serialised, and the carousels that could not be made.

        Args:
            asked: for what.
            deadline: by when the answer is of use; any time where None.
            keep: told of a slate that may be sent again.

        Raises:
            SnapshotMismatch: the snapshot, a partition, or the copy of its users is not one that this shard holds warm.
            InvalidArgument: the wrapped request is no request, no partition is named, the vector is another model's, or
                it is more than a router asks.
            Overloaded: the time left is too short for any slate.
        """
        self._seats.refuse_what_is_not_here(asked)
        looked_in = STAND_IN_PARTITIONS if asked.rung == pb.RUNG_STAND_IN else len(asked.partitions)
        request = parse(asked.request)
        limits.check(asked, request)
        came = self._clock()
        as_fresh = not request.at_least_as_fresh or await self._as_fresh(asked, request, looked_in, deadline)
        began = self._clock() if request.at_least_as_fresh else came
        waited_ms = (began - came) * 1000
        effort = self._effort(began, looked_in, deadline)
        seat = self._seats.seat(asked, request, partitions_of(effort, looked_in))
        if not seat.shelves:
            missing = [Missing(carousel, pb.REASON_USER_UNKNOWN) for carousel in asked.carousels]
            told = receipts.made(effort, NOTHING_KNOWN, seat, as_fresh=as_fresh)
            return self._response(b"", pb.RUNG_UNSPECIFIED, missing, told, began, waited_ms)
        knows = known(self._online, asked, request.user_id)
        told = receipts.made(effort, knows, seat, as_fresh=as_fresh)
        asking = self._seats.asking(request, seat, asked.carousels, WORK[effort])
        waited = 0.0
        if apart := self._maker.proposer.apart(asked.carousels):
            asked_at = self._clock()
            async with self.apart.asked(apart, asking, self._model_s(deadline)) as (own, proposals):
                waited = self._clock() - asked_at
                made, missing = self._maker.make(own, knows.rung, proposals)
        else:
            made, missing = self._maker.make(asking, knows.rung)
        if seat.lately is not None and seat.lately.intent is not None:
            told.intent.CopyFrom(seat.lately.intent)
        shown = pb.RecommendResponse(carousels=made).SerializeToString()
        rung = made[0].rung if made else pb.RUNG_UNSPECIFIED
        if keep is not None and not missing and self._again.may(asked, request, effort, seat):
            keep(self._again.kept(asked, request, rung, shown, began))
        response = self._response(shown, rung, missing, told, began, waited_ms)
        if missing:
            response.hidden.extend(self._seats.hidden(seat))
            response.had.extend(self._seats.had(request, seat))
        # Without the wait, which has a limit of its own: a model that hangs must not make the work look dear.
        self._costs.learn(effort, looked_in, (self._clock() - began - waited) * 1000)
        return response

    def again(self, kept: Kept) -> Response | None:
        """A slate that was kept, with a receipt of now; None where it is not what would be made."""
        now = self._clock()
        knows = self._again.holds(kept, now)
        if knows is None:
            return None
        told = receipts.sent_again(knows, (now - kept.made_at) * 1000)
        return self._response(kept.carousels, kept.rung, (), told, now)

    def warm_up(self, opened: Partition, requests: int) -> None:
        """Answer requests of users who live in a partition, so that its pages are in memory and its indexes work.

        Raises:
            RuntimeError: one of our models raised: the partition would not answer.
        """
        for user_id in opened.sample_users(requests):
            self._replay(user_id, Seat(opened.user(user_id), NO_FLOATS, [opened]), pb.RUNG_SNAPSHOT)
            pacing.rest()

    def warm_up_stand_ins(self, opened: StandIns, requests: int) -> None:
        """Answer for users whom the copies stand for, so that their pages are in memory and their records can be read.

        The catalogue's shelf stands for the partitions: those are warm already, and in use by another thread.

        Raises:
            RuntimeError: one of our models raised: the copies would not answer.
        """
        for user_id in opened.sample_users(requests):
            seat = Seat(opened.user(user_id), NO_FLOATS, [CatalogueShelf(self._snapshot.ials.vectors)])
            self._replay(user_id, seat, pb.RUNG_STAND_IN)
            pacing.rest()

    def _replay(self, user_id: str, seat: Seat, rung: pb.Rung) -> None:
        wanted = (*carousels.SURFACES[carousels.DEFAULT_SURFACE], *sorted(self._maker.proposer.isolated))
        asking = self._seats.asking(pb.RecommendRequest(user_id=user_id), seat, tuple(dict.fromkeys(wanted)), FULL)
        apart = self._maker.proposer.apart(asking.wanted)
        _, missing = self._maker.make(asking, rung, self.apart.proposals_blocking(apart, asking, WARM_MODEL_S))
        for lost in missing:
            if isinstance(lost.error, (OSError, MemoryError)) and lost.carousel not in apart:
                raise lost.error  # of this machine, maybe: who opens the partition can tell
            if lost.reason in UNFIT_TO_WARM and lost.carousel not in apart:
                # Neither the user nor the model's own words: this is logged.
                raise RuntimeError(f"{lost.carousel}: {type(lost.error).__name__}") from lost.error
        self._report(missing)

    def _model_s(self, deadline: Deadline | None) -> float:
        """Seconds that plugged-in models get: the slate has still to be made of what they propose."""
        if deadline is None:
            return MODEL_MS_MAX / 1000
        return min(MODEL_SHARE * deadline.remaining_ms(self._clock()), MODEL_MS_MAX) / 1000

    def _effort(self, now: float, partitions: int, deadline: Deadline | None) -> pb.Effort:
        if deadline is None:
            return pb.EFFORT_FULL
        remaining = deadline.remaining_ms(now)
        effort = self._costs.choose(remaining, partitions)
        if effort == pb.EFFORT_UNSPECIFIED:
            message = f"{remaining:.1f} ms are left; that is too short for any slate"
            raise Overloaded(message, reason="TIME_TOO_SHORT")
        return effort

    async def _as_fresh(
        self, asked: shard_pb2.PredictRequest, request: pb.RecommendRequest, partitions: int, deadline: Deadline | None
    ) -> bool:
        """Whether the slate will be as fresh as it is to be; waited for as long as there is time beside making it."""
        left_ms = deadline.remaining_ms(self._clock()) if deadline is not None else 0.0
        return await waited(self._online, asked, request, self._costs.spare_ms(left_ms, partitions) / 1000)

    def _response(
        self,
        shown: bytes,
        rung: pb.Rung,
        missing: Sequence[Missing],
        told: pb.RecommendResponse,
        began: float,
        waited_ms: float = 0.0,
    ) -> Response:
        """An answer: the carousels as they are, and behind them a receipt that says so far what it rests on."""
        receipt = told.receipt
        receipt.rung, receipt.snapshot_version = rung, self._snapshot.version
        receipt.stages.add(name="predict", ms=(self._clock() - began) * 1000)
        response = Response(slate=shown + told.SerializeToString(), rung=rung, waited_ms=waited_ms)
        if missing:
            self._report(missing)
            for one in missing:
                response.missing.add(carousel=one.carousel, reason=one.reason, model=one.model)
        return response

    def _report(self, missing: Sequence[Missing]) -> None:
        for lost in missing:
            if lost.model:
                MODEL_FAILURES.labels(lost.model, pb.Reason.Name(lost.reason)).inc()
                why = pb.Reason.Name(lost.reason)
                self._throttle.log(
                    log.error, "model.failed", carousel=lost.carousel, model=lost.model, why=why, exc_info=lost.error
                )
