"""Whatever models do, an answer shows items that exist and that the request allows, once each, and never nothing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import datasets
import pytest
from datasets import Built
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.slates.resident import Resident
from shard.predict import Predictor
from trunkshow.models.protocol import Arrays, Candidates, Query, Shelf, Training
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USER = datasets.user_id(17)
SHOP = 300
WANTED = ("theirs", "for-you", "because-you-liked", "people-like-you", "popular")
adversarial = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

rows = st.one_of(st.integers(0, SHOP - 1), st.integers(-3, SHOP + 3), st.floats(), st.text(max_size=2), st.none())
scores = st.one_of(st.floats(0, 1, width=32), st.floats(), st.none(), st.text(max_size=1))
sensible = st.lists(st.integers(0, SHOP - 1), max_size=40).map(
    lambda chosen: Candidates(chosen, [float(-place) for place in range(len(chosen))])
)
wild = st.builds(
    Candidates,
    st.lists(rows, max_size=40),
    st.lists(scores, max_size=40),
    st.integers(-2, SHOP + 2),
    st.one_of(st.just(("why",)), st.lists(st.text(max_size=3), max_size=40), st.none()),
)
anything = st.one_of(sensible, wild, st.none(), st.just(ZeroDivisionError()), st.integers(), st.just(((), ())))
filters = st.one_of(
    st.none(),
    st.builds(
        pb.Filters,
        categories=st.lists(st.sampled_from([f"taste {number}" for number in range(4)]), max_size=2, unique=True),
        include_unavailable=st.booleans(),
    ),
)


class Adversary:
    """A model that does what it is told."""

    name: ClassVar[str] = "adversary"
    carousel: ClassVar[str] = "theirs"
    title: ClassVar[str] = "Theirs"
    does: Any = None

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Nothing."""
        del training
        return {}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The model."""
        del arrays
        return cls()

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """Anything."""
        del query, shelf, count
        if isinstance(self.does, Exception):
            raise self.does
        return self.does  # type: ignore[no-any-return]


class Usurper(Adversary):
    """One that makes a carousel of ours, on the event loop."""

    name = "usurper"
    carousel = "for-you"
    inline: ClassVar[bool] = True


class Shop:
    """A shard in which two adversaries are plugged in, and the router that completes its slates."""

    def __init__(self, snapshot: Snapshot) -> None:
        found = snapshot.directory.find(USER)
        assert found is not None
        self.models = Adversary(), Usurper()
        self.home = snapshot.open_partition(found.partition)
        self._version = snapshot.version
        plugged = copy.copy(snapshot)
        plugged.models = {**snapshot.models, **{model.name: model for model in self.models}}
        self._predictor = Predictor(plugged, {0: self.home})
        self._resident = Resident(snapshot)
        self._runner = asyncio.Runner()

    def made(self, request: pb.RecommendRequest) -> tuple[list[pb.Carousel], dict[str, pb.Reason]]:
        """The shard's slate, and what is missing from it."""
        asked = shard_pb2.PredictRequest(
            request=request.SerializeToString(), snapshot_version=self._version, partitions=[0], carousels=WANTED
        )
        answered = self._runner.run(self._predictor.predict(asked))
        slate = pb.RecommendResponse.FromString(answered.slate)
        return list(slate.carousels), {lost.carousel: lost.reason for lost in answered.missing}

    def completed(
        self, request: pb.RecommendRequest, made: list[pb.Carousel], missing: dict[str, pb.Reason]
    ) -> list[pb.Carousel]:
        """The slate with its gaps filled."""
        return self._resident.complete(WANTED, made, missing, self._resident.need(request, -1)).carousels

    def close(self) -> None:
        """Give everything back."""
        self._runner.close()
        self.home.close()


@pytest.fixture(scope="module")
def shop(snapshot: Snapshot) -> Iterator[Shop]:
    """The one that every example asks."""
    opened = Shop(snapshot)
    yield opened
    opened.close()


@adversarial
@given(
    proposed=st.tuples(anything, anything),
    allowed=filters,
    count=st.integers(0, 30),
    excluded=st.sets(st.integers(0, SHOP - 1), max_size=40),
)
def test_whatever_models_do_a_slate_keeps_its_promises(
    built: Built, shop: Shop, proposed: tuple[Any, Any], allowed: pb.Filters | None, count: int, excluded: set[int]
) -> None:
    """Items exist, are allowed, come once; every carousel is shown or missing; the ladder leaves no slate empty."""
    for model, does in zip(shop.models, proposed, strict=True):
        model.does = does
    hidden = {datasets.item_id(number) for number in excluded}
    request = pb.RecommendRequest(
        user_id=USER, items_per_carousel=count, filters=allowed, exclude_item_ids=sorted(hidden)
    )
    made, missing = shop.made(request)
    shown = [item.item_id for carousel in shop.completed(request, made, missing) for item in carousel.items]
    by_id = {item.id: item for item in built.shop.items}
    assert {one.id for one in made} | missing.keys() == set(WANTED)
    assert len(shown) == len(set(shown)) > 0
    assert not hidden & set(shown)
    for item in (by_id[one] for one in shown):  # all of them exist, or this raises
        assert allowed is None or not allowed.categories or item.category in allowed.categories
        assert item.available or (allowed is not None and allowed.include_unavailable)
