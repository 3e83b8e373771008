"""A deadline only ever shrinks."""

from __future__ import annotations

import pytest

from trunkshow.serving.deadline import Deadline

NOW = 1000.0


def test_a_caller_without_a_deadline_gets_the_default() -> None:
    """No deadline on the wire means the default one."""
    assert Deadline.of_call(None, 200, NOW).remaining_ms(NOW) == pytest.approx(200)


def test_a_shorter_deadline_of_the_caller_wins() -> None:
    """A caller in more of a hurry than the default is believed."""
    assert Deadline.of_call(0.05, 200, NOW).remaining_ms(NOW) == pytest.approx(50)


def test_a_longer_deadline_of_the_caller_is_cut_to_the_default() -> None:
    """A caller with more patience than the default is answered within the default."""
    assert Deadline.of_call(30, 200, NOW).remaining_ms(NOW) == pytest.approx(200)


def test_what_is_left_is_never_negative() -> None:
    """After the moment nothing is left."""
    assert Deadline(NOW).remaining_ms(NOW + 1) == 0


def test_shortening_by_a_negative_time_does_not_lengthen() -> None:
    """A nested deadline never outlives its parent."""
    parent = Deadline(NOW)
    assert parent.shortened(-50) == parent


def test_a_reserve_is_kept_out_of_what_is_left() -> None:
    """The reserve is what the nested step does not get."""
    assert Deadline.after(200, NOW).reserving(15, NOW).remaining_ms(NOW) == pytest.approx(185)


def test_a_reserve_takes_at_most_half_of_a_short_deadline() -> None:
    """A caller in a hurry still gets shards asked."""
    assert Deadline.after(10, NOW).reserving(15, NOW).remaining_ms(NOW) == pytest.approx(5)
