"""The limit keeps to its bounds whatever is seen, and tells a slow network from overload whatever the figures are."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "router" / "admission"))

from queueing import Cluster, asked

from router.admission.limit import Bounds, Limit, Window, after
from router.admission.limiter import Limiter

BOUNDS = Bounds(goal_ms=60, deadline_ms=200, floor=2, start=128, ceiling=512)
MEDIANS = st.one_of(st.floats(0.01, 1000), st.just(math.inf), st.sampled_from([60.0, 65.0]))
WINDOWS = st.builds(Window, st.integers(1, 4096), MEDIANS, st.floats(1, 600), st.integers(0, 600))


@given(st.lists(WINDOWS, max_size=60))
def test_the_limit_keeps_to_its_bounds(windows: list[Window]) -> None:
    """And so does what it believes: the base lies below the deadline, and the goal with it."""
    limit = Limit(float(BOUNDS.start))
    for seen in windows:
        limit = after(limit, seen, BOUNDS)
        assert BOUNDS.floor <= limit.now <= BOUNDS.ceiling
        assert 0 <= limit.base_ms <= 150
        assert BOUNDS.goal_ms <= limit.goal_ms(BOUNDS) < BOUNDS.deadline_ms


@settings(max_examples=15)
@given(st.floats(1, 130), st.floats(20, 900), st.integers(0, 99))
def test_what_load_does_not_cause_sheds_hardly_anybody(network_ms: float, rate: float, seed: int) -> None:
    """However long a network takes, however many ask: in the long run at least 98 of 100 are admitted."""
    seconds = 20_000 / rate
    seen = asked(Limiter(BOUNDS), Cluster(lambda _: network_ms), lambda _: rate, seconds, seed)
    assert seen.between(seconds / 2, seconds).admitted > 0.98


@settings(max_examples=15)
@given(st.integers(1, 16), st.floats(1, 40), st.floats(1.5, 8), st.floats(0, 30), st.integers(0, 99))
def test_overload_costs_little_of_what_can_be_done(
    servers: int, work_ms: float, times: float, network_ms: float, seed: int
) -> None:
    """However many servers, however far beyond what they can do: four fifths of that are good answers."""
    cluster = Cluster(lambda _: network_ms, servers, work_ms, spread=0.3)
    rate = times * cluster.capacity
    assume(cluster.capacity > 100)
    seconds = 20_000 / rate
    seen = asked(Limiter(BOUNDS), cluster, lambda _: rate, seconds, seed).between(seconds / 2, seconds)
    assert seen.good > 0.8 * cluster.capacity * seconds / 2
    assert seen.good > 0.95 * len(seen.answered_ms)
