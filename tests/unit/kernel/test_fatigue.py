"""Impression fatigue: what was shown often and never taken up sinks, and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkshow.stream.fatigue import IMPRESSIONS_MAX, MINUTE_MS, RULE, Impressions, key_of, sink

NOW = 1_700_000_000_000
HOUR = 3_600_000
HAT, SHOE = key_of("hat"), key_of("shoe")
NEVER = -1


def minute(time_ms: int) -> int:
    """In which a moment is."""
    return time_ms // MINUTE_MS


def hourly(times: int) -> list[int]:
    """The minutes of so many impressions, an hour apart, the last one just now."""
    return [minute(NOW - hours * HOUR) for hours in range(times)]


def shown(times: int, item: int = HAT) -> Impressions:
    """One item, shown so often."""
    impressions = Impressions()
    for at in hourly(times):
        impressions.record(item, at)
    return impressions


def discount(minutes: list[int], acted_ms: int = NEVER, now_ms: int = NOW) -> float:
    """Of an item that was shown in these minutes."""
    return RULE.discount(RULE.count(minutes, acted_ms, now_ms))


def test_the_first_impressions_cost_nothing() -> None:
    """Twice overlooked is not disliked."""
    assert discount(hourly(2)) == 1
    assert shown(2).repeated(3) == {}


def test_each_further_impression_costs_more() -> None:
    """Down to a floor."""
    discounts = [discount(hourly(times)) for times in range(1, 24)]
    assert discounts == sorted(discounts, reverse=True)
    assert discounts[2] < 1
    assert discounts[-1] == RULE.discount_min


def test_halving_is_what_it_says() -> None:
    """Standing halves with so many impressions beyond the free ones."""
    assert RULE.discount(RULE.free + RULE.halving) == 0.5


def test_a_click_clears_what_came_before_it() -> None:
    """And what came in its minute; but an old click is no licence."""
    assert discount(hourly(9), acted_ms=NOW) == 1
    assert discount(hourly(9), acted_ms=NOW - 100 * HOUR) == discount(hourly(9)) < 1
    assert discount(hourly(9), acted_ms=NOW - 5 * HOUR) == discount(hourly(5))


def test_fatigue_passes() -> None:
    """After a month the item stands where it stood."""
    assert discount(hourly(9), now_ms=NOW + 30 * 24 * HOUR) == 1


def test_a_page_drawn_again_shows_nothing_new() -> None:
    """Impressions of one minute are one."""
    impressions = shown(1)
    for _ in range(5):
        impressions.record(HAT, minute(NOW))
    assert len(impressions) == 1


def test_what_was_shown_often_is_found() -> None:
    """With its minutes, among all that was shown."""
    impressions = shown(4)
    for number in range(30):
        impressions.record(key_of(f"item {number}"), minute(NOW))
    impressions.record(SHOE, minute(NOW))
    impressions.record(SHOE, minute(NOW - HOUR))
    assert impressions.repeated(3) == {HAT: sorted(hourly(4))}
    assert impressions.repeated(2) == {HAT: sorted(hourly(4)), SHOE: sorted(hourly(2))}


def test_memory_is_bounded() -> None:
    """The oldest go."""
    impressions = Impressions()
    for at in range(5 * IMPRESSIONS_MAX):
        impressions.record(HAT if at % 2 else SHOE, minute(NOW) + at)
        assert len(impressions) <= 2 * IMPRESSIONS_MAX
    found = impressions.repeated(1)
    assert sum(map(len, found.values())) == IMPRESSIONS_MAX
    assert min(map(min, found.values())) == minute(NOW) + 4 * IMPRESSIONS_MAX


@given(
    drawn=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), max_size=80),
    least=st.integers(1, 4),
    data=st.data(),
)
def test_neither_order_nor_repetition_matters(drawn: list[tuple[int, int]], least: int, data: st.DataObject) -> None:
    """The same events give the same, also where there are more than are kept."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trunkshow.stream.fatigue.IMPRESSIONS_MAX", 20)
        one, other = Impressions(), Impressions()
        for event in drawn:
            one.record(*event)
        for event in (*data.draw(st.permutations(drawn)), *drawn[::2]):
            other.record(*event)
        assert one.repeated(least) == other.repeated(least)
        newest = sorted(set(drawn), key=lambda event: (event[1], event[0]))[-20:]
        kept = {key: [at for of, at in sorted(newest) if of == key] for key in {key for key, _ in newest}}
        assert one.repeated(least) == {key: minutes for key, minutes in kept.items() if len(minutes) >= least}


def test_an_item_sinks_by_its_rank() -> None:
    """At half the standing the second goes to the fourth, before it; at an eighth the first goes last."""
    assert sink("abcdef", lambda item: 0.5 if item == "b" else 1.0) == list("acbdef")
    assert sink("abcdef", lambda item: 0.125 if item == "a" else 1.0) == list("bcdefa")


@given(discounts=st.lists(st.floats(0.125, 1), max_size=30))
def test_sinking_loses_nobody_and_keeps_the_order_of_equals(discounts: list[float]) -> None:
    """It is a reordering; those of the same discount stay in order."""
    ranked = list(range(len(discounts)))
    sunk = sink(ranked, lambda at: discounts[at])
    assert sorted(sunk) == ranked
    for value in set(discounts):
        alike = [at for at in sunk if discounts[at] == value]
        assert alike == sorted(alike)
