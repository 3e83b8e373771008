"""A piece is opened beside those that are asked, and refused for no other fault than its own."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from typing import Any

import datasets
import pytest
from structlog.testing import capture_logs
from test_plugged_in import Plugged, Stuck

from shard import isolation
from shard.generation import REPLAYED_MAX, Generation
from shard.predict import Predictor
from shard.scene import Kind, Piece
from trunkshow.snapshot.catalogue import Catalogue
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USER = datasets.user_id(17)


@pytest.fixture
def home(snapshot: Snapshot) -> Piece:
    """The partition that the user lives in."""
    found = snapshot.directory.find(USER)
    assert found is not None
    return Piece(snapshot.version, Kind.HOME, found.partition)


@pytest.fixture
def recent(snapshot: Snapshot) -> list[shard_pb2.PredictRequest]:
    """A request of the user's, with an item in hand."""
    request = pb.RecommendRequest(user_id=USER, context_item_ids=[snapshot.catalogue.id(3)])
    wanted = shard_pb2.PredictRequest(request=request.SerializeToString(), carousels=["for-you", "theirs"])
    return [wanted]


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    """A model that hangs until the test is over."""
    made = Stuck()
    yield made
    made.told.set()


def opened(generation: Generation, piece: Piece, recent: list[shard_pb2.PredictRequest]) -> None:
    """Open a piece as a shard does it, on a thread; nobody is to ask it."""
    thread = asyncio.to_thread(generation.open, piece, recent)
    generation.adopt(piece, asyncio.run(thread))
    generation.drop(piece)


def test_a_shoppers_request_that_fails_refuses_nothing(
    snapshot: Snapshot, home: Piece, recent: list[shard_pb2.PredictRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request that nobody thought of must not take a version back; the log has it."""

    async def breaks(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Predictor, "predict", breaks)
    with capture_logs() as logs:
        opened(Generation(snapshot, 2), home, recent)
    assert [(one["event"], one["requests"]) for one in logs] == [("replay.failed", 1)]


def test_a_piece_answers_the_newest_of_what_shoppers_asked_for_and_not_all_of_it(
    snapshot: Snapshot, home: Piece, recent: list[shard_pb2.PredictRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, and what comes after the first few warms nothing more."""
    asked: list[str] = []

    async def counts(predictor: Predictor, request: shard_pb2.PredictRequest) -> Any:
        del predictor
        asked.append(request.carousels[0])

    monkeypatch.setattr(Predictor, "predict", counts)
    named = [str(number) for number in range(REPLAYED_MAX + 5)]
    many = [shard_pb2.PredictRequest(request=recent[0].request, carousels=[name]) for name in named]
    opened(Generation(snapshot, 2), home, many)
    assert asked == named[: -REPLAYED_MAX - 1 : -1]


def test_what_shoppers_asked_for_is_looked_up_by_a_reader_of_its_own(
    snapshot: Snapshot, home: Piece, recent: list[shard_pb2.PredictRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction belongs to one thread, and the catalogue's to the event loop."""
    asked: list[tuple[Any, int]] = []
    row = Catalogue.row

    def looked_up(catalogue: Catalogue, item_id: str) -> int | None:
        asked.append((catalogue._rows, threading.get_ident()))
        return row(catalogue, item_id)

    monkeypatch.setattr(Catalogue, "row", looked_up)
    opened(Generation(snapshot, 2), home, recent)
    assert asked
    assert all(reader is not snapshot.catalogue._rows for reader, _ in asked)
    assert threading.get_ident() not in {thread for _, thread in asked}


def test_a_model_that_hangs_has_the_same_few_threads_for_all_that_is_opened(
    snapshot: Snapshot, home: Piece, recent: list[shard_pb2.PredictRequest], stuck: Stuck
) -> None:
    """Each piece warms up with it, and with shoppers' requests; once they all hang, it is late at once."""
    plugged = copy.copy(snapshot)
    plugged.models = {**snapshot.models, "plugged": Plugged(stuck)}
    generation = Generation(plugged, 0)
    before = set(threading.enumerate())
    for _ in range(isolation.THREADS + 2):
        opened(generation, home, recent)
    hanging = [one for one in set(threading.enumerate()) - before if one.name.startswith("model-plugged")]
    assert len(hanging) == isolation.THREADS
