"""A recommender over shards that do what a table says, on a clock that they drive: no network, nothing waits.

Two versions of the small snapshot are open: v2, the current one, and v1, the previous one. Each place where user u0 can
be looked for (`PLACES`) is one shard; what becomes of asking it is one of `FATES`. Not a test.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import small_snapshot

from router.answering.counters import Counters
from router.answering.recommend import Recommender
from router.asking.attempts import Attempt, Gathered, Outcome
from router.asking.fanout import Fanout
from router.asking.replicas import unheld
from router.cluster.topology import Generation, ShardFacts, Topology
from router.cluster.watch import Board
from router.served.views import View, Views
from router.slates.receipt import Asking
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

Place = tuple[str, bool]
"""A version, and whether it is the compact copy that is asked."""

HOME: Place = ("v2", False)
PREVIOUS: Place = ("v1", False)
STAND_IN: Place = ("v2", True)
OLD_STAND_IN: Place = ("v1", True)
PLACES = (HOME, PREVIOUS, STAND_IN, OLD_STAND_IN)
RUNG = {
    HOME: pb.RUNG_SNAPSHOT,
    PREVIOUS: pb.RUNG_PREVIOUS,
    STAND_IN: pb.RUNG_STAND_IN,
    OLD_STAND_IN: pb.RUNG_STAND_IN,
}

OF_MODEL = {
    "raises": pb.REASON_MODEL_FAILED,
    "dawdles": pb.REASON_MODEL_LATE,
    "raves": pb.REASON_MODEL_NONSENSE,
    "is short": pb.REASON_CAROUSEL_SHORT,
    "is empty": pb.REASON_CAROUSEL_EMPTY,
}
FATES = ("answers", "nobody", "fails", "is late", "garbles", "says nothing", "forgot the user", *OF_MODEL)
"""What becomes of asking a place; of a model, only for-you is missing then."""

WANTED = ("for-you", "popular")
SHIFT = {HOME: 0, PREVIOUS: 3, STAND_IN: 4, OLD_STAND_IN: 6}
"""Of the items that a place shows."""

SOLD_OUT: Mapping[str, Sequence[int]] = {"v2": range(3, 40, 5), "v1": range(1, 40, 5)}
"""Items that are not available, by version, where the two are told to differ in that."""

BUDGET_MS = 185


class Now:
    """A clock that the shards drive."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Shards:
    """As much of `Fanout` as a recommender uses."""

    def __init__(
        self, fates: Mapping[Place, str], board: Board, now: Now, sold_out: Mapping[str, Sequence[int]]
    ) -> None:
        self.fates = fates
        self._sold_out = sold_out
        self.asked: list[tuple[Place, shard_pb2.PredictRequest]] = []
        self.spent: list[Collection[Attempt]] = []
        self.waits: list[bool] = []
        self._board = board
        self._now = now

    def choose(self, version: str, partition: int) -> str | None:
        """Whom a batch would ask."""
        return next(iter(self._board.topology.holders(version, partition)), None)

    async def ask(
        self,
        version: str,
        partition: int,
        request: bytes,
        until: Deadline,
        request_id: str,
        *,
        rung: pb.Rung,
        stand_in: bool,
        waits: bool = False,
        spent: Collection[Attempt],
    ) -> Outcome:
        """What the table says of this place."""
        del request_id, spent
        self.waits.append(waits)
        place = (version, stand_in)
        topology = self._board.topology
        found = topology.stand_ins(version, partition) if stand_in else topology.holders(version, partition)
        if not found:
            return Outcome(None, (), unheld(topology, version))
        predict = shard_pb2.PredictRequest.FromString(request)
        assert predict.rung == rung
        self.asked.append((place, predict))
        began, fate = self._now(), self.fates[place]
        self._now.s = until.at if fate == "is late" else began + 0.002
        ms = (self._now() - began) * 1000
        if fate == "is late":
            late = Attempt(found[0], pb.OUTCOME_LATE, pb.REASON_SHARD_LATE, "late", ms, rung)
            return Outcome(None, (late,), (pb.REASON_SHARD_LATE,))
        if fate == "fails":
            failed = Attempt(found[0], pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, "failed", ms, rung)
            return Outcome(None, (failed,), (pb.REASON_SHARD_FAILED,))
        sold_out = self._sold_out.get(version, ())
        return Outcome(_answer(fate, predict, sold_out), (Attempt(found[0], pb.OUTCOME_ANSWERED, ms=ms, rung=rung),))

    async def ask_many(
        self,
        version: str,
        partitions: Sequence[int],
        request_for: Callable[[Sequence[int]], bytes],
        until: Deadline,
        request_id: str,
        *,
        rung: pb.Rung,
        spent: Collection[Attempt],
    ) -> Gathered:
        """One shard is asked for all partitions."""
        self.spent.append(spent)
        one = await self.ask(
            version, partitions[0], request_for(partitions), until, request_id, rung=rung, stand_in=False, spent=()
        )
        answers = (one.answer,) if one.answer is not None else ()
        return Gathered(answers, len(partitions) if answers else 0, one.attempts, one.reasons)


