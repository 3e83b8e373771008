"""The verdict on a soak: it passes only where something was done, and nothing grew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.chaos.soak import Flatness, Soaked, Weight, flatness
from cli.chaos.tally import Tally

FLAT = Flatness("shard-0", Weight(100 << 20, 50), Weight(104 << 20, 51))


def soaked(**counts: int) -> Soaked:
    """Thirty minutes at ten requests a second, all well but for the counts given."""
    tally = Tally()
    tally.counts.update({"requests": 18_000, **counts})
    return Soaked(30.0, 10.0, 29, tally, (FLAT,))


def test_a_soak_passes_where_all_is_well() -> None:
    """A swap that is just due at the end may be missing."""
    assert soaked().passed


@pytest.mark.parametrize(
    "bad",
    [
        soaked(failed=1),
        soaked(wrong=1),
        soaked(late=2),
        replace(soaked(), tally=Tally()),
        replace(soaked(), swaps=28),
        replace(soaked(), processes=(FLAT, replace(FLAT, late=Weight(106 << 20, 50)))),
        replace(soaked(), processes=(FLAT, replace(FLAT, late=Weight(100 << 20, 53)))),
    ],
    ids=["failed", "wrong", "late", "nothing asked", "swaps missing", "memory grew", "descriptors grew"],
)
def test_a_soak_fails(bad: Soaked) -> None:
    """By any one of these."""
    assert not bad.passed


def test_early_is_the_second_quarter() -> None:
    """The first is for warming up."""
    grown = [Weight(size, 10) for size in (50, 100, 100, 100)]
    assert flatness("shard-0", grown).is_flat
