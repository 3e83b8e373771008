"""What is known of a replica's recent answers."""

from __future__ import annotations

import pytest

from trunkshow.latencies import RECENT_ANSWERS_MAX, RECENT_ANSWERS_MIN, Latencies


def after(*answers_ms: float) -> Latencies:
    """Of a replica that took these."""
    latencies = Latencies()
    for ms in answers_ms:
        latencies.add(ms)
    return latencies


def test_a_few_answers_say_nothing() -> None:
    """There is no 95th percentile of nineteen."""
    assert after(*[5.0] * (RECENT_ANSWERS_MIN - 1)).tail_ms == 0.0


def test_the_p95_is_that_of_the_window() -> None:
    """One in twenty took longer."""
    assert after(*range(1, 101)).tail_ms == pytest.approx(95, abs=6)


def test_what_was_long_ago_is_forgotten() -> None:
    """A replica that has recovered is patiently waited for no more."""
    assert after(*[100.0] * 300, *[5.0] * RECENT_ANSWERS_MAX, *[5.0] * 16).tail_ms == 5.0
