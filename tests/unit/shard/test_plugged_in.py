"""A plugged-in model that fails in whatever way costs its carousel a rung, and nothing else."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import datasets
import numpy as np
import pytest

from shard.isolation import Lane
from shard.predict import Predictor
from trunkshow.candidates import Late
from trunkshow.errors import Overloaded
from trunkshow.models.protocol import Arrays, Candidates, Query, Shelf, Training
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USER = datasets.user_id(17)
MANY_S = 30.0


class Plugged:
    """A model of somebody else's.

    Args:
        propose: what it does when it is asked.
    """

    name: ClassVar[str] = "plugged"
    carousel: ClassVar[str] = "theirs"
    title: ClassVar[str] = "Theirs"

    def __init__(self, propose: Callable[[Query, Shelf, int], Any]) -> None:
        self.recommend = propose

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Nothing."""
        del training
        return {}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """Not opened here."""
        raise NotImplementedError


class Inline(Plugged):
    """One that promises to be quick."""

    inline: ClassVar[bool] = True


class Shy(Plugged):
    """One that has little to propose."""

    may_be_short: ClassVar[bool] = True


@pytest.fixture
def home(snapshot: Snapshot) -> Iterator[Partition]:
    """The partition that the user lives in."""
    found = snapshot.directory.find(USER)
    assert found is not None
    opened = snapshot.open_partition(found.partition)
    yield opened
    opened.close()


Answering = Callable[..., shard_pb2.PredictResponse]


def predictor(snapshot: Snapshot, home: Partition, model: Any) -> Predictor:
    """Of a shard in which a model is plugged in."""
    plugged = copy.copy(snapshot)
    plugged.models = {**snapshot.models, model.name: model}
    return Predictor(plugged, {0: home})


def asking(
    snapshot: Snapshot, wanted: tuple[str, ...] = ("for-you", "theirs"), **request: Any
) -> shard_pb2.PredictRequest:
    """For the user's slate."""
    return shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=USER, **request).SerializeToString(),
        snapshot_version=snapshot.version,
        partitions=[0],
        carousels=wanted,
    )


@pytest.fixture
def answer(snapshot: Snapshot, home: Partition) -> Answering:
    """What a shard answers in which a model is plugged in."""

    def of(model: Any, **asked: Any) -> shard_pb2.PredictResponse:
        return asyncio.run(predictor(snapshot, home, model).predict(asking(snapshot, **asked)))

    return of


def first(query: Query, shelf: Shelf, count: int) -> Candidates:
    """The first items of the catalogue."""
    del query, shelf
    return Candidates(list(range(count)), [1.0 / (1 + row) for row in range(count)], reasons=("Because",))


def shown(answered: shard_pb2.PredictResponse) -> dict[str, list[str]]:
    """Items by carousel."""
    slate = pb.RecommendResponse.FromString(answered.slate)
    return {one.id: [item.item_id for item in one.items] for one in slate.carousels}


def lost(answered: shard_pb2.PredictResponse) -> list[tuple[str, str, int]]:
    """What is missing, of which model, and why."""
    return [(one.carousel, one.model, one.reason) for one in answered.missing]


@pytest.mark.parametrize("kind", [Plugged, Inline])
def test_a_plugged_in_models_carousel_is_in_the_slate(answer: Answering, kind: type[Plugged]) -> None:
    """In its place, in full, and no item twice, whichever thread it is asked on."""
    slate = shown(answer(kind(first), wanted=("for-you", "theirs", "popular")))
    items = [item for carousel in slate.values() for item in carousel]
    assert list(slate) == ["for-you", "theirs", "popular"]
    assert (len(slate["theirs"]), len(items)) == (10, len(set(items)))


@pytest.mark.parametrize(("kind", "elsewhere"), [(Plugged, True), (Inline, False)])
def test_only_a_model_that_promises_to_be_quick_is_asked_on_the_loop(
    answer: Answering, kind: type[Plugged], elsewhere: bool
) -> None:
    """Any other one gets a thread."""
    asked_on: list[int] = []

    def tell(query: Query, shelf: Shelf, count: int) -> Candidates:
        asked_on.append(threading.get_ident())
        return first(query, shelf, count)

    answer(kind(tell))
    assert (asked_on[0] != threading.get_ident()) is elsewhere


