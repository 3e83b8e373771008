"""The moment does not follow one clock that is set, and does follow two that agree."""

from __future__ import annotations

from shard.online.moments import BACK_MS, Moments

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


class Clocks:
    """A shard's two, and a router's, driven; all begin right."""

    def __init__(self) -> None:
        self.passed_ms = self.here_ms = self.there_ms = 0
        self.moments = Moments(
            lambda: 50 + self.passed_ms / 1000, lambda: (NOW_MS + self.passed_ms + self.here_ms) / 1000
        )

    def hears(self, after_ms: int = 1000, lag_ms: int = 0) -> int:
        """A record comes, so long after the one before, and so late; when it is said to have been received."""
        self.passed_ms += after_ms
        return self.moments.heard(NOW_MS + self.passed_ms + self.there_ms - lag_ms) - NOW_MS

    def now(self) -> int:
        """How far from what is true the moment is."""
        return self.moments.now_ms() - NOW_MS - self.passed_ms


def test_a_step_of_the_clock_here_changes_nothing() -> None:
    """Forward or back, for an hour or for a year, with records or without."""
    for step_ms in (HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS):
        clocks = Clocks()
        clocks.here_ms = step_ms
        assert clocks.now() == 0
        assert (clocks.hears(), clocks.now()) == (1000, 0)
        clocks.here_ms = 0
        assert (clocks.hears(), clocks.now()) == (2000, 0)


def test_a_step_of_a_routers_clock_changes_nothing() -> None:
    """A record is not from the future."""
    clocks = Clocks()
    clocks.there_ms = HOUR_MS
    assert (clocks.hears(), clocks.now()) == (1000, 0)


def test_two_clocks_that_agree_are_followed_there_and_back() -> None:
    """As on one machine whose clock is set; a monotonic one may also have slept."""
    clocks = Clocks()
    clocks.here_ms = clocks.there_ms = HOUR_MS
    assert (clocks.hears(), clocks.now()) == (1000 + HOUR_MS, HOUR_MS)
    clocks.here_ms = clocks.there_ms = 0
    assert (clocks.hears(), clocks.now()) == (2000, 0)


def test_a_little_back_is_waited_for() -> None:
    """Nobody sees time run backwards for a correction."""
    clocks = Clocks()
    clocks.here_ms = clocks.there_ms = BACK_MS // 2
    clocks.hears()
    clocks.here_ms = clocks.there_ms = 0
    clocks.hears()
    assert clocks.now() == BACK_MS // 2


def test_the_past_of_a_log_moves_nothing() -> None:
    """Nor does a reader that is behind."""
    clocks = Clocks()
    assert clocks.hears(lag_ms=30 * 24 * HOUR_MS) == 1000 - 30 * 24 * HOUR_MS
    assert clocks.now() == 0
