"""Delays between tries."""

from __future__ import annotations

import pytest

from trunkshow.serving.backoff import Backoff

BACKOFF = Backoff(first_s=0.05, longest_s=1.0)


def test_a_delay_doubles_with_every_failure() -> None:
    """From the first one on."""
    assert [BACKOFF.after(failures) for failures in (1, 2, 3)] == [0.05, 0.1, 0.2]


def test_a_delay_is_never_longer_than_the_longest() -> None:
    """After any number of failures."""
    assert BACKOFF.after(10_000) == 1.0


def test_chance_takes_off_half_at_most() -> None:
    """Routers that lost the same shard do not come back in step."""
    assert BACKOFF.after(10, chance=0.999999) == pytest.approx(0.5, abs=1e-3)
