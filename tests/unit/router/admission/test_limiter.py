"""The limit on slates that are made at a time."""

from __future__ import annotations

import heapq

import pytest

from router.admission.limiter import Bounds, Limiter, moved

BOUNDS = Bounds(goal_ms=60, floor=8, start=128, ceiling=1024)


@pytest.mark.parametrize(
    ("limit", "median_ms", "most", "after"),
    [
        (100, 90, 100, 80),  # over the goal: less than was in flight
        (500, 90, 50, 40),  # however high the limit stood
        (9, 90, 9, 8),  # the floor
        (100, 10, 100, 110),  # within it, and reached: more
        (100, 10, 79, 100),  # not reached: nothing is known
        (1020, 10, 1020, 1024),  # the ceiling
    ],
)
def test_the_limit_moves_as_the_rules_say(limit: float, median_ms: float, most: int, after: float) -> None:
    """One window each."""
    assert moved(limit, median_ms, most, BOUNDS) == pytest.approx(after)


def test_beyond_the_limit_nobody_is_admitted() -> None:
    """Until somebody leaves."""
    limiter = Limiter(Bounds(goal_ms=60, start=2))
    admitted = [limiter.admit() for _ in range(3)]
    limiter.leave()
    assert (admitted, limiter.admit(), limiter.shed) == ([True, True, False], True, 1)


def test_a_slow_minority_does_not_move_it() -> None:
    """One shard of three that hangs is not overload."""
    limiter = Limiter(BOUNDS)
    for _ in range(100):
        limiter.admit()
    for number in range(512):
        limiter.observe(190 if number % 3 == 0 else 5)
    assert limiter.limit >= BOUNDS.start


def overloaded(rate_per_s: float, capacity_per_s: float, seconds: float = 20.0) -> tuple[Limiter, list[float]]:
    """An open loop against one server that works first come, first served; the latencies of the last half, in ms."""
    limiter, leaving, latencies = Limiter(BOUNDS), list[tuple[float, float]](), list[float]()
    free_at = 0.0
    for number in range(int(rate_per_s * seconds)):
        now = number / rate_per_s
        while leaving and leaving[0][0] <= now:
            at, ms = heapq.heappop(leaving)
            limiter.leave()
            limiter.observe(ms)
            if at > seconds / 2:
                latencies.append(ms)
        if limiter.admit():
            free_at = max(free_at, now) + 1 / capacity_per_s
            heapq.heappush(leaving, (free_at, (free_at - now) * 1000))
    return limiter, latencies


@pytest.mark.parametrize("capacity_per_s", [150, 500, 2000])
def test_at_five_times_the_capacity_it_is_used_up_and_answers_are_in_time(capacity_per_s: float) -> None:
    """The server never runs dry, and nobody who was admitted waits for longer than half of 200 ms."""
    limiter, latencies = overloaded(5 * capacity_per_s, capacity_per_s)
    assert len(latencies) > 0.95 * capacity_per_s * 10
    assert max(latencies) < 100
    assert limiter.shed > 0


def test_below_the_capacity_nobody_is_turned_away() -> None:
    """Four fifths of what the server can do."""
    assert overloaded(400, 500)[0].shed == 0
