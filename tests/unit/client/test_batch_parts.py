"""What is missing of a batch and when others are asked for it: time is a number."""

from __future__ import annotations

import pytest

from trunkshow.batch_parts import AGAIN_MAX, Batch
from trunkshow.rival_rules import Budget
from trunkshow.v1 import recommendation_pb2 as pb


def batch(users: int, timeout_s: float = 2.0, tokens: int = 9, strays: list[int] | None = None) -> Batch:
    """One that is begun at 0."""
    request = pb.RecommendBatchRequest(requests=[pb.RecommendRequest(user_id=str(one)) for one in range(users)])
    heard = [] if strays is None else strays
    return Batch(request, timeout_s, 0.0, Budget(0.0, tokens), heard.append)


def said(*indices: int) -> pb.RecommendBatchResponse:
    """A message that answers these."""
    first, *others = (pb.RecommendBatchResponse(index=index) for index in indices)
    first.also.extend(others)
    return first


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(2.0, 0.4), (60.0, 0.4), (0.2, 0.05)])
def test_a_silence_is_never_more_than_a_quarter_of_the_deadline(timeout_s: float, patience_s: float) -> None:
    """There must be time for who is asked then."""
    assert batch(3, timeout_s).patience_s == pytest.approx(patience_s)


def test_others_are_asked_a_limited_number_of_times() -> None:
    """Then they are waited for, for as long as it takes."""
    one = batch(3)
    for _ in range(AGAIN_MAX):
        assert len(one.silence(0.5)) == 2
    assert one.patience_s is None


def test_nobody_is_asked_once_the_deadline_has_passed() -> None:
    """Nor is a token taken."""
    one = batch(3, timeout_s=2.0, tokens=1)
    assert one.silence(2.0) == []
    assert len(one.silence(1.9)) == 2


def test_who_gets_no_token_asks_again_after_another_silence() -> None:
    """Someone may have given one back."""
    one = batch(3, tokens=0)
    assert one.silence(0.4) == []
    assert one.patience_s == pytest.approx(0.4)


def test_what_a_stream_answers_twice_or_unasked_is_given_to_nobody_and_told_of() -> None:
    """Of the rest that others were asked for, too."""
    strays: list[int] = []
    one = batch(3, strays=strays)
    first = one.parts[0]
    assert [answer.index for answer in one.take(first, said(1, 1, 7))] == [1]
    second, third = one.silence(0.4)
    assert [answer.index for answer in one.take(second, said(1, 2))] == [2]
    assert strays == [1, 7, 2]
    assert [answer.index for answer in one.take(third, said(1, 0))] == [0]
    assert one.whole
    assert one.over


def test_an_empty_batch_is_its_routers_to_refuse() -> None:
    """It is not taken for one that has all its answers."""
    one, error = batch(0), ConnectionError()
    assert not one.over
    assert one.ended(one.parts[0], error, 0.1) == []
    assert one.over
    assert one.error is error


def test_an_error_after_the_last_answer_is_none() -> None:
    """Everybody has theirs."""
    one = batch(1)
    list(one.take(one.parts[0], said(0)))
    one.ended(one.parts[0], ConnectionError(), 0.1)
    assert one.over
    assert one.error is None
