"""One user's slate from the partitions at hand. No I/O but mapped reads, no waiting: it runs on the event loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import structlog
from google.protobuf.message import DecodeError

from trunkshow import carousels
from trunkshow.errors import InvalidArgument, SnapshotMismatch
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Query
from trunkshow.serving.telemetry import Throttle
from trunkshow.slate import Missing, SlateMaker
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

log = structlog.get_logger()


class Predictor:
    """Answers predictions over one snapshot.

    Args:
        snapshot: opened.
        warm: its partitions that may be asked, by number; the caller adds to it as they come up.
    """

    def __init__(self, snapshot: Snapshot, warm: Mapping[int, Partition]) -> None:
        self._snapshot = snapshot
        self._catalogue = snapshot.catalogue
        self._maker = SlateMaker(snapshot)
        self._warm = warm
        self._throttle = Throttle()  # a model that fails may fail every request
        self._vector_bytes = 4 * snapshot.ials.factors

    def predict(self, asked: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        """The slate, serialised, and the carousels that could not be made.

        Raises:
            SnapshotMismatch: the snapshot or a partition is not one that this shard holds warm.
            InvalidArgument: the wrapped request is no request, no partition is named, or the vector is another model's.
        """
        began = time.perf_counter()
        if asked.snapshot_version != self._snapshot.version:
            message = f"this shard serves {self._snapshot.version}, not {asked.snapshot_version}"
            raise SnapshotMismatch(message)
        try:
            shelves = [self._warm[number] for number in asked.partitions]
        except KeyError as error:
            raise SnapshotMismatch(f"partition {error} is not warm here") from None
        if not shelves:
            raise InvalidArgument("partitions: none; name at least one", field="partitions")
        if asked.vector and len(asked.vector) != self._vector_bytes:
            message = f"vector: {len(asked.vector)} bytes; this snapshot's have {self._vector_bytes}"
            raise InvalidArgument(message, field="vector")
        request = parse(asked.request)
        made, missing = self._slate(request, shelves, asked.carousels, asked.vector)
        for lost in missing:
            if lost.error is not None:
                self._throttle.log(log.error, "model.failed", carousel=lost.carousel, exc_info=lost.error)
        receipt = pb.Receipt(
            rung=made[0].rung if made else pb.RUNG_UNSPECIFIED,
            snapshot_version=self._snapshot.version,
            stages=[pb.Stage(name="predict", ms=(time.perf_counter() - began) * 1000)],
        )
        slate = pb.RecommendResponse(carousels=made, receipt=receipt)
        return shard_pb2.PredictResponse(
            slate=slate.SerializeToString(),
            missing=[shard_pb2.Missing(carousel=lost.carousel, reason=lost.reason) for lost in missing],
        )

    def warm_up(self, opened: Partition, requests: int) -> None:
        """Answer requests of users who live in a partition, so that its pages are in memory and its indexes work.

        Raises:
            RuntimeError: a model raised: the partition would not answer.
        """
        for user_id in opened.sample_users(requests):
            request = pb.RecommendRequest(user_id=user_id)
            _, missing = self._slate(request, [opened], carousels.SURFACES[carousels.DEFAULT_SURFACE], b"")
            for lost in missing:
                if lost.error is not None:
                    raise RuntimeError(f"{lost.carousel} for user {user_id}: {lost.error!r}") from lost.error

    def _slate(
        self, request: pb.RecommendRequest, shelves: Sequence[Partition], wanted: Sequence[str], vector: bytes
    ) -> tuple[list[pb.Carousel], list[Missing]]:
        user = None if vector else shelves[0].user(request.user_id)
        if user is None and not vector:
            return [], [Missing(carousel, pb.REASON_USER_UNKNOWN) for carousel in wanted]
        query = self._query(request, user, vector)
        taken = {row for item in request.exclude_item_ids if (row := self._catalogue.row(item)) is not None}
        taken.update(query.context)
        if not (self._snapshot.repeat or request.include_seen):
            taken.update(query.history.tolist())
        return self._maker.make(
            wanted,
            query,
            shelves,
            count=request.items_per_carousel or carousels.ITEMS_DEFAULT,
            rung=pb.RUNG_SNAPSHOT,
            taken=taken,
        )

    def _query(self, request: pb.RecommendRequest, user: UserRecord | None, vector: bytes) -> Query:
        context = [row for item in request.context_item_ids if (row := self._catalogue.row(item)) is not None]
        chosen = self._catalogue.filter(request.filters if request.HasField("filters") else None)
        if user is None:
            taste, history, weights, segment = np.frombuffer(vector, np.float32), NO_ROWS, NO_FLOATS, -1
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
