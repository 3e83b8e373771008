"""An event that is sent again within an hour is known, however many come; what knows it is bounded."""

from __future__ import annotations

import pytest

from shard.online import ids
from shard.online.ids import KEPT_MS, LEAST, KnownIds

NOW_MS = 1_700_000_000_000


def test_what_was_heard_is_known_for_an_hour_and_forgotten_after_two() -> None:
    """As of when it was recorded; tables that are full get another, and nothing is lost between them."""
    known, many = KnownIds(), 4 * LEAST
    assert all(known.is_new(f"e{at}", NOW_MS) for at in range(many))
    assert not any(known.is_new(f"e{at}", NOW_MS + KEPT_MS - 1) for at in range(many))
    assert not any(known.is_new(f"e{at}", NOW_MS + KEPT_MS) for at in range(many))
    assert len(known) == many
    assert known.is_new("e0", NOW_MS + 2 * KEPT_MS)


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are known; so much memory, and no more, is taken."""
    monkeypatch.setattr(ids, "IDS_MAX", 1000)
    known = KnownIds()
    assert all(known.is_new(f"e{at}", NOW_MS) for at in range(10_000))
    assert len(known) <= 2000
    assert not any(known.is_new(f"e{at}", NOW_MS) for at in range(9000, 10_000))


def test_a_generation_begins_as_large_as_the_last_one_was() -> None:
    """And no larger."""
    known = KnownIds()
    for at in range(3 * LEAST):
        known.is_new(f"e{at}", NOW_MS)
    known.is_new("next", NOW_MS + KEPT_MS)
    assert [table.slots for table in known._lately] == [4 * LEAST]


def test_a_log_that_goes_back_is_no_new_hour() -> None:
    """A lane that is read more slowly makes nobody forget."""
    known = KnownIds()
    known.is_new("e1", NOW_MS)
    for turn in range(6):
        known.is_new(f"x{turn}", NOW_MS - (turn % 2) * 3 * KEPT_MS)
    assert not known.is_new("e1", NOW_MS)
