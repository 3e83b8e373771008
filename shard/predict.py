"""One user's slate from the partitions at hand. Mapped reads are its only I/O: it runs on the event loop.

It waits for nothing but plugged-in models, which are asked on threads of their own (`shard.isolation`). While it does,
and as long as such a thread works, what it reads from is kept open: whoever holds a partition may close it at any time.
How much work a prediction gets is `shard.effort`'s to say; who asks, and where it is looked, `shard.seats`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import structlog

from shard.apart import Apart
from shard.effort import WORK, Costs, partitions_of
from shard.seats import Seat, Seats, parse
from trunkshow import carousels, pacing
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.errors import Overloaded
from trunkshow.models.protocol import NO_FLOATS
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
        *,
        apart: Apart | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._maker = SlateMaker(snapshot)
        self._seats = Seats(snapshot, warm, stand_ins)
        self._clock = clock
        self._costs = Costs()
        self.apart = apart or Apart(self._maker)
        self._throttle = Throttle()  # a model that fails may fail every request

    async def predict(self, asked: shard_pb2.PredictRequest, deadline: Deadline | None = None) -> Response:
        """The slate, serialised, and the carousels that could not be made.

        Args:
            asked: for what.
            deadline: by when the answer is of use; any time where None.

        Raises:
            SnapshotMismatch: the snapshot, a partition, or the copy of its users is not one that this shard holds warm.
            InvalidArgument: the wrapped request is no request, no partition is named, or the vector is another model's.
            Overloaded: the time left is too short for any slate.
        """
        began = self._clock()
        self._seats.refuse_what_is_not_here(asked)
        looked_in = STAND_IN_PARTITIONS if asked.rung == pb.RUNG_STAND_IN else len(asked.partitions)
        effort = self._effort(began, looked_in, deadline)
        request = parse(asked.request)
        seat = self._seats.seat(asked, request, partitions_of(effort, looked_in))
        if not seat.shelves:
            made: list[pb.Carousel] = []
            missing = [Missing(carousel, pb.REASON_USER_UNKNOWN) for carousel in asked.carousels]
            return self._response(made, missing, effort, began)
        asking = self._seats.asking(request, seat, asked.carousels, WORK[effort])
        rung = asked.rung or pb.RUNG_SNAPSHOT
        waited = 0.0
        if apart := self._maker.proposer.apart(asked.carousels):
            asked_at = self._clock()
            async with self.apart.asked(apart, asking, self._model_s(deadline)) as (own, proposals):
                waited = self._clock() - asked_at
                made, missing = self._maker.make(own, rung, proposals)
        else:
            made, missing = self._maker.make(asking, rung)
        response = self._response(made, missing, effort, began)
        # Without the wait, which has a limit of its own: a model that hangs must not make the work look dear.
        self._costs.learn(effort, looked_in, (self._clock() - began - waited) * 1000)
        return response

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

    def _response(
        self, made: Sequence[pb.Carousel], missing: Sequence[Missing], effort: pb.Effort, began: float
    ) -> Response:
        if missing:
            self._report(missing)
        receipt = pb.Receipt(
            rung=made[0].rung if made else pb.RUNG_UNSPECIFIED,
            snapshot_version=self._snapshot.version,
            stages=[pb.Stage(name="predict", ms=(self._clock() - began) * 1000)],
            effort=effort,
            reasons=() if effort == pb.EFFORT_FULL else (pb.REASON_REDUCED_EFFORT,),
        )
        slate = pb.RecommendResponse(carousels=made, receipt=receipt)
        return Response(
            slate=slate.SerializeToString(),
            missing=[shard_pb2.Missing(carousel=one.carousel, reason=one.reason, model=one.model) for one in missing],
        )

    def _report(self, missing: Sequence[Missing]) -> None:
        for lost in missing:
            if lost.model:
                MODEL_FAILURES.labels(lost.model, pb.Reason.Name(lost.reason)).inc()
                why = pb.Reason.Name(lost.reason)
                self._throttle.log(
                    log.error, "model.failed", carousel=lost.carousel, model=lost.model, why=why, exc_info=lost.error
                )
