"""One user's slate from the partitions at hand. No I/O but mapped reads, no waiting: it runs on the event loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import structlog
from google.protobuf.message import DecodeError

from trunkshow import carousels
from trunkshow.errors import InvalidArgument, SnapshotMismatch
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Floats, Query, Shelf
from trunkshow.serving.deadline import Deadline
from trunkshow.serving.telemetry import Throttle
from trunkshow.slate import CatalogueShelf, Missing, SlateMaker
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

log = structlog.get_logger()

Response = shard_pb2.PredictResponse

STAND_IN_PARTITIONS = 2
"""Partitions, of those warm here, that a stand-in's slate is made from (docs/adr/0012-stand-ins.md)."""


class Seat(NamedTuple):
    """Where a request is seated.

    Attributes:
        user: who asks, as a partition or a stand-in knows them; None for anybody else.
        vector: (factors,) float32 of somebody whom the router folded in; empty for a user.
        shelves: of the partitions to look in.
    """

    user: UserRecord | None
    vector: Floats
    shelves: Sequence[Shelf]


class Predictor:
    """Answers predictions over one snapshot.

    Args:
        snapshot: opened.
        warm: its partitions that may be asked, by number; the caller adds to it as they come up.
        stand_ins: compact copies of the users of partitions that are held elsewhere, by number, as they come up.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        warm: Mapping[int, Partition],
        stand_ins: Mapping[int, StandIns] = MappingProxyType({}),
    ) -> None:
        self._snapshot = snapshot
        self._catalogue = snapshot.catalogue
        self._maker = SlateMaker(snapshot)
        self._warm = warm
        self._stand_ins = stand_ins
        self._throttle = Throttle()  # a model that fails may fail every request
        self._vector_bytes = 4 * snapshot.ials.factors

    async def predict(self, asked: shard_pb2.PredictRequest, deadline: Deadline | None = None) -> Response:
        """The slate, serialised, and the carousels that could not be made.

        Args:
            asked: for what.
            deadline: by when the answer is of use; any time where None.

        Raises:
            SnapshotMismatch: the snapshot, a partition, or the copy of its users is not one that this shard holds warm.
            InvalidArgument: the wrapped request is no request, no partition is named, or the vector is another model's.
        """
        del deadline
        began = time.perf_counter()
        self._refuse_what_is_not_here(asked)
        request = parse(asked.request)
        rung = asked.rung or pb.RUNG_SNAPSHOT
        made, missing = self._slate(request, self._seat(asked, request), asked.carousels, rung)
        for lost in missing:
            if lost.error is not None:
                self._throttle.log(log.error, "model.failed", carousel=lost.carousel, exc_info=lost.error)
        receipt = pb.Receipt(
            rung=made[0].rung if made else pb.RUNG_UNSPECIFIED,
            snapshot_version=self._snapshot.version,
            stages=[pb.Stage(name="predict", ms=(time.perf_counter() - began) * 1000)],
        )
        slate = pb.RecommendResponse(carousels=made, receipt=receipt)
        return Response(
            slate=slate.SerializeToString(),
            missing=[shard_pb2.Missing(carousel=lost.carousel, reason=lost.reason) for lost in missing],
        )

    def warm_up(self, opened: Partition, requests: int) -> None:
        """Answer requests of users who live in a partition, so that its pages are in memory and its indexes work.

        Raises:
            RuntimeError: a model raised: the partition would not answer.
        """
        for user_id in opened.sample_users(requests):
            self._replay(user_id, Seat(opened.user(user_id), NO_FLOATS, [opened]), pb.RUNG_SNAPSHOT)

    def warm_up_stand_ins(self, opened: StandIns, requests: int) -> None:
        """Answer for users whom the copies stand for, so that their pages are in memory and their records can be read.

        The catalogue's shelf stands for the partitions: those are warm already, and in use by another thread.

        Raises:
            RuntimeError: a model raised: the copies would not answer.
        """
        for user_id in opened.sample_users(requests):
            seat = Seat(opened.user(user_id), NO_FLOATS, [CatalogueShelf(self._snapshot.ials.vectors)])
            self._replay(user_id, seat, pb.RUNG_STAND_IN)

    def _replay(self, user_id: str, seat: Seat, rung: pb.Rung) -> None:
        request = pb.RecommendRequest(user_id=user_id)
        _, missing = self._slate(request, seat, carousels.SURFACES[carousels.DEFAULT_SURFACE], rung)
        for lost in missing:
            if lost.error is not None:
                # Neither the user nor the model's own words: this is logged.
                raise RuntimeError(f"{lost.carousel}: {type(lost.error).__name__}") from lost.error

    def _refuse_what_is_not_here(self, asked: shard_pb2.PredictRequest) -> None:
        if asked.snapshot_version != self._snapshot.version:
            message = f"this shard serves {self._snapshot.version}, not {asked.snapshot_version}"
            raise SnapshotMismatch(message)
        if not asked.partitions:
            raise InvalidArgument("partitions: none; name at least one", field="partitions")
        if asked.vector and len(asked.vector) != self._vector_bytes:
            message = f"vector: {len(asked.vector)} bytes; this snapshot's have {self._vector_bytes}"
            raise InvalidArgument(message, field="vector")

    def _seat(self, asked: shard_pb2.PredictRequest, request: pb.RecommendRequest) -> Seat:
        """Who asks, as far as this shard knows them, and the partitions to look in."""
        if asked.rung == pb.RUNG_STAND_IN:
            return self._stand_in_seat(asked.partitions[0], request.user_id)
        try:
            shelves = [self._warm[number] for number in asked.partitions]
        except KeyError as error:
            raise SnapshotMismatch(f"partition {error} is not warm here") from None
        if asked.vector:
            return Seat(None, np.frombuffer(asked.vector, np.float32), shelves)
        return Seat(shelves[0].user(request.user_id), NO_FLOATS, shelves)

    def _stand_in_seat(self, home: int, user_id: str) -> Seat:
        """The compact copy of a user who lives elsewhere, and the warm partitions nearest to their taste."""
        if home not in self._stand_ins:
            raise SnapshotMismatch(f"no stand-ins of partition {home} here")
        user = self._stand_ins[home].user(user_id)
        if user is None:
            return Seat(None, NO_FLOATS, ())
        codebook, warm = self._snapshot.codebook, self._warm
        nearest = [warm[number] for number in codebook.probe(user.vector, self._snapshot.partitions) if number in warm]
        if not nearest:
            raise SnapshotMismatch("no partition is warm here, so that nothing can stand in")
        return Seat(user, NO_FLOATS, nearest[:STAND_IN_PARTITIONS])

    def _slate(
        self, request: pb.RecommendRequest, seat: Seat, wanted: Sequence[str], rung: pb.Rung
    ) -> tuple[list[pb.Carousel], list[Missing]]:
        if seat.user is None and not len(seat.vector):
            return [], [Missing(carousel, pb.REASON_USER_UNKNOWN) for carousel in wanted]
        query = self._query(request, seat)
        taken = {row for item in request.exclude_item_ids if (row := self._catalogue.row(item)) is not None}
        taken.update(query.context)
        if not (self._snapshot.repeat or request.include_seen):
            taken.update(query.history.tolist())
        return self._maker.make(
            wanted,
            query,
            seat.shelves,
            count=request.items_per_carousel or carousels.ITEMS_DEFAULT,
            rung=rung,
            taken=taken,
        )

    def _query(self, request: pb.RecommendRequest, seat: Seat) -> Query:
        user = seat.user
        context = [row for item in request.context_item_ids if (row := self._catalogue.row(item)) is not None]
        chosen = self._catalogue.filter(request.filters if request.HasField("filters") else None)
        if user is None:
            taste, history, weights, segment = seat.vector, NO_ROWS, NO_FLOATS, -1
        else:
            taste, history, weights, segment = user.vector, user.items, user.weights, user.segment
            if context:
                taste = self._snapshot.ials.with_context(history, weights, np.array(context, np.int32))
        return Query(
            vector=taste,
            history=history,
            weights=weights,
            context=context,
            segment=segment,
            categories=chosen.categories,
            mask=chosen.mask,
        )


def parse(request: bytes) -> pb.RecommendRequest:
    """The wrapped request.

    Raises:
        InvalidArgument: malformed bytes.
    """
    try:
        return pb.RecommendRequest.FromString(request)
    except DecodeError as error:
        message = "request: the bytes are no RecommendRequest"
        raise InvalidArgument(message, field="request", reason="MALFORMED_REQUEST") from error
