"""When a process is started again: a pure function of how its lives went."""

from __future__ import annotations

import pytest

from cli.restarts import BACKOFF, HEALTHY_S, GiveUp, Life, Restart, decide

CRASH = Life(seconds=1, exit_code=1, was_up=True)
LONG_LIFE = Life(seconds=HEALTHY_S, exit_code=1, was_up=True)
STILLBIRTH = Life(seconds=0.1, exit_code=1, was_up=False)


@pytest.mark.parametrize(("crashes", "times"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_the_wait_doubles_with_every_short_life(crashes: int, times: int) -> None:
    """Each short life in a row doubles the wait before the next."""
    assert decide([CRASH] * crashes) == Restart(times * BACKOFF.first_s)


def test_the_wait_has_an_upper_bound() -> None:
    """However often a process crashed, it is tried again within the longest delay."""
    assert decide([CRASH] * 2_000) == Restart(BACKOFF.longest_s)


def test_a_long_life_forgives_what_came_before() -> None:
    """After a life of HEALTHY_S the wait is the first one again."""
    assert decide([CRASH, CRASH, CRASH, LONG_LIFE]) == Restart(BACKOFF.first_s)
    assert decide([CRASH, CRASH, LONG_LIFE, CRASH]) == Restart(BACKOFF.first_s)


def test_a_running_cluster_never_gives_up() -> None:
    """Once the cluster was up, no number of crashes and no exit code makes it give a process up."""
    assert isinstance(decide([STILLBIRTH, STILLBIRTH, CRASH]), Restart)
    assert isinstance(decide([Life(0.1, 2, was_up=True)] * 32), Restart)


def test_a_process_that_never_comes_up_is_given_up() -> None:
    """Three deaths before the cluster was up are a misconfiguration, not bad luck."""
    assert isinstance(decide([STILLBIRTH] * 2), Restart)
    assert isinstance(decide([STILLBIRTH] * 3), GiveUp)


def test_a_process_that_calls_its_input_wrong_is_given_up_at_once() -> None:
    """Exit code 2 before the cluster was up says that starting again would not help."""
    assert isinstance(decide([Life(0.1, 2, was_up=False)]), GiveUp)
