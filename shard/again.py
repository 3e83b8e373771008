"""Which slates of one snapshot may be kept and sent again, and for how long that is right.

A slate is kept where it rests on nothing but the request, the snapshot, the new items, and what trends:

1. It is whole, of full effort, made at the user's home by models of this package. A plugged-in model may look at
   anything; a stand-in or a stranger's slate rests on which other partitions are here.
2. Nothing was heard of its user that changes what the snapshot alone shows (`Online.is_quiet`), and they have no
   present intent, which changes by the minute.
3. The request names nothing that is to be waited for (`at_least_as_fresh`): of that the answer is said to be true.

It is sent again to a request of the same bytes, which therefore asks for the same version, partition, filters, items
and carousels, as long as

4. its partition is warm here, and the slate is not older than `AGE_S_MAX`;
5. there are the same new items, and, where it shows what trends, the same trends;
6. rule 2 still holds of its user: an event that was heard shows in the next slate, kept or not;
7. a slate made now would be of the same rung.

All of this is looked up when it is asked for, where making a slate would look it up: nobody has to tell of changes.
The receipt is made anew each time. Where slates are kept is left to `shard.kept`.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence

from shard.kept import AGE_S_MAX, Kept
from shard.online.freshness import Known, is_at_home, known_at_home
from shard.online.port import Online
from shard.seats import Seat
from trunkshow import carousels
from trunkshow.online.trends import NO_TRENDS
from trunkshow.proposals import Proposer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

_numbers = itertools.count(1)
"""Over all snapshots: one that is closed and opened again has other states."""


class Again:
    """Of one snapshot.

    Args:
        snapshot: opened.
        warm: its partitions that may be asked.
        online: what users did since.
        proposer: asks its models.
    """

    def __init__(self, snapshot: Snapshot, warm: Container[int], online: Online, proposer: Proposer) -> None:
        self._version = snapshot.version
        self._catalogue = snapshot.catalogue
        self._warm = warm
        self._online = online
        self._ours = proposer.ours
        self._items, self._trends = _State(), _State()

    def may(self, asked: shard_pb2.PredictRequest, request: pb.RecommendRequest, effort: pb.Effort, seat: Seat) -> bool:
        """Whether a slate that is whole may be kept."""
        return (
            effort == pb.EFFORT_FULL
            and seat.folded is None
            and seat.lately is None
            and not request.at_least_as_fresh
            and is_at_home(asked)
            and len(asked.partitions) == 1
            and self._ours(asked.carousels)
            and self._online.is_quiet(request.user_id)
        )

    def kept(
        self, asked: shard_pb2.PredictRequest, request: pb.RecommendRequest, rung: pb.Rung, shown: bytes, now: float
    ) -> Kept:
        """A slate that may be kept: its carousels as they are sent."""
        meant = asked.rung or pb.RUNG_SNAPSHOT
        return Kept(
            self._version,
            request.user_id,
            asked.partitions[0],
            meant,
            rung,
            shown,
            now,
            self._items.number(self._catalogue.additions),
            self._of_trends(asked.carousels),
        )

    def holds(self, kept: Kept, now: float) -> Known | None:
        """What the slate knows as of now, where it is what would be made; None where it may not be sent again."""
        if now - kept.made_at > AGE_S_MAX or kept.home not in self._warm or not self._online.is_quiet(kept.user_id):
            return None
        if kept.items != self._items.number(self._catalogue.additions):
            return None
        if kept.trends and kept.trends != self._of_trends((carousels.TRENDING,)):
            return None
        knows = known_at_home(self._online, kept.meant, kept.home, kept.user_id)
        return knows if knows.rung == kept.rung else None

    def _of_trends(self, wanted: Sequence[str]) -> int:
        if carousels.TRENDING not in wanted:
            return 0
        trends = self._online.trends
        return self._trends.number(trends if trends.lists else NO_TRENDS)


class _State:
    """Gives a value that is swapped for another one a number, a new one for each."""

    def __init__(self) -> None:
        self._value: object = None
        self._number = 0

    def number(self, value: object) -> int:
        if value is not self._value:
            self._value, self._number = value, next(_numbers)
        return self._number