def test_a_slate_of_our_own_models_is_made_without_a_step_of_the_loop(snapshot: Snapshot, home: Partition) -> None:
    """Also where a model is plugged in that is not asked for."""
    predicting = predictor(snapshot, home, Plugged(first)).predict(asking(snapshot, ("for-you",)))
    with pytest.raises(StopIteration):
        predicting.send(None)


def raising(query: Query, shelf: Shelf, count: int) -> Candidates:
    """A bug."""
    raise ZeroDivisionError


def test_a_model_that_raises_is_named(answer: Answering) -> None:
    """The rest of the slate stands."""
    answered = answer(Plugged(raising))
    assert (list(shown(answered)), lost(answered)) == (
        ["for-you"],
        [("theirs", "plugged", pb.REASON_MODEL_FAILED)],
    )


NONSENSE: dict[str, Any] = {
    "nothing at all": None,
    "a list": [1, 2, 3],
    "an item that does not exist": Candidates([1, 10**6], [1.0, 0.5]),
    "a negative row": Candidates([1, -1], [1.0, 0.5]),
    "a row that is no number": Candidates(["a", "b"], [1.0, 0.5]),  # type: ignore[list-item]
    "half a row": Candidates([1.5], [1.0]),  # type: ignore[list-item]
    "a score that is no number": Candidates([1], [float("nan")]),
    "an infinite score": Candidates([1, 2], [float("inf"), 1.0]),
    "infinities that cancel out": Candidates([1, 2], [float("inf"), -float("inf")]),
    "a score beyond single precision": Candidates([1, 2], [1e39, -1e39]),
    "a score that is text": Candidates([1], ["much"]),  # type: ignore[list-item]
    "more items than scores": Candidates([1, 2], [1.0]),
    "reasons for some": Candidates([1, 2, 3], [1.0, 0.5, 0.2], reasons=["a", "b"]),
    "a reason that is no text": Candidates([1], [1.0], reasons=[7]),  # type: ignore[list-item]
    "a reason that cannot be written": Candidates([1], [1.0], reasons=["\ud800"]),
    "about what does not exist": Candidates([1], [1.0], about=10**6),
}


