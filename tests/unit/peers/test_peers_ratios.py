"""Ratios are taken within repeats, and their median over them."""

import pytest

from bench.peers.ratios import Case, Sample, middle, ratio

ONE = Case(8, 0)


def sample(subject: str, repeat: int, rps: float, case: Case = ONE, wrong: int = 0) -> Sample:
    """A measurement of so many answers per second."""
    return Sample(subject, case, repeat, int(rps), wrong, rps, 1000 / rps, 2000 / rps, 0.5)


def test_the_ratio_is_the_median_of_the_ratios_not_the_ratio_of_the_medians() -> None:
    """A slow minute slows both of a repeat."""
    ours = [sample("shard", repeat, rps) for repeat, rps in enumerate((1000, 100, 3000))]
    theirs = [sample("redis", repeat, rps) for repeat, rps in enumerate((500, 100, 1000))]
    assert ratio([*ours, *theirs], "shard", "redis", ONE) == (2.0, 1.0, 3.0)


def test_repeats_in_which_one_is_missing_do_not_count() -> None:
    """A peer that failed in the second repeat is compared in the first."""
    samples = [sample("shard", 0, 1000), sample("shard", 1, 10), sample("redis", 0, 500)]
    assert ratio(samples, "shard", "redis", ONE) == (2.0, 2.0, 2.0)


def test_there_is_no_ratio_where_nothing_was_measured_together() -> None:
    """Neither with other callers in flight, nor in different repeats."""
    samples = [sample("shard", 0, 1000), sample("redis", 0, 500, Case(32, 0)), sample("redis", 1, 500)]
    assert ratio(samples, "shard", "redis", ONE) is None
    assert middle(samples, "shard", Case(32, 0)) is None


def test_figures_are_medians_and_wrong_answers_are_counted_over_all_repeats() -> None:
    """One repeat's wrong answers are not hidden by the others."""
    taken = [sample("redis", repeat, rps, wrong=repeat) for repeat, rps in enumerate((100, 400, 200))]
    typical = middle(taken, "redis", ONE)
    assert typical is not None
    assert (typical.rps, typical.p50_ms, typical.wrong) == (pytest.approx(200), pytest.approx(5), 3)
