"""Claims about what a reply is worth."""

import pytest

from cli.bench.judging import Judged, Wanted, judge
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

WANTED = Wanted(("for-you", "popular"), 3)


def slate(*carousels: tuple[str, list[str]], rung: pb.Rung = pb.RUNG_SNAPSHOT) -> pb.RecommendResponse:
    made = [pb.Carousel(id=name, items=[pb.Item(item_id=item) for item in items]) for name, items in carousels]
    return pb.RecommendResponse(carousels=made, receipt=pb.Receipt(rung=rung))


WHOLE = slate(("for-you", ["a", "b", "c"]), ("popular", ["d", "e", "f"]))


def judged(kind, *messages, wanted: Wanted = WANTED) -> Judged:
    found = Judged()
    judge(kind, [one if isinstance(one, bytes) else one.SerializeToString() for one in messages], wanted, found)
    return found


def test_a_whole_slate_is_counted_with_its_rung() -> None:
    found = judged("slate", WHOLE)
    assert found.counts == {"whole": 1} and found.rungs == {"SNAPSHOT": 1} and found.stepped_down == 0


def test_a_slate_that_was_kept_is_counted_as_one() -> None:
    again = slate(("for-you", ["a", "b", "c"]), ("popular", ["d", "e", "f"]))
    again.receipt.kept_age_ms = 0  # sent in the same moment
    assert judged("slate", again).kept == 1
    assert judged("slate", WHOLE).kept == 0


@pytest.mark.parametrize("rung", [pb.RUNG_PREVIOUS, pb.RUNG_STAND_IN, pb.RUNG_SEGMENT, pb.RUNG_POPULAR])
def test_a_lower_rung_is_a_step_down(rung) -> None:
    lower = slate(("for-you", ["a", "b", "c"]), ("popular", ["d", "e", "f"]), rung=rung)
    assert judged("slate", lower).stepped_down == 1


@pytest.mark.parametrize(
    "less",
    [
        slate(("for-you", ["a", "b", "c"])),
        slate(("for-you", ["a", "b"]), ("popular", ["d", "e", "f"])),
        slate(("popular", ["d", "e", "f"]), ("for-you", ["a", "b", "c"])),
    ],
)
def test_less_than_was_asked_for_is_not_whole(less) -> None:
    """A carousel or an item less, or another order."""
    assert judged("slate", less).counts == {"short": 1}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (slate(), "empty"),
        (slate(("for-you", []), ("popular", [])), "empty"),
        (slate(("for-you", ["a", "b", "c"]), ("hats", ["d"])), "nobody asked for 'hats'"),
        (slate(("for-you", ["a"]), ("for-you", ["b"])), "twice"),
        (slate(("for-you", ["a", "b", "c", "d"])), "4 items of 3"),
        (slate(("for-you", ["a", "b", "a"])), "shows an item twice"),
        (b"\xff\xff\xff", "no message of ours"),
    ],
)
def test_what_no_user_explains_is_wrong(wrong, why: str) -> None:
    found = judged("slate", wrong)
    assert found.counts == {"wrong": 1} and why in found.complaints[0]


def test_any_carousels_do_where_none_was_named() -> None:
    assert judged("slate", WHOLE, wanted=Wanted((), 3)).counts == {"whole": 1}
    assert judged("slate", WHOLE, wanted=Wanted((), 4)).counts == {"short": 1}


def test_a_shards_slate_is_judged_in_its_wrapping() -> None:
    assert judged("shard", shard_pb2.PredictResponse(slate=WHOLE.SerializeToString())).counts == {"whole": 1}
    assert judged("shard", shard_pb2.PredictResponse()).counts == {"wrong": 1}


def test_every_slate_of_a_batch_is_judged_once() -> None:
    """One of three is answered twice, one not at all: two are wrong, and two are whole."""
    answers = [pb.RecommendBatchResponse(index=index, response=WHOLE) for index in (0, 2, 2)]
    found = judged("batch", *answers, wanted=Wanted(WANTED.carousels, 3, 3))
    assert found.counts == {"whole": 2, "wrong": 2}
    assert "request 2 was answered twice" in found.complaints[0] and "request 1 was not answered" in found.complaints[1]


def test_slates_that_came_together_are_judged_each() -> None:
    """Two in a message, and one by itself."""
    first, second, third = (pb.RecommendBatchResponse(index=index, response=WHOLE) for index in range(3))
    first.also.append(second)
    assert judged("batch", first, third, wanted=Wanted(WANTED.carousels, 3, 3)).counts == {"whole": 3}


def test_the_same_words_are_said_once() -> None:
    found = Judged()
    for _ in range(3):
        found.complain("an empty slate")
    assert (found.counts["wrong"], found.complaints) == (3, ["an empty slate"])


def test_an_empty_echo_is_wrong() -> None:
    assert judged("bytes", b"x").counts == {"whole": 1}
    assert judged("bytes", b"").counts == {"wrong": 1}
