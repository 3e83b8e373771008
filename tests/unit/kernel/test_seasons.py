"""What is expected in an hour: hours that pass with nobody there."""

from __future__ import annotations

import numpy as np
import pytest

from trunkshow.stream import surging
from trunkshow.stream.seasons import Seasons
from trunkshow.stream.trending import Trending
from trunkshow.v1 import events_pb2 as pb

BEGAN = 480_000
ITEMS = 5
NOTHING = np.zeros(ITEMS)


def a_week() -> Seasons:
    """Of items that have their own hours."""
    seasons, rows = Seasons(ITEMS), np.arange(ITEMS)
    seasons.meet(rows)
    for hour in range(BEGAN, BEGAN + 7 * 24):
        seasons.learn(hour, (rows + 1) * (2.0 if hour % 24 >= 12 else 0.5))
    return seasons


@pytest.mark.parametrize("hours", [0, 1, 9, 100])
def test_hours_that_pass_silently_count_as_if_each_were_learned(hours: int) -> None:
    """But for the shop's week, which is fitted once instead of every hour."""
    first = BEGAN + 7 * 24
    learned, passed = a_week(), a_week()
    for hour in range(first, first + hours):
        learned.learn(hour, NOTHING)
    passed.pass_silently(first, first + hours)
    rows, ahead = np.arange(ITEMS), np.arange(first + hours, first + hours + 48)
    assert np.allclose(passed.totals, learned.totals)
    assert np.allclose(passed.rates(rows, ahead), learned.rates(rows, ahead), rtol=0.1)


def test_a_clock_that_jumps_by_years_costs_one_hours_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done on the event loop: 168 hours, one by one and for every group, kept shoppers waiting for seconds."""
    learned: list[int] = []

    class Counted(Seasons):
        """Counts."""

        def learn(self, hour: int, counts: surging.Numbers) -> None:
            """One more."""
            learned.append(hour)
            super().learn(hour, counts)

    monkeypatch.setattr(surging, "Seasons", Counted)
    trending: Trending[str] = Trending()
    trending.record("dress", pb.INTERACTION_CLICK, 3600.0 * BEGAN, 3600.0 * BEGAN)
    trending.top(3600.0 * (BEGAN + 24 * 365 * 8), 10)
    assert learned == [BEGAN]


def test_a_clock_that_jumped_and_was_set_right_does_not_keep_trends_in_the_future() -> None:
    """A surge afterwards is found, and what was counted as of the moment that never came is not counted."""
    trending: Trending[str] = Trending(usual_share=lambda item: 0.01)
    now = 3600.0 * BEGAN

    def clicks(item: str, times: int) -> None:
        for _ in range(times):
            trending.record(item, pb.INTERACTION_CLICK, now, now)

    clicks("dress", 1)
    assert trending.top(now + 86_400 * 400, 10) == []
    for item in range(40):
        clicks(f"i{item}", 10)
    assert trending.top(now + 60, 10) == []
    now += 120
    for item in range(40):
        clicks(f"i{item}", 10)
    clicks("dress", 300)
    assert [one.item for one in trending.top(now, 10)][:1] == ["dress"]
