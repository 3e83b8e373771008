"""A canary's group is stable, and as large as asked for."""

from __future__ import annotations

import pytest

from router.served.canary_group import SHARE_MAX, Group

USERS = [f"user-{number}" for number in range(20_000)]


def test_a_group_is_as_large_as_asked_for() -> None:
    """5 % of 20,000 users are 1,000, give or take three standard deviations."""
    group = Group("v2", 0.05)
    assert sum(user in group for user in USERS) == pytest.approx(1000, abs=93)


def test_a_group_is_stable() -> None:
    """Whichever router asks."""
    assert [user in Group("v2", 0.3) for user in USERS] == [user in Group("v2", 0.3) for user in USERS]


def test_a_larger_share_keeps_who_is_in() -> None:
    """Nobody is sent back."""
    assert {user for user in USERS if user in Group("v2", 0.05)} <= {user for user in USERS if user in Group("v2", 0.2)}


def test_the_next_canary_has_another_group() -> None:
    """Not the same users every time: of 5 %, 5 % are in both by chance."""
    both = sum(user in Group("v2", 0.05) and user in Group("v3", 0.05) for user in USERS)
    assert both == pytest.approx(50, abs=25)


def test_somebody_is_left_to_compare_with() -> None:
    """Also where the canary is meant for everybody."""
    assert sum(user in Group("v2", 1.0) for user in USERS) / len(USERS) == pytest.approx(SHARE_MAX, abs=0.01)


def test_a_canary_of_none_has_nobody() -> None:
    """A share of 0."""
    assert not any(user in Group("v2", 0.0) for user in USERS)
