"""A sample of recent requests: bounded, recency-weighted, silent about what it holds."""

from __future__ import annotations

import random

import pytest

from router.trials.sample import Sample, SampleLimits

EVERYTHING = SampleLimits(requests_max=100, period_ms=0)


def request(number: int) -> bytes:
    """A request that can be told from others."""
    return f"request {number}".encode()


def filled(count: int, limits: SampleLimits = EVERYTHING, seed: int = 1) -> Sample:
    """A sample of so many requests, one a second."""
    sample = Sample(random.Random(seed).random, limits)
    for number in range(count):
        sample.offer(request(number), float(number))
    return sample


def test_few_requests_are_all_kept() -> None:
    """There is room."""
    limits = SampleLimits(requests_max=10_000, period_ms=0)
    assert set(filled(20, limits).recent(100, 20.0)) == {request(number) for number in range(20)}


def test_the_count_is_bounded() -> None:
    """However many come."""
    assert len(filled(5000)) <= EVERYTHING.requests_max


def test_the_bytes_are_bounded() -> None:
    """However large they are."""
    sample = filled(5000, SampleLimits(bytes_max=200, period_ms=0))
    assert 100 < sum(map(len, sample.recent(5000, 5000.0))) <= 200


def test_a_huge_request_is_not_kept() -> None:
    """One caller must not push out everybody else."""
    sample = Sample(random.Random(1).random, SampleLimits(request_bytes_max=10))
    sample.offer(b"x" * 11, 0.0)
    assert len(sample) == 0


def test_recent_requests_are_more_likely_to_be_kept() -> None:
    """Half of what is kept is not older than ln 2 times the room, on the mean."""
    ages = [5000 - int(kept.split()[1]) for seed in range(20) for kept in filled(5000, seed=seed).recent(100, 5000.0)]
    assert sorted(ages)[len(ages) // 2] == pytest.approx(0.69 * EVERYTHING.requests_max, rel=0.15)


def test_a_burst_counts_once() -> None:
    """Within a period one request is kept, whoever sends the others."""
    sample = Sample(random.Random(1).random, SampleLimits(period_ms=50))
    for number in range(1000):
        sample.offer(request(number), 7.0 + number / 100_000)  # all within 10 ms
    assert sample.recent(10, 8.0) == [request(0)]


def test_old_requests_are_forgotten() -> None:
    """Nobody asks so any more, and the users in them have a right to it."""
    sample = filled(50, SampleLimits(period_ms=0, age_s_max=10))
    kept = sample.recent(100, 55.0)
    assert {int(one.split()[1]) for one in kept} <= set(range(45, 50))
    assert len(sample) == len(kept)


def test_a_draw_has_no_request_twice_and_no_more_than_asked_for() -> None:
    """A sample of the sample."""
    drawn = filled(90).recent(30, 90.0)
    assert len(drawn) == len(set(drawn)) == 30


def test_what_is_kept_is_not_told() -> None:
    """Requests hold user ids; a sample in a log or a traceback shows none."""
    sample = Sample(random.Random(1).random)
    sample.offer(b"user-0007", 0.0)
    assert "0007" not in repr(sample) + repr(vars(sample))
