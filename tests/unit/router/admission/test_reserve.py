"""The reserve that the router keeps for itself."""

from __future__ import annotations

from collections.abc import Sequence

from router.admission.reserve import SAMPLES_MAX, Bounds, Reserve

BOUNDS = Bounds(start_ms=15, floor_ms=10, ceiling_ms=60)


def taught(usual_ms: list[float], late_ms: Sequence[float] = ()) -> float:
    """The reserve after these samples."""
    reserve = Reserve(BOUNDS)
    for ms in usual_ms:
        reserve.learn(ms, late=False)
    for ms in late_ms:
        reserve.learn(ms, late=True)
    return reserve.ms


def test_at_first_it_is_what_the_configuration_says() -> None:
    """A few samples change nothing."""
    assert taught([1.0] * 32) == 15


def test_it_falls_to_the_floor_where_the_router_is_quick() -> None:
    """And no further."""
    assert taught([0.3] * 128) == 10


def test_it_grows_with_what_the_router_takes() -> None:
    """The slowest in a hundred, half as much again."""
    assert taught([20.0] * 128) == 30


def test_it_never_takes_more_than_the_ceiling() -> None:
    """Shards must get something, too."""
    assert taught([500.0] * 128) == 60


def test_quick_answers_do_not_outvote_late_ones() -> None:
    """It is for these that there is a reserve."""
    assert taught([0.3] * SAMPLES_MAX, [30.0] * 8) == 45
