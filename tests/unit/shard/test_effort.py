"""With less time than predictions lately took, a shard does less, and nothing where nothing would be in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.effort import MARGIN_MS, WAIT_MS_MAX, WORK, Costs, partitions_of
from trunkshow.v1 import recommendation_pb2 as pb

FULL, REDUCED, MINIMAL, NONE = pb.EFFORT_FULL, pb.EFFORT_REDUCED, pb.EFFORT_MINIMAL, pb.EFFORT_UNSPECIFIED
times = st.lists(st.floats(0.01, 500), min_size=1, max_size=50)


def steady(ms: float, effort: pb.Effort = FULL, partitions: int = 1) -> Costs:
    """After a long time in which every prediction took the same."""
    costs = Costs()
    for _ in range(100):
        costs.learn(effort, partitions, ms)
    return costs


def test_where_nothing_is_known_everything_is_tried() -> None:
    """Somebody must be the first."""
    assert Costs().choose(5, 1) == FULL


@pytest.mark.parametrize(("left", "chosen"), [(11, FULL), (8, REDUCED), (5, MINIMAL), (3, NONE)])
def test_effort_falls_with_the_time_left(left: float, chosen: pb.Effort) -> None:
    """Predictions that take 9 ms: all of it, six tenths, three tenths, nothing."""
    assert steady(9).choose(left, 1) == chosen


def test_a_smaller_efforts_own_cost_counts_where_it_is_known() -> None:
    """Not the share that it was taken for."""
    costs = steady(9)
    for _ in range(100):
        costs.learn(REDUCED, 1, 8.5)
    assert costs.choose(8, 1) == MINIMAL


def test_more_partitions_are_another_matter() -> None:
    """What eight of them cost says nothing of one."""
    costs = steady(90, partitions=8)
    assert (costs.choose(10, 1), costs.choose(10, 8)) == (FULL, NONE)


def test_times_that_vary_cost_more_than_their_mean() -> None:
    """Half of them would be late otherwise."""
    costs = Costs()
    for turn in range(200):
        costs.learn(FULL, 1, 1 if turn % 2 else 9)
    assert costs.expected_ms(FULL, 1) > 9


@given(taken=times, left=st.floats(0, 1000))
def test_without_time_nothing_is_begun(taken: list[float], left: float) -> None:
    """Whatever was learned; and with any effort chosen there is time for it."""
    costs = Costs()
    for ms in taken:
        costs.learn(FULL, 1, ms)
    expected = {effort: costs.expected_ms(effort, 1) for effort in WORK}
    chosen = costs.choose(left, 1)
    if left <= MARGIN_MS:
        assert chosen == NONE
    if chosen != NONE:
        assert left - MARGIN_MS >= expected[chosen]


def test_who_set_no_deadline_is_not_waited_for_by_the_hour() -> None:
    """Most of a short time, and some seconds of a long one."""
    assert steady(9).spare_ms(200, 1) == pytest.approx(140)
    assert steady(9).spare_ms(3_600_000, 1) == WAIT_MS_MAX


@given(taken=times)
def test_no_past_keeps_a_shard_from_working_for_ever(taken: list[float]) -> None:
    """However long predictions took once, full effort is tried again, with 20 ms to spare."""
    costs = Costs()
    for ms in taken:
        costs.learn(FULL, 1, ms)
    chosen = [costs.choose(20, 1) for _ in range(500)]
    assert chosen[-1] == FULL


def test_a_process_that_was_stopped_soon_works_as_before() -> None:
    """One prediction that took a minute counts as a few long ones."""
    costs = steady(1)
    costs.learn(FULL, 1, 60_000)
    for _ in range(50):
        costs.learn(FULL, 1, 1)
    assert costs.choose(5, 1) == FULL


@pytest.mark.parametrize(
    ("effort", "asked", "looked_in"), [(FULL, 8, 8), (REDUCED, 8, 4), (REDUCED, 1, 1), (MINIMAL, 8, 1)]
)
def test_less_effort_looks_in_fewer_partitions(effort: pb.Effort, asked: int, looked_in: int) -> None:
    """But always in one."""
    assert partitions_of(effort, asked) == looked_in
