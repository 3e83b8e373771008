"""Where the limit goes from a window of answers: one claim of the rules each."""

from __future__ import annotations

import math

import pytest

from router.admission.limit import (
    ABOVE_MAX,
    BASE_ANSWERS,
    BY_LOAD_ANSWERS,
    Belief,
    Bounds,
    Limit,
    Trial,
    Window,
    after,
)

BOUNDS = Bounds(goal_ms=60, deadline_ms=200, floor=4)
FULL = 20
FOREVER = Belief(10**6, 10**6)


def seen(median_ms: float, in_flight: float = FULL, most: int | None = None, answers: int = 64) -> Window:
    """A window of so many in flight."""
    return Window(answers, median_ms, in_flight, math.ceil(in_flight) if most is None else most)


@pytest.mark.parametrize(
    ("limit", "median_ms", "most", "now"),
    [
        (100, 10, 100, 110),  # reached: more
        (100, 10, 79, 100),  # not reached: nothing is known
        (1020, 10, 1020, 1024),  # the ceiling
        (100, math.inf, 100, 50),  # in vain: half
        (500, math.inf, 50, 25),  # however high the limit stood
        (5, math.inf, 5, 4),  # the floor
    ],
)
def test_within_the_goal_it_grows_and_in_vain_it_falls(limit: float, median_ms: float, most: int, now: float) -> None:
    """One window each."""
    assert after(Limit(limit), seen(median_ms, most, most), BOUNDS).now == now


def test_above_the_goal_a_trial_begins() -> None:
    """With three fifths of what was in flight, however high the limit stood."""
    limit = after(Limit(128), seen(90), BOUNDS)
    assert (limit.now, limit.trial) == (0.6 * FULL, Trial(128, 90, FULL))


@pytest.mark.parametrize("median_ms", [54, 60, 68])
def test_a_fall_that_helps_is_kept(median_ms: float) -> None:
    """In proportion, or at least half of it: load is the cause, and the limit stays down."""
    limit = after(Limit(12, trial=Trial(128, 90, FULL)), seen(median_ms, 12), BOUNDS)
    assert (limit.now, limit.trial, bool(limit.by_load), limit.base_ms) == (12, None, True, 0)


@pytest.mark.parametrize("median_ms", [72, 90, 110])
def test_a_fall_that_does_not_help_is_given_back(median_ms: float) -> None:
    """Load is not the cause; what answers take is the base of a goal that the deadline still allows."""
    limit = after(Limit(12, trial=Trial(128, 90, FULL)), seen(median_ms, 12), BOUNDS)
    base = min(median_ms, 90)
    assert (limit.now, limit.trial, bool(limit.by_load), limit.base_ms) == (128, None, False, base)
    assert limit.goal_ms(BOUNDS) == pytest.approx(base + 0.3 * (200 - base))


def test_within_the_goal_of_a_base_nothing_falls() -> None:
    """80 ms of a slow network leave 120, of which queues may take a third."""
    limit = Limit(128, base_ms=80, base=FOREVER)
    assert after(limit, seen(115), BOUNDS).now == 128
    assert after(limit, seen(117), BOUNDS).trial is not None


def test_a_base_is_never_more_than_what_was_seen_since() -> None:
    """The network got better."""
    assert after(Limit(128, base_ms=80, base=FOREVER), seen(7), BOUNDS).base_ms == 7


def test_a_base_is_forgotten_in_time_and_believed_for_longer_when_it_is_found_again() -> None:
    """So that what is looked for again and again costs less and less."""
    failed_to_help = seen(90, 12)
    first = after(Limit(12, trial=Trial(128, 90, FULL)), failed_to_help, BOUNDS)
    old = after(first, seen(90, answers=BASE_ANSWERS), BOUNDS)
    assert (first.base.left, old.base_ms, old.trial is not None) == (BASE_ANSWERS, 0, True)
    assert after(old, failed_to_help, BOUNDS).base.left == 2 * BASE_ANSWERS


def test_while_load_is_known_for_the_cause_it_falls_without_a_trial() -> None:
    """To four fifths of what was in flight."""
    limit = after(Limit(128, by_load=FOREVER), seen(70), BOUNDS)
    assert (limit.now, limit.trial) == (0.8 * FULL, None)


def test_falls_in_a_row_that_do_not_help_end_in_a_trial() -> None:
    """Which gives back all that was taken since the first of them."""
    limit = Limit(20, by_load=FOREVER)
    for _ in range(ABOVE_MAX + 1):
        assert limit.trial is None
        limit = after(limit, seen(90, limit.now), BOUNDS)
    assert limit.trial is not None
    assert after(limit, seen(90, limit.now), BOUNDS).now == 20


def test_that_load_is_the_cause_is_doubted_in_time() -> None:
    """A trial once in so many answers."""
    limit = after(Limit(12, trial=Trial(128, 90, FULL)), seen(54, 12), BOUNDS)
    assert after(limit, seen(70, 12, answers=BY_LOAD_ANSWERS - 1), BOUNDS).trial is None
    assert after(limit, seen(70, 12, answers=BY_LOAD_ANSWERS), BOUNDS).trial is not None


def test_at_the_floor_a_trial_lets_more_in() -> None:
    """There is nothing left to take away."""
    limit = after(Limit(4), seen(90, 4), BOUNDS)
    assert limit.now == pytest.approx(4 / 0.6)
    assert after(limit, seen(90, 6.5), BOUNDS).now == limit.now
    assert after(limit, seen(150, 6.5), BOUNDS).now == 4


def test_a_limit_in_nobodys_way_stays() -> None:
    """So few are in flight that none can be taken away, and there is room."""
    assert after(Limit(128), seen(90, 3), BOUNDS) == Limit(128, before=128)


def test_a_trial_that_nobody_came_to_says_nothing() -> None:
    """More were let in, and did not come."""
    limit = after(Limit(6.6, trial=Trial(4, 90, 4)), seen(90, 4.2), BOUNDS)
    assert (limit.now, limit.trial, bool(limit.by_load), limit.base_ms) == (4, None, False, 0)


def test_a_trial_in_which_most_came_to_nothing_is_no_proof() -> None:
    """Who was given up would have taken longer still."""
    limit = after(Limit(64, trial=Trial(128, 180, 100)), seen(math.inf, 60), BOUNDS)
    assert (limit.now, limit.trial, limit.base_ms) == (30, None, 0)