@pytest.mark.parametrize("kind", [Plugged, Inline])
@pytest.mark.parametrize("proposed", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_told_from_a_bug(answer: Answering, kind: type[Plugged], proposed: Any) -> None:
    """And shown to nobody."""
    answered = answer(kind(lambda query, shelf, count: proposed))
    assert (list(shown(answered)), lost(answered)) == (
        ["for-you"],
        [("theirs", "plugged", pb.REASON_MODEL_NONSENSE)],
    )


@pytest.mark.parametrize(
    "proposed",
    [
        Candidates(range(1, 9), [float("nan"), *[1.0] * 7]),
        Candidates(range(1, 9), [float("inf"), *[1.0] * 7]),
        Candidates([-2, *range(1, 8)], [1.0] * 8),
        Candidates([*range(1, 8), 10**6], [1.0] * 8),
    ],
    ids=["a score that is no number", "an infinite score", "a negative row", "an item that does not exist"],
)
def test_what_a_bad_build_makes_of_our_own_models_is_nonsense_as_well(
    answer: Answering, snapshot: Snapshot, proposed: Any
) -> None:
    """Their arrays have the right checksums, and hold what they were given."""
    popular = next(copy.copy(model) for model in snapshot.models.values() if model.carousel == "popular")
    popular.recommend = lambda query, shelf, count: proposed  # type: ignore[method-assign]
    answered = answer(popular, wanted=("for-you", "popular"))
    assert (list(shown(answered)), lost(answered)) == (
        ["for-you"],
        [("popular", popular.name, pb.REASON_MODEL_NONSENSE)],
    )


def test_arrays_will_do_for_lists(answer: Answering) -> None:
    """It is what models compute with."""
    slate = shown(answer(Plugged(lambda query, shelf, count: Candidates(np.arange(count), np.ones(count, np.float32)))))
    assert len(slate["theirs"]) == 10


def test_more_than_was_asked_for_is_cut(answer: Answering) -> None:
    """A list without end is no reason to work without end."""
    asked: list[int] = []

    def endless(query: Query, shelf: Shelf, count: int) -> Candidates:
        asked.append(count)
        return Candidates([*range(count), *[10**6] * 10**4], [1.0] * (count + 10**4))  # beyond the cut: no such item

    slate = shown(answer(Plugged(endless), wanted=("theirs",), include_seen=True))
    assert (len(slate["theirs"]), len(asked)) == (10, 1)


def few(query: Query, shelf: Shelf, count: int) -> Candidates:
    """Four items."""
    return first(query, shelf, min(count, 4))


def repeating(query: Query, shelf: Shelf, count: int) -> Candidates:
    """One item, as often as candidates were asked for."""
    del query, shelf
    return Candidates([5] * count, [1.0] * count)


def silent(query: Query, shelf: Shelf, count: int) -> Candidates:
    """Nothing, for anybody."""
    del query, shelf, count
    return Candidates([], [])


@pytest.mark.parametrize("kind", [Plugged, Inline])
@pytest.mark.parametrize("propose", [few, repeating, silent])
def test_fewer_than_half_of_what_was_asked_for_are_short(
    answer: Answering, kind: type[Plugged], propose: Callable[[Query, Shelf, int], Candidates]
) -> None:
    """Four, one again and again, or none where ten were asked for; the carousel is left to the next rung."""
    answered = answer(kind(propose))
    assert (list(shown(answered)), lost(answered)) == (
        ["for-you"],
        [("theirs", "plugged", pb.REASON_CAROUSEL_SHORT)],
    )


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (Plugged, {"items_per_carousel": 8}),
        (Plugged, {"filters": pb.Filters(categories=["taste 0", "taste 1", "taste 2", "taste 3"])}),
        (Shy, {}),
    ],
    ids=["half of it", "filters", "a model that may be short"],
)
def test_what_explains_few_items_is_no_fault(answer: Answering, kind: type[Plugged], asked: dict[str, Any]) -> None:
    """They are shown."""
    answered = answer(kind(few), wanted=("theirs",), include_seen=True, **asked)
    assert (len(shown(answered)["theirs"]) > 0, lost(answered)) == (True, [])


