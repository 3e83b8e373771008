"""Where a request is seated: who asks, as far as this shard knows them, which partitions are looked in, what is asked.

A user who lives here is read from their partition, with what they did since folded in (`shard.online`), one who lives
elsewhere from the compact copy that stands in for it, and a stranger comes with a vector that the router folded in.
What is not here is refused, so that the router asks somebody else. Mapped reads are the only I/O; what becomes of what
is asked is left to `shard.predict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from shard.online.folding import NOBODY, Folded
from shard.online.lately import Lately
from shard.online.port import NOTHING_ONLINE, Online
from trunkshow import carousels
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.errors import InvalidArgument, SnapshotMismatch
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Floats, Query, Rows
from trunkshow.proposals import Asking, Work
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

TOLD_MAX = 1000
"""Items of a user that a router is told of."""


class Seat(NamedTuple):
    """Where a request is seated.

    Attributes:
        user: who asks, as a partition or a stand-in knows them; None for anybody else.
        vector: (factors,) float32 of somebody whom the router folded in; empty for a user.
        shelves: of the partitions to look in, nearest first.
        folded: what the user did since the snapshot, which is in `user`; None where there is nothing.
        lately: what the user is doing right now; None where that is not known.
    """

    user: UserRecord | None
    vector: Floats
    shelves: Sequence[Partition | CatalogueShelf]
    folded: Folded | None = None
    lately: Lately | None = None


NOWHERE = Seat(None, NO_FLOATS, ())
"""Of somebody who is not known here."""


class Seats:
    """Seats requests over one snapshot.

    Args:
        snapshot: opened.
        warm: its partitions that may be asked, by number; the caller adds to it as they come up.
        stand_ins: compact copies of the users of partitions that are held elsewhere, by number, as they come up.
        online: what users did since the snapshot.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        warm: Mapping[int, Partition],
        stand_ins: Mapping[int, StandIns],
        online: Online = NOTHING_ONLINE,
    ) -> None:
        self._snapshot = snapshot
        self._online = online
        self._catalogue = snapshot.catalogue
        self._warm = warm
        self._stand_ins = stand_ins
        self._vector_bytes = 4 * snapshot.ials.factors

    def refuse_what_is_not_here(self, asked: shard_pb2.PredictRequest) -> None:
        """See to it that a request is for this snapshot, and can be looked at.

        Raises:
            SnapshotMismatch: it is for another snapshot.
            InvalidArgument: no partition is named, or the vector is another model's.
        """
        if asked.snapshot_version != self._snapshot.version:
            message = f"this shard serves {self._snapshot.version}, not {asked.snapshot_version}"
            raise SnapshotMismatch(message)
        if not asked.partitions:
            raise InvalidArgument("partitions: none; name at least one", field="partitions")
        if asked.vector and len(asked.vector) != self._vector_bytes:
            message = f"vector: {len(asked.vector)} bytes; this snapshot's have {self._vector_bytes}"
            raise InvalidArgument(message, field="vector")

    def seat(self, asked: shard_pb2.PredictRequest, request: pb.RecommendRequest, partitions: int) -> Seat:
        """Who asks, as far as this shard knows them, and the partitions to look in; none for somebody unknown.

        Args:
            asked: not refused.
            request: that it wraps.
            partitions: to look in, at most.

        Raises:
            SnapshotMismatch: a partition, or the copy of its users, is not warm here.
        """
        if asked.rung == pb.RUNG_STAND_IN:
            return self._stand_in_seat(asked.partitions[0], request.user_id, partitions)
        try:
            shelves = [self._warm[number] for number in asked.partitions][:partitions]
        except KeyError as error:
            raise SnapshotMismatch(f"partition {error} is not warm here") from None
        if asked.vector:
            return Seat(None, np.frombuffer(asked.vector, np.float32), shelves)
        hidden = self._online.is_hidden(request.user_id)
        user = None if hidden else shelves[0].user(request.user_id)
        folded = self._online.folded(request.user_id, user)
        if folded is not None:
            user, shelves = folded.record, self._moved(shelves, asked.partitions[0], folded)
        if user is None:
            return NOWHERE
        return Seat(user, NO_FLOATS, shelves, folded, self._online.lately(request.user_id, user, folded))

    def asking(self, request: pb.RecommendRequest, seat: Seat, wanted: Sequence[str], work: Work) -> Asking:
        """What the models are asked on behalf of somebody who is seated."""
        query = self._query(request, seat)
        taken = set(self._rows(request.exclude_item_ids))
        taken.update(self._rows(request.context_item_ids))
        known = seat.folded or seat.user or NOBODY
        if not (self._snapshot.repeat or request.include_seen):
            taken.update(known.had.tolist())
        taken.update(known.hidden.tolist())
        count = request.items_per_carousel or carousels.ITEMS_DEFAULT
        reordering = seat.lately.reordering if seat.lately is not None else None
        new = self._catalogue.additions.offered
        return Asking(wanted, query, seat.shelves, count, taken, work, reordering, new)

    def hidden(self, seat: Seat) -> list[str]:
        """Items that somebody does not want to see, the newest to this shard first, `TOLD_MAX` at most."""
        return self._told((seat.folded or seat.user or NOBODY).hidden)

    def had(self, request: pb.RecommendRequest, seat: Seat) -> list[str]:
        """Items that somebody had, likewise; none where they are shown again."""
        if self._snapshot.repeat or request.include_seen:
            return []
        return self._told((seat.folded or seat.user or NOBODY).had)

    def _told(self, rows: Rows) -> list[str]:
        return [self._catalogue.id(row) for row in rows[-TOLD_MAX:][::-1].tolist()]

    def _stand_in_seat(self, home: int, user_id: str, partitions: int) -> Seat:
        """The compact copy of a user who lives elsewhere, and the warm partitions nearest to their taste."""
        if home not in self._stand_ins:
            raise SnapshotMismatch(f"no stand-ins of partition {home} here")
        user = None if self._online.is_hidden(user_id) else self._stand_ins[home].user(user_id)
        if user is None:
            return NOWHERE
        codebook, warm = self._snapshot.codebook, self._warm
        nearest = [warm[number] for number in codebook.probe(user.vector, self._snapshot.partitions) if number in warm]
        if not nearest:
            raise SnapshotMismatch("no partition is warm here, so that nothing can stand in")
        return Seat(user, NO_FLOATS, nearest[:partitions])

    def _moved(self, shelves: list[Partition], home: int, folded: Folded) -> list[Partition]:
        """Home, and where that is somewhere else by now, and warm here, the partition nearest to the user's taste."""
        nearest = self._snapshot.codebook.probe(folded.record.vector, 1)[0]
        return [*shelves, self._warm[nearest]] if nearest != home and nearest in self._warm else shelves

    def _query(self, request: pb.RecommendRequest, seat: Seat) -> Query:
        user = seat.user
        context = self._rows(request.context_item_ids)
        filters = request.filters if request.HasField("filters") else None
        chosen = self._catalogue.filter(filters)
        if user is None:
            taste, history, weights, segment = seat.vector, NO_ROWS, NO_FLOATS, -1
        else:
            taste, history, weights, segment = user.vector, user.items, user.weights, user.segment
            if context:
                taste = self._snapshot.with_context(history, weights, np.array(context, np.int32))
            if seat.folded is not None:
                built = history < len(self._catalogue)  # models have no rows of items that came since
                history, weights = history[built], weights[built]
        return Query(
            vector=taste,
            history=history,
            weights=weights,
            context=[row for row in context if row < len(self._catalogue)],
            segment=segment,
            categories=chosen.categories,
            filtered=filters is not None and bool(filters.categories or filters.attributes),
            mask=chosen.mask,
        )

    def _rows(self, item_ids: Sequence[str]) -> list[int]:
        """Rows of the items that are known."""
        return [row for item_id in item_ids if (row := self._catalogue.row(item_id)) is not None]


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
