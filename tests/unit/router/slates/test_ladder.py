"""The ladder's rules, one by one."""

from __future__ import annotations

import pytest

from router.slates import ladder
from trunkshow.v1 import recommendation_pb2 as pb

RUNGS = [rung for rung in pb.Rung.values() if rung != pb.RUNG_UNSPECIFIED]


def test_every_rung_has_a_place_on_the_ladder() -> None:
    """A rung that the contract gains must be given its place."""
    assert sorted(ladder.BELOW) == sorted(RUNGS)


@pytest.mark.parametrize("rung", RUNGS)
def test_from_every_rung_the_way_leads_down_to_the_floor(rung: pb.Rung) -> None:
    """No rung can be stepped down from for ever, or upwards."""
    steps = ladder.steps_down(rung, RUNGS)
    assert steps == sorted(steps)
    assert all(below > rung for below in steps)


def test_rungs_that_are_not_offered_are_passed_over() -> None:
    """This release has neither PREVIOUS nor STAND_IN."""
    assert ladder.next_below(pb.RUNG_SNAPSHOT, ladder.RESIDENT) == pb.RUNG_SEGMENT


def test_a_user_without_a_segment_steps_to_popular() -> None:
    """What this user does not have is passed over too."""
    assert ladder.steps_down(pb.RUNG_SNAPSHOT, {pb.RUNG_POPULAR}) == [pb.RUNG_POPULAR]


def test_below_popular_there_is_nothing() -> None:
    """The floor."""
    assert ladder.next_below(pb.RUNG_POPULAR, RUNGS) is None


@pytest.mark.parametrize("carousel", ["popular", "new-arrivals", "occasions", "occasion:wedding"])
def test_an_empty_list_of_the_shop_is_left_out(carousel: str) -> None:
    """A popular list in its place would be a lie."""
    assert ladder.left_out(carousel, pb.REASON_CAROUSEL_EMPTY, [carousel])


@pytest.mark.parametrize(
    ("carousel", "reason"),
    [
        ("for-you", pb.REASON_CAROUSEL_EMPTY),
        ("trending", pb.REASON_CAROUSEL_EMPTY),
        ("popular", pb.REASON_MODEL_FAILED),
        ("new-arrivals", pb.REASON_SHARD_FAILED),
    ],
)
def test_anything_else_that_is_missing_is_replaced(carousel: str, reason: pb.Reason) -> None:
    """A personal carousel always is; a list of the shop where somebody failed to make it."""
    assert not ladder.left_out(carousel, reason, [carousel])


def test_what_does_not_trend_is_replaced_only_where_the_slate_has_no_popular_list() -> None:
    """Two of the same would be a lie."""
    assert ladder.left_out("trending", pb.REASON_CAROUSEL_EMPTY, ["trending", "popular"])
    assert not ladder.left_out("trending", pb.REASON_CAROUSEL_EMPTY, ["trending", "for-you"])


def test_the_receipts_rung_is_the_first_carousels() -> None:
    """The top of the page says how good the page is."""
    made = [pb.Carousel(rung=pb.RUNG_SEGMENT), pb.Carousel(rung=pb.RUNG_SNAPSHOT)]
    assert ladder.rung_of(made) == pb.RUNG_SEGMENT
