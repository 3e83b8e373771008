"""The sweep finds the least setting that reaches the recall asked for."""

from collections.abc import Callable

import pytest

from bench.peers.sweep import Swept, sweep


def swept(
    recall: Callable[[int], float], low: int = 10, high: int = 1000, aim: float = 0.98
) -> tuple[Swept, list[int]]:
    """What a sweep comes to where settings recall so much, and what it tried."""
    trying, tried = sweep(low, high, aim), []
    knob = next(trying)
    while True:
        tried.append(knob)
        try:
            knob = trying.send(recall(knob))
        except StopIteration as over:
            return over.value, tried


@pytest.mark.parametrize("needed", [10, 11, 37, 64, 500, 999, 1000])
def test_the_least_setting_that_reaches_the_aim_is_found(needed: int) -> None:
    """One less would not do, and nothing above it is chosen."""
    found, _ = swept(lambda knob: 0.98 if knob >= needed else 0.979)
    assert found == Swept(needed, 0.98)


def test_where_nothing_reaches_the_aim_the_highest_is_told_with_what_it_found() -> None:
    """That it is not equal can be seen."""
    found, _ = swept(lambda knob: knob / 2000)
    assert found == Swept(1000, 0.5)
    assert not found.equal()


def test_a_sweep_tries_few_settings() -> None:
    """Twice the logarithm of the range."""
    _, tried = swept(lambda knob: 0.98 if knob >= 700 else 0.1)
    assert len(tried) <= 2 * 10
    assert len(set(tried)) == len(tried)


@pytest.mark.parametrize(("recall", "equal"), [(0.98, True), (0.9851, False), (0.9749, False), (0.9849, True)])
def test_equal_is_within_the_tolerance_on_both_sides(recall: float, equal: bool) -> None:
    """Finding much more is not equal either: it could have been faster."""
    assert Swept(1, recall).equal() is equal
