"""An event that is sent again is known for as long as was chosen, however many come; what knows it is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkshow.online import ids
from trunkshow.online.ids import AHEAD_MS, KEPT_S, LEAST, KnownIds

NOW_MS = 1_700_000_000_000
KEPT_MS = round(KEPT_S * 1000)
LATEST_MS = NOW_MS + 10 * KEPT_MS
"""So late that nothing is in doubt."""


def test_what_was_heard_is_known_for_a_day_and_forgotten_after_two() -> None:
    """As of when it was recorded; tables that are full get another, and nothing is lost between them."""
    known, many = KnownIds(), 4 * LEAST
    assert all(known.is_new(f"e{at}", LATEST_MS, NOW_MS) for at in range(many))
    assert not any(known.is_new(f"e{at}", LATEST_MS, NOW_MS + KEPT_MS - 1) for at in range(many))
    assert not any(known.is_new(f"e{at}", LATEST_MS, NOW_MS + KEPT_MS) for at in range(many))
    assert len(known) == many
    assert known.is_new("e0", LATEST_MS, NOW_MS + 2 * KEPT_MS)


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are known; so much memory, and no more, is taken."""
    monkeypatch.setattr(ids, "IDS_MAX", 1000)
    known = KnownIds()
    assert all(known.is_new(f"e{at}", LATEST_MS, NOW_MS) for at in range(10_000))
    assert len(known) <= 2000
    assert not any(known.is_new(f"e{at}", LATEST_MS, NOW_MS) for at in range(9000, 10_000))


def test_a_generation_begins_as_large_as_the_last_one_was() -> None:
    """And no larger."""
    known = KnownIds()
    for at in range(3 * LEAST):
        known.is_new(f"e{at}", LATEST_MS, NOW_MS)
    known.is_new("next", LATEST_MS, NOW_MS + KEPT_MS)
    assert [table.slots for table in known._lately] == [4 * LEAST]


def test_a_log_that_goes_back_is_no_new_day() -> None:
    """A lane that is read more slowly makes nobody forget."""
    known = KnownIds()
    known.is_new("e1", LATEST_MS, NOW_MS)
    for turn in range(6):
        known.is_new(f"x{turn}", LATEST_MS, NOW_MS - (turn % 2) * 3 * KEPT_MS)
    assert not known.is_new("e1", LATEST_MS, NOW_MS)


def test_as_long_as_no_id_went_nothing_is_in_doubt() -> None:
    """However long ago it happened: it cannot have been counted here."""
    known = KnownIds()
    assert not known.doubts(0)
    known.is_new("e1", LATEST_MS, NOW_MS)
    known.is_new("e2", LATEST_MS, NOW_MS + KEPT_MS)
    assert not known.doubts(0)
    known.is_new("e3", LATEST_MS, NOW_MS + 2 * KEPT_MS)
    assert [known.doubts(NOW_MS + AHEAD_MS + more) for more in (-1, 0, 1)] == [True, True, False]


times = st.integers(0, 40_000_000)
sent = st.lists(st.tuples(st.integers(0, 30), st.integers(-AHEAD_MS, 3_000_000), st.integers(0, 900_000)), max_size=120)


@given(st.dictionaries(st.integers(0, 30), times, min_size=31, max_size=31), sent, st.sampled_from([4, 1000]))
def test_however_late_it_comes_again_nothing_is_counted_twice(
    happened: dict[int, int], sendings: list[tuple[int, int, int]], ids_max: int
) -> None:
    """And what comes for the first time, within the time that ids are kept and while they fit, is counted.

    Each sending is of an event, so long after it happened; that is when it is received, lanes apart by so much.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ids, "IDS_MAX", ids_max)
        kept_s = 1800.0
        known, counted = KnownIds(kept_s), set[int]()
        for number, late_ms, apart_ms in sorted(sendings, key=lambda one: happened[one[0]] + one[1] + one[2]):
            time_ms = NOW_MS + happened[number]
            is_new = known.is_new(f"e{number}", time_ms, time_ms + late_ms)
            assert not (is_new and number in counted)
            if number not in counted and late_ms + apart_ms + AHEAD_MS < kept_s * 1000 and ids_max == 1000:
                assert is_new
            counted.update([number] if is_new else [])
