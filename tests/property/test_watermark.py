"""Watermarks: what covers what, and the least that covers both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkshow.eventlog.watermark import LANES_MAX, TEXT_BYTES_MAX, LogsDiffer, Watermark

WATERMARKS = st.builds(
    Watermark, st.just("log"), st.dictionaries(st.integers(0, 40), st.integers(1, 2**40), max_size=20)
)


@given(WATERMARKS, WATERMARKS)
def test_joined_covers_both_and_nothing_less_does(one: Watermark, other: Watermark) -> None:
    """A least upper bound, whoever comes first."""
    joined = one.joined(other)
    assert joined.covers(one)
    assert joined.covers(other)
    assert joined == other.joined(one)
    assert all(joined.counts[lane] in (one.counts.get(lane), other.counts.get(lane)) for lane in joined.counts)


@given(WATERMARKS, WATERMARKS, WATERMARKS)
def test_covering_is_an_order(one: Watermark, other: Watermark, third: Watermark) -> None:
    """Reflexive, transitive, and joining is the same in any order."""
    assert one.covers(one)
    assert one.joined(other).joined(third) == one.joined(other.joined(third))
    if one.covers(other) and other.covers(third):
        assert one.covers(third)


@given(WATERMARKS, st.integers(0, 40), st.integers(1, 2**40))
def test_a_lane_is_never_read_back(one: Watermark, lane: int, count: int) -> None:
    """What was read once was read."""
    assert one.advanced(lane, count).covers(one)
    assert one.advanced(lane, count).counts[lane] == max(count, one.counts.get(lane, 0))
    assert one.advanced(lane, count) == one.joined(Watermark("log", {lane: count}))


@given(WATERMARKS)
def test_its_text_is_the_same_watermark(one: Watermark) -> None:
    """There and back, as long as it fits."""
    if len(str(one)) <= TEXT_BYTES_MAX:
        assert Watermark.parse(str(one)) == one


@given(st.text(max_size=60))
def test_any_text_is_a_watermark_or_refused(text: str) -> None:
    """With one class of error."""
    try:
        Watermark.parse(text)
    except ValueError:
        return
    assert "/" in text


def test_watermarks_of_different_logs_are_not_compared() -> None:
    """It would say something about nothing."""
    with pytest.raises(LogsDiffer, match="a and b"):
        Watermark("a").covers(Watermark("b"))
    with pytest.raises(LogsDiffer):
        Watermark("a").joined(Watermark("b"))


def test_a_watermark_of_the_largest_log_fits() -> None:
    """Of as many lanes as a log may have, each as far as can be, under the longest name."""
    one = Watermark("e" * 67, dict.fromkeys(range(LANES_MAX), 2**63 - 1))
    assert Watermark.parse(str(one)) == one