class Stuck:
    """A model that answers when it is told to."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.began = threading.Event()
        self.read: list[int] = []

    def __call__(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """Wait; then read what it was given."""
        self.began.set()
        self.told.wait(MANY_S)
        self.read.append(len(shelf.nearest_users(query.vector, 5)) + int(query.history.sum()) * 0)
        return first(query, shelf, count)


async def test_a_late_model_costs_its_carousel_alone(snapshot: Snapshot, home: Partition) -> None:
    """The slate is there when its time is up, and says who was late."""
    stuck = Stuck()
    soon = Deadline.after(50, asyncio.get_running_loop().time())
    answered = await predictor(snapshot, home, Plugged(stuck)).predict(asking(snapshot), soon)
    stuck.told.set()
    assert (list(shown(answered)), lost(answered)) == (["for-you"], [("theirs", "plugged", pb.REASON_MODEL_LATE)])


async def test_a_partition_closed_under_a_model_is_still_read_by_it(snapshot: Snapshot) -> None:
    """Whoever gave it up need not wait for a thread that nobody can stop; it is closed with the last reader."""
    found = snapshot.directory.find(USER)
    assert found is not None
    opened, stuck = snapshot.open_partition(found.partition), Stuck()
    predicting = asyncio.ensure_future(predictor(snapshot, opened, Plugged(stuck)).predict(asking(snapshot)))
    await asyncio.to_thread(stuck.began.wait, MANY_S)
    opened.close()
    stuck.told.set()
    answered = await predicting
    assert (list(shown(answered)), stuck.read) == (["for-you", "theirs"], [5])


def test_a_model_that_fails_does_not_keep_a_partition_from_warming(snapshot: Snapshot, home: Partition) -> None:
    """It costs its carousel a rung, for as long as it fails."""
    predictor(snapshot, home, Plugged(raising)).warm_up(home, 2)


async def test_a_prediction_without_time_is_refused(snapshot: Snapshot, home: Partition) -> None:
    """The router asks somebody else, and the shard counts it."""
    now = [100.0]
    driven = Predictor(snapshot, {0: home}, clock=lambda: now[0])
    with pytest.raises(Overloaded) as refused:
        await driven.predict(asking(snapshot, ("for-you",)), Deadline(now[0]))
    assert refused.value.reason == "TIME_TOO_SHORT"


async def test_with_little_time_less_is_done_and_said(snapshot: Snapshot, home: Partition) -> None:
    """Predictions that take 8 ms, as this clock has it, and 4 left: the costliest model is left to the next rung."""
    now = [0.0]

    def ticking() -> float:
        now[0] += 0.004
        return now[0]

    driven = Predictor(snapshot, {0: home}, clock=ticking)
    for _ in range(200):
        await driven.predict(asking(snapshot, ("for-you",)), Deadline(now[0] + 1000))
    wanted = asking(snapshot, ("for-you", "people-like-you"))
    answered = await driven.predict(wanted, Deadline(now[0] + 0.008))
    receipt = pb.RecommendResponse.FromString(answered.slate).receipt
    assert (receipt.effort, list(receipt.reasons)) == (pb.EFFORT_MINIMAL, [pb.REASON_REDUCED_EFFORT])
    assert (list(shown(answered)), lost(answered)) == (
        ["for-you"],
        [("people-like-you", "", pb.REASON_REDUCED_EFFORT)],
    )


async def test_full_effort_is_said_without_a_reason(snapshot: Snapshot, home: Partition) -> None:
    """Nothing is the matter."""
    answered = await Predictor(snapshot, {0: home}).predict(asking(snapshot, ("for-you",)))
    receipt = pb.RecommendResponse.FromString(answered.slate).receipt
    assert (receipt.effort, list(receipt.reasons)) == (pb.EFFORT_FULL, [])


async def test_what_a_slate_costs_is_learned_although_a_model_is_asked_apart(
    snapshot: Snapshot, home: Partition
) -> None:
    """Work that takes 50 ms, as this clock has it, is not begun with 20 left."""
    now = [0.0]

    def ticking() -> float:
        now[0] += 0.025
        return now[0]

    driven = Predictor(predictor(snapshot, home, Plugged(first))._snapshot, {0: home}, clock=ticking)
    for _ in range(20):
        await driven.predict(asking(snapshot), Deadline(now[0] + 1000))
    answered = await driven.predict(asking(snapshot), Deadline(now[0] + 0.075))
    assert pb.RecommendResponse.FromString(answered.slate).receipt.effort != pb.EFFORT_FULL


async def test_the_wait_for_a_model_that_hangs_is_no_cost_of_the_slate(snapshot: Snapshot, home: Partition) -> None:
    """Else one bad model would have a shard refuse all work."""
    now, stuck = [0.0], Stuck()

    async def waits(*_: Any, **__: Any) -> Any:
        now[0] += 0.1
        raise Late("no answer within 100 ms")

    driven = Predictor(predictor(snapshot, home, Plugged(stuck))._snapshot, {0: home}, clock=lambda: now[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lane, "ask", waits)
        for _ in range(20):
            await driven.predict(asking(snapshot), Deadline(now[0] + 1000))
    answered = await driven.predict(asking(snapshot, ("for-you",)), Deadline(now[0] + 0.02))
    assert pb.RecommendResponse.FromString(answered.slate).receipt.effort == pb.EFFORT_FULL
