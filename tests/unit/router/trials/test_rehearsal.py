"""A rehearsal's measures mean what they say, and each limit refuses by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from router.trials.measures import Answer, Measures, Pair, measured, p99
from router.trials.rehearsal import RehearsalLimits, judged

LIMITS = RehearsalLimits()
RANKS = {"top": 1, "third": 3, "seventh": 7, **{f"filler {number}": number for number in range(8, 32)}}
"""31 places; what is not in it stands at the 26th or behind, in doublings about 5."""

GOOD = Measures(200, 0.6, (10.0, 11.0), (0.98, 0.98), (300, 290), 0.1, (0.0, 0.0))


def answer(items: Sequence[str] = ("a", "b"), ms: float = 10.0) -> Answer:
    """One carousel of these."""
    return Answer({"for-you": tuple(items)}, ms)


def compared(current: Answer, candidate: Answer) -> Measures:
    """One pair, measured."""
    return measured([Pair(current, candidate)], RANKS)


LOST = Answer({"for-you": ()}, 200.0, failed=True)


@pytest.mark.parametrize(
    ("current", "candidate", "overlap"),
    [
        ("abcd", "abcd", 1.0),
        ("abcd", "dcba", 1.0),
        ("abcd", "abxy", 0.5),
        ("abcd", "ab", 0.5),
        ("ab", "abcd", 0.5),
        ("abcd", "", 0.0),
        ("", "abcd", 0.0),
    ],
)
def test_overlap_is_the_share_of_common_items(current: str, candidate: str, overlap: float) -> None:
    """Of the longer list, in any order."""
    assert compared(answer(current), answer(candidate)).overlap == overlap


def test_overlap_is_the_mean_over_carousels() -> None:
    """A carousel that neither could make says nothing."""
    current = Answer({"for-you": ("a", "b"), "because-you-liked": ("c",), "people-like-you": ()}, 1.0)
    candidate = Answer({"for-you": ("a", "x"), "because-you-liked": ("c",), "people-like-you": ()}, 1.0)
    assert compared(current, candidate).overlap == 0.75


def test_overlap_of_nothing_is_no_number_and_no_reason() -> None:
    """Strangers with nothing in hand are shown nothing personal by anyone."""
    measures = compared(Answer({}, 1.0), Answer({}, 1.0))
    assert math.isnan(measures.overlap)
    assert judged(measures, LIMITS).passed


def test_who_failed_is_an_error_and_no_difference_of_taste() -> None:
    """Each fault is told once."""
    measures = measured([Pair(answer("ab"), answer("ab")), Pair(answer("ab"), LOST)], RANKS)
    assert (measures.overlap, measures.errors) == (1.0, (0.0, 0.5))


def test_coverage_is_the_share_of_requests_with_everything_personal() -> None:
    """One empty carousel is one too many."""
    gap = Answer({"for-you": ("a",), "because-you-liked": ()}, 1.0)
    measures = measured([Pair(answer(), gap), Pair(answer(), answer())], RANKS)
    assert measures.coverage == (1.0, 0.5)


def test_distinct_items_are_counted_over_all_requests() -> None:
    """A snapshot that shows everybody the same shows few."""
    measures = measured([Pair(answer("ab"), answer("xy")), Pair(answer("cd"), answer("xy"))], RANKS)
    assert measures.distinct == (4, 2)


@pytest.mark.parametrize(
    ("current", "candidate", "shift"),
    [
        (["third"], ["third"], 0.0),
        (["third"], ["top"], -1.0),
        (["top"], ["seventh"], 2.0),
        (["top", "seventh"], ["third", "third"], 0.0),
    ],
)
def test_popularity_shift_is_in_doublings_of_rank(current: list[str], candidate: list[str], shift: float) -> None:
    """log2(1 + rank) is 1, 2 and 3 for the ranks 1, 3 and 7; negative is towards the head."""
    assert compared(answer(current), answer(candidate)).popularity_shift == pytest.approx(shift)


def test_an_item_that_is_not_in_the_list_stands_behind_its_end() -> None:
    """It is less popular than all that are."""
    assert compared(answer(["seventh"]), answer(["nobody's"])).popularity_shift > 0


def test_p99_is_a_value_that_99_of_100_are_not_above() -> None:
    """By nearest rank: no value is made up."""
    assert (p99(range(1, 101)), p99(range(1, 201)), p99([7.0])) == (99, 198, 7.0)


def test_a_good_candidate_passes() -> None:
    """And the verdict says what was measured."""
    verdict = judged(GOOD, LIMITS)
    assert verdict.passed
    assert "overlap@k 0.60" in str(verdict)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"overlap": 0.05}, "overlap@k"),
        ({"p99_ms": (31.0, 63.0)}, "p99"),
        ({"coverage": (0.98, 0.95)}, "coverage"),
        ({"distinct": (300, 149)}, "distinct"),
        ({"popularity_shift": -1.6}, "popularity"),
        ({"popularity_shift": 1.6}, "popularity"),
        ({"errors": (0.0, 0.03)}, "errors"),
    ],
)
def test_each_limit_refuses_by_itself(change: dict[str, object], said: str) -> None:
    """And the verdict names it, and no other."""
    verdict = judged(replace(GOOD, **change), LIMITS)  # type: ignore[arg-type]
    assert not verdict.passed
    assert len(verdict.why) == 1
    assert verdict.why[0].split()[0] == said or said in verdict.why[0]


@pytest.mark.parametrize(
    "change",
    [
        {"p99_ms": (1.0, 19.0)},  # 19 times, but only 18 ms
        {"p99_ms": (100.0, 190.0)},  # 90 ms, but less than twice
        {"coverage": (0.5, 0.6)},
        {"errors": (0.5, 0.4)},
        {"distinct": (300, 900)},
    ],
)
def test_what_is_noise_or_better_is_no_reason(change: dict[str, object]) -> None:
    """Limits are about what got worse by more than chance moves it."""
    assert judged(replace(GOOD, **change), LIMITS).passed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"rehearsal_requests": 0}, "rehearsal_requests"),
        ({"rehearsal_requests": 10, "rehearsal_requests_min": 20}, "rehearsal_requests_min"),
        ({"rehearsal_overlap_min": -0.1}, "rehearsal_overlap_min"),
        ({"rehearsal_in_flight": 0}, "rehearsal_in_flight"),
        ({"rehearsal_time_s": math.nan}, "rehearsal_time_s"),
    ],
)
def test_a_limit_that_cannot_work_is_named(settings: dict[str, float], named: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match=f"^{named}: "):
        RehearsalLimits(**settings)  # type: ignore[arg-type]
