"""What is kept of a user's events follows from the set of events, in whatever order and however often they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shard.online.state import LASTING, NO_EVENTS, Event, Events, applied
from trunkshow.online.positions import Position
from trunkshow.online.weights import SHARES

KINDS = sorted(SHARES)

MOST = 8
"""Events that are kept of a user, here."""


def event(key: int, count: int) -> Event:
    """The one event of this id, as it stands at some place of the log."""
    spread = key * 2654435761 % 2**32
    return Event(key, f"i{spread % 7}", KINDS[spread % len(KINDS)], spread % 50, Position("log", 0, count))


def after(events: list[Event], most: int = MOST) -> Events:
    """All of them, one by one."""
    kept = NO_EVENTS
    for one in events:
        kept = applied(kept, one, most).events
    return kept


few = st.lists(st.builds(event, st.integers(1, MOST), st.integers(1, 40)), max_size=3 * MOST)
many = st.lists(st.builds(event, st.integers(1, 4 * MOST), st.integers(1, 40)), min_size=MOST, max_size=6 * MOST)


@given(many, st.data())
def test_neither_order_nor_repetition_matters(events: list[Event], data: st.DataObject) -> None:
    """Any permutation, with any of them twice, gives an equal state."""
    again = data.draw(st.lists(st.sampled_from(events), max_size=20))
    shuffled = data.draw(st.randoms(use_true_random=False))
    mixed = events + again
    shuffled.shuffle(mixed)
    assert after(mixed) == after(events)


@given(few)
def test_of_an_event_that_stands_twice_in_the_log_the_first_place_counts(events: list[Event]) -> None:
    """By it a snapshot is asked whether it has the event."""
    for kept in after(events):
        assert kept.at == min(one.at for one in events if one.key == kept.key)


@given(few)
def test_nothing_is_lost_below_the_limit(events: list[Event]) -> None:
    """Every id is there once."""
    assert sorted(one.key for one in after(events)) == sorted({one.key for one in events})


@given(many)
def test_beyond_the_limit_the_oldest_of_the_passing_ones_go_first(events: list[Event]) -> None:
    """What lasts stays as long as anything passing is kept, and nothing kept is older than what went of its kind."""
    kept = after(events)
    assert len(kept) == min(MOST, len({one.key for one in events}))
    gone = {one.key: one for one in events if one.key not in {kept.key for kept in kept}}.values()
    if any(one.interaction in LASTING for one in gone):
        assert all(one.interaction in LASTING for one in kept)
    for lasting in (False, True):
        stayed = [one.time_ms for one in kept if (one.interaction in LASTING) == lasting]
        went = [one.time_ms for one in gone if (one.interaction in LASTING) == lasting]
        assert not stayed or not went or max(went) <= min(stayed)


@given(few)
def test_what_is_known_changes_nothing(events: list[Event]) -> None:
    """The very value stays, so that what was made from it can be used on."""
    kept = after(events)
    for one in kept:
        assert applied(kept, one).events is kept
