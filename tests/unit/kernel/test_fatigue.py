"""Impression fatigue: what was shown often and never taken up sinks, and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkshow.stream.fatigue import IMPRESSIONS_MAX, ITEMS_MAX, RULE, SAME_VIEW_MS, Impressions, sink
from trunkshow.v1 import events_pb2

SHOWN, CLICK, SEARCH = (
    events_pb2.INTERACTION_IMPRESSION,
    events_pb2.INTERACTION_CLICK,
    events_pb2.INTERACTION_SEARCH,
)
NOW = 1_700_000_000_000
HOUR = 3_600_000


def shown(times: int, item: int = 1) -> Impressions:
    """One item, shown this often, an hour apart, last just now."""
    impressions = Impressions()
    for hours in range(times):
        impressions.record(item, SHOWN, NOW - hours * HOUR)
    return impressions


def test_the_first_impressions_cost_nothing() -> None:
    """Twice overlooked is not disliked."""
    assert shown(2).discounts(NOW) == {}


def test_each_further_impression_costs_more() -> None:
    """Down to a floor."""
    discounts = [shown(times).discounts(NOW).get(1, 1.0) for times in range(1, 17)]
    assert discounts == sorted(discounts, reverse=True)
    assert discounts[2] < 1
    assert discounts[-1] == RULE.discount_min


def test_halving_is_what_it_says() -> None:
    """Standing halves with so many impressions beyond the free ones."""
    assert RULE.discount(RULE.free + RULE.halving) == 0.5


def test_a_click_clears_what_came_before_it() -> None:
    """Whichever of them is heard of first."""
    before, after = shown(9), Impressions()
    before.record(1, CLICK, NOW)
    after.record(1, CLICK, NOW)
    for hours in range(9):
        after.record(1, SHOWN, NOW - hours * HOUR)
    assert before.discounts(NOW) == after.discounts(NOW) == {}


def test_what_came_after_the_click_counts() -> None:
    """An old click is no licence."""
    impressions = shown(9)
    impressions.record(1, CLICK, NOW - 100 * HOUR)
    assert impressions.discounts(NOW) == shown(9).discounts(NOW)


def test_fatigue_passes() -> None:
    """After a month the item stands where it stood."""
    assert shown(9).discounts(NOW + 30 * 24 * HOUR) == {}


def test_a_page_drawn_again_shows_nothing_new() -> None:
    """Impressions within a minute are one."""
    impressions = Impressions()
    for second in range(0, SAME_VIEW_MS // 1000, 5):
        impressions.record(1, SHOWN, NOW + second * 1000)
    assert impressions.count(1, NOW + SAME_VIEW_MS) == pytest.approx(1, abs=1e-3)


def test_other_interactions_are_not_kept() -> None:
    """A search shows no item."""
    impressions = Impressions()
    impressions.record(1, SEARCH, NOW)
    assert len(impressions) == 0


def test_memory_is_bounded() -> None:
    """Of items and of impressions; who was touched longest ago goes."""
    impressions = Impressions()
    for number in range(3 * ITEMS_MAX):
        for again in range(2 * IMPRESSIONS_MAX):
            impressions.record(number, SHOWN, NOW + number * HOUR + again * SAME_VIEW_MS)
    assert len(impressions) == ITEMS_MAX
    assert impressions.count(0, NOW) == 0
    assert impressions.count(3 * ITEMS_MAX - 1, NOW) <= IMPRESSIONS_MAX


events = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from([SHOWN, SHOWN, SHOWN, CLICK]), st.integers(0, 50).map(lambda h: h * HOUR)
    ),
    max_size=IMPRESSIONS_MAX,
)


@given(drawn=events, data=st.data())
def test_the_order_of_events_does_not_matter(drawn: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """The same events give the same discounts."""
    one, other = Impressions(), Impressions()
    for event in drawn:
        one.record(*event)
    for event in data.draw(st.permutations(drawn)):
        other.record(*event)
    assert one.discounts(NOW) == other.discounts(NOW)


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
