"""A shard that stands in for a user's home, from its compact copy of the user: close to what home would show."""

from __future__ import annotations

import asyncio
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Built
from whole_shard import HOME, USER, Shard, had, shown

from shard.predict import Predictor
from trunkshow.errors import SnapshotMismatch
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


def standing_in(shard: Shard, user: str, home: int, **request: Any) -> shard_pb2.PredictResponse:
    """What a shard that holds every partition but the user's home answers from its copy of the user."""
    elsewhere = {number: opened for number, opened in shard.partitions.items() if number != home}
    asked = shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=user, **request).SerializeToString(),
        snapshot_version=shard.snapshot.version,
        partitions=[home],
        carousels=HOME,
        rung=pb.RUNG_STAND_IN,
    )
    return asyncio.run(Predictor(shard.snapshot, elsewhere, shard.stand_ins).predict(asked))


def carousels_of(answer: shard_pb2.PredictResponse) -> dict[str, pb.Carousel]:
    """By id."""
    return {one.id: one for one in pb.RecommendResponse.FromString(answer.slate).carousels}


def test_a_stand_in_makes_every_carousel_of_a_slate(shard: Shard) -> None:
    """Without the partition that the user lives in, each at the rung STAND_IN."""
    answer = standing_in(shard, USER, shard.home(USER))
    made = carousels_of(answer)
    assert (list(made)[:5], list(answer.missing)) == (list(HOME[:5]), [])
    assert {one.rung for one in made.values()} == {pb.RUNG_STAND_IN}


def test_a_stand_in_hides_what_a_user_had(built: Built, shard: Shard) -> None:
    """It knows of everything."""
    answer = standing_in(shard, USER, shard.home(USER), items_per_carousel=100)
    assert not set(shown(carousels_of(answer))) & set(had(built, USER))


def test_a_stand_in_names_the_same_liked_item_as_home(shard: Shard) -> None:
    """Neighbours need the history alone, not its weights."""
    made = carousels_of(standing_in(shard, USER, shard.home(USER)))
    assert made["because-you-liked"].title == shard.slate()["because-you-liked"].title


def test_a_stand_ins_slate_is_close_to_the_one_at_home(shard: Shard) -> None:
    """Most of what home would show for-you, for every eighth user, although a quarter of the shop is gone."""
    shares = []
    for user in map(datasets.user_id, range(0, 400, 8)):
        home = {item.item_id for item in shard.slate(user)["for-you"].items}
        made = carousels_of(standing_in(shard, user, shard.home(user)))
        shares.append(len(home & {item.item_id for item in made["for-you"].items}) / len(home))
    assert np.mean(shares) > 0.7


def test_a_stand_in_looks_where_the_taste_is_near(shard: Shard) -> None:
    """With the home itself warm, which is the nearest, it lists what home does."""
    asked = shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=USER).SerializeToString(),
        snapshot_version=shard.snapshot.version,
        partitions=[shard.home(USER)],
        carousels=["for-you"],
        rung=pb.RUNG_STAND_IN,
    )
    made, home = carousels_of(shard.answer(asked)), shard.slate(wanted=("for-you",))
    assert {item.item_id for item in made["for-you"].items} == {item.item_id for item in home["for-you"].items}


def test_a_stand_in_of_nobody_is_told_as_missing(shard: Shard) -> None:
    """The user is not of that partition."""
    answer = standing_in(shard, "stranger", 0)
    assert {lost.reason for lost in answer.missing} == {pb.REASON_USER_UNKNOWN}


@pytest.mark.parametrize("warm", [True, False], ids=["no copy of it", "nothing warm"])
def test_where_nothing_can_stand_in_it_is_a_mismatch(shard: Shard, warm: bool) -> None:
    """The router asks for the next rung."""
    predictor = Predictor(shard.snapshot, shard.partitions) if warm else Predictor(shard.snapshot, {}, shard.stand_ins)
    asked = shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=USER).SerializeToString(),
        snapshot_version=shard.snapshot.version,
        partitions=[shard.home(USER)],
        rung=pb.RUNG_STAND_IN,
    )
    with pytest.raises(SnapshotMismatch):
        asyncio.run(predictor.predict(asked))


def test_warming_up_stand_ins_asks_for_those_they_stand_for(shard: Shard) -> None:
    """A copy that can be read is warm; nothing is raised."""
    shard.predictor.warm_up_stand_ins(shard.stand_ins[0], 8)


def test_carousels_are_of_the_rung_that_was_asked_for(shard: Shard) -> None:
    """A router that serves from the previous snapshot says so."""
    asked = shard_pb2.PredictRequest(
        request=pb.RecommendRequest(user_id=USER).SerializeToString(),
        snapshot_version=shard.snapshot.version,
        partitions=[shard.home(USER)],
        carousels=["for-you", "popular"],
        rung=pb.RUNG_PREVIOUS,
    )
    slate = pb.RecommendResponse.FromString(shard.answer(asked).slate)
    assert {slate.receipt.rung, *(one.rung for one in slate.carousels)} == {pb.RUNG_PREVIOUS}
