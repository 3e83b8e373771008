"""When a second replica is asked, and what that may cost."""

from __future__ import annotations

import pytest

from trunkshow.hedging import Patience


@pytest.mark.parametrize(("p95_ms", "patience_ms"), [(0.0, 30), (1.0, 5), (12.0, 12), (500.0, 80)])
def test_patience_is_the_p95_within_bounds(p95_ms: float, patience_ms: float) -> None:
    """A default before there is one, a floor and a ceiling after."""
    assert Patience(default_ms=30, floor_ms=5, ceiling_ms=80).of(p95_ms) == patience_ms