def _answer(fate: str, predict: shard_pb2.PredictRequest, sold_out: Sequence[int]) -> shard_pb2.PredictResponse:
    if fate == "garbles":  # one that says that it is whole is passed on unread
        lost = shard_pb2.Missing(carousel="for-you", reason=pb.REASON_MODEL_FAILED)
        return shard_pb2.PredictResponse(slate=b"\xff\xff", missing=[lost])
    if fate == "says nothing":
        return shard_pb2.PredictResponse()
    if fate == "forgot the user":
        missing = [shard_pb2.Missing(carousel=one, reason=pb.REASON_USER_UNKNOWN) for one in predict.carousels]
        return shard_pb2.PredictResponse(slate=pb.RecommendResponse().SerializeToString(), missing=missing)
    lost = ["for-you"] if fate in OF_MODEL and "for-you" in predict.carousels else []
    made = [one for one in predict.carousels if one not in lost]
    # A place keeps its own items apart; those of several places overlap, and only the router can keep them apart.
    shift = SHIFT[predict.snapshot_version, predict.rung == pb.RUNG_STAND_IN]
    slate = pb.RecommendResponse(
        carousels=[
            pb.Carousel(
                id=one,
                title=one,
                source="fake",
                rung=predict.rung,
                items=[
                    pb.Item(item_id=f"i{row}", score=9 - place)
                    for place, row in enumerate(range(shift + 5 * WANTED.index(one), shift + 5 * WANTED.index(one) + 5))
                    if row not in sold_out
                ],
            )
            for one in made
        ],
        receipt=pb.Receipt(
            rung=predict.rung if made else pb.RUNG_UNSPECIFIED,
            snapshot_version=predict.snapshot_version,
            effort=pb.EFFORT_FULL,
        ),
    )
    missing = [shard_pb2.Missing(carousel=one, reason=OF_MODEL[fate], model="ials") for one in lost]
    return shard_pb2.PredictResponse(slate=slate.SerializeToString(), missing=missing)


@cache
def views(*, restocked: bool = False) -> tuple[View, View]:
    """v2 and v1, open until the process ends; of the same items, or with others sold out in each."""
    folder = Path(_folder(restocked).name)
    return _view(folder / "2", "v2", restocked=restocked), _view(folder / "1", "v1", restocked=restocked)


@cache
def _folder(restocked: bool) -> tempfile.TemporaryDirectory[str]:
    """Removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="ladder-")


def _view(folder: Path, version: str, *, restocked: bool) -> View:
    made = small_snapshot.make(folder, SOLD_OUT[version]) if restocked else small_snapshot.make(folder)
    made.version = version
    return View.of(cast("Snapshot", made))


class World:
    """A recommender, and the shards behind it.

    Args:
        fates: by place; a place that is not named is held by nobody.
        moved: whether all traffic has moved to v2.
        whole: whether every partition of v2 was warm somewhere.
        previous: whether v1 is open in the router.
        restocked: whether other items are sold out in v2 than in v1 (`SOLD_OUT`).
        refused: partitions of v1 that a shard refused, and that nobody has.
    """

    def __init__(
        self,
        fates: Mapping[Place, str],
        *,
        moved: bool = True,
        whole: bool = True,
        previous: bool = True,
        restocked: bool = False,
        refused: Collection[int] = (),
    ) -> None:
        self.now = Now()
        self.counters = Counters()
        self.fates = {place: fates.get(place, "nobody") for place in PLACES}
        self.board = Board(_topology(self.fates, frozenset(refused)))
        self.shards = Shards(self.fates, self.board, self.now, SOLD_OUT if restocked else {})
        current, before = views(restocked=restocked)
        self.views = Views.of(current, before if previous else None)
        everything = frozenset(range(current.partitions))
        self.views = self.views.moved_on(
            replace(self.views.moves, whole=whole, moved=everything if moved else frozenset())
        )
        self.recommender = Recommender(cast("Fanout", self.shards), self.board, self.counters, probes=1, clock=self.now)

    def lose_attributes(self) -> None:
        """v2 was built without what items can be filtered by, but for categories."""
        current = self.views.current
        bare = replace(current, known=replace(current.known, attributes=()))
        self.views = replace(self.views, current=bare)

    def lack_attributes_before(self) -> None:
        """The same of v1: v2 is the first that knows them."""
        (before,) = self.views.earlier
        bare = replace(before, known=replace(before.known, attributes=()))
        self.views = replace(self.views, previous=bare, served=bare)

    def slate(self, **fields: object) -> pb.RecommendResponse:
        """What u0 gets."""
        chosen = {"user_id": "u0", "carousels": WANTED, "items_per_carousel": 5} | fields
        request = pb.RecommendRequest(**chosen)  # type: ignore[arg-type]
        asking = Asking("r-1", self.now(), Deadline.after(BUDGET_MS, self.now()), 200.0)
        data = request.SerializeToString()
        return pb.RecommendResponse.FromString(asyncio.run(self.recommender.slate(data, request, asking, self.views)))


def _topology(fates: Mapping[Place, str], refused: frozenset[int]) -> Topology:
    held = {f"{version}{'-copy' * copy}:1": (version, copy) for version, copy in fates}
    topology = Topology.of(held)
    for address, (version, copy) in held.items():
        numbers = frozenset(range(small_snapshot.PARTITIONS)) if fates[version, copy] != "nobody" else frozenset()
        bad = refused if version == "v1" else frozenset()
        copies = numbers if copy else frozenset()
        generation = Generation(version, frozenset() if copy else numbers - bad, stand_ins=copies, refused=bad)
        topology = topology.updated(address, ShardFacts(address, shard_pb2.SHARD_STATE_READY, (generation,)))
    return topology
