"""A user's present intent: found at once, changed by evidence, faded by time; and what ranking does with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkshow.stream.intent import (
    DAY_MS,
    EVENTS_MAX,
    NO_INTENT,
    RULE,
    Intent,
    IntentRule,
    Interest,
    Session,
    Usual,
    run_starts,
)
from trunkshow.stream.ranking import best_first, raised

NOW = 1_700_000_000_000
MINUTE = 60_000
PARTY, ICE, CARDS = 3, 5, 9
CATEGORIES = 20


def usual(category: int) -> float:
    """Nothing is liked more than anything else."""
    return 1 / CATEGORIES


def session(*categories: int, last: int = NOW, every: int = 20_000) -> list[Interest]:
    """An event every twenty seconds, the last one at a moment."""
    return [Interest(last - every * ago, category) for ago, category in enumerate(reversed(categories))]


def present_intent(events: Iterable[Interest], now_ms: int, usual: Usual, rule: IntentRule = RULE) -> Intent:
    """What a user is doing, read anew of the last day's events at a moment."""
    lately = (Interest(min(at, now_ms), category) for at, category in events if at > now_ms - DAY_MS)
    session = Session.of(lately, usual, rule)
    return session.at(now_ms) if session is not None else NO_INTENT


def by_intent(scores: list[float], categories: list[int], intent: Intent) -> list[int]:
    """Positions of candidates, best first."""
    return best_first(raised(scores, categories, intent.lift))


def test_no_events_are_no_intent() -> None:
    """Nor are those of yesterday, or of items without a category."""
    assert present_intent([], NOW, usual) == NO_INTENT
    assert present_intent([Interest(NOW - DAY_MS, PARTY), Interest(NOW, -1)], NOW, usual) == NO_INTENT


def test_three_clicks_are_an_intent() -> None:
    """One category is likelier than usually, all others less."""
    intent = present_intent(session(PARTY, PARTY, PARTY), NOW, usual)
    assert intent.leading == PARTY
    assert intent.lift(PARTY) > 5
    assert intent.lift(ICE) < 1
    assert intent.changed_ms is None
    assert intent.lift(-1) == 1


def test_lifts_are_a_mix_over_categories() -> None:
    """Lift times usual share sums to one."""
    intent = present_intent(session(PARTY, ICE, PARTY, CARDS, CARDS), NOW + 7 * MINUTE, usual)
    assert sum(intent.lift(category) * usual(category) for category in range(CATEGORIES)) == pytest.approx(1)


def test_a_turn_is_noticed_and_dated() -> None:
    """Party supplies, then ice cream: the run of ice cream is what counts, from its first event on."""
    events = session(*[PARTY] * 6, *[ICE] * 4)
    intent = present_intent(events, NOW, usual)
    assert intent.leading == ICE
    assert intent.changed_ms == events[3].time_ms
    assert intent.lift(ICE) > 4 * intent.lift(PARTY)


def test_one_stray_event_is_no_turn() -> None:
    """A look at something else does not end a session of one interest."""
    assert present_intent(session(*[PARTY] * 6, ICE, PARTY, PARTY), NOW, usual).changed_ms is None


def test_a_pause_makes_a_turn_likelier() -> None:
    """The same two events after two hours are a new intent sooner than after twenty seconds."""
    before = [event._replace(time_ms=event.time_ms - 120 * MINUTE) for event in session(*[PARTY] * 6)]
    later = run_starts([*before, *session(ICE, ICE)], usual)
    at_once = run_starts(sorted(session(*[PARTY] * 6, ICE, ICE)), usual)
    assert later[0] < at_once[0]


def test_the_window_reaches_back_to_where_the_intent_began() -> None:
    """Five minutes after a turn, an hour or a day in a long session of one interest."""
    assert present_intent(session(*[PARTY] * 4), NOW, usual).window == "5m"
    assert present_intent(session(*[PARTY] * 9, every=5 * MINUTE), NOW, usual).window == "1h"
    assert present_intent(session(*[PARTY] * 9, every=10 * MINUTE), NOW, usual).window == "1d"
    assert (
        present_intent([*session(*[PARTY] * 9, last=NOW - 3600_000), *session(ICE, ICE, ICE)], NOW, usual).window
        == "5m"
    )


def test_the_spans_have_their_own_mixes() -> None:
    """What was done within five minutes, an hour and a day."""
    events = [Interest(NOW - 200 * MINUTE, CARDS), Interest(NOW - 20 * MINUTE, ICE), Interest(NOW - MINUTE, PARTY)]
    mixes = present_intent(events, NOW, usual).mixes
    assert mixes is not None
    assert mixes["5m"] == {PARTY: 1}
    assert mixes["1h"] == {PARTY: 0.5, ICE: 0.5}
    assert mixes["1d"] == pytest.approx({PARTY: 1 / 3, ICE: 1 / 3, CARDS: 1 / 3})


def test_an_intent_fades() -> None:
    """Half of it in a half-life, and nothing is left after a day."""
    rule = IntentRule(half_life_ms=30 * MINUTE)
    events = session(PARTY, PARTY, PARTY)
    lifts = [present_intent(events, NOW + age * MINUTE, usual, rule).lift(PARTY) for age in (0, 30, 60, 600)]
    above = [lift - 1 for lift in lifts]
    assert above[1] == pytest.approx(above[0] / 2)
    assert above[2] == pytest.approx(above[0] / 4)
    assert above[3] < 0.01


def test_what_is_usual_for_a_user_is_no_news() -> None:
    """The same clicks say less of somebody who clicks there every day."""
    habit = present_intent(session(PARTY), NOW, lambda category: 0.62 if category == PARTY else 0.02)
    assert habit.lift(PARTY) < present_intent(session(PARTY), NOW, usual).lift(PARTY)


def brute_force(events: list[Interest], rule: IntentRule) -> list[float]:
    """The same probabilities from every way of cutting the sequence into runs."""
    totals = [0.0] * len(events)
    for cuts in itertools.product([False, True], repeat=len(events) - 1):
        starts = [0, *(at for at, cut in enumerate(cuts, start=1) if cut)]
        chance = usual(events[0].category)
        for at in range(1, len(events)):
            hazard = rule.hazard(events[at].time_ms - events[at - 1].time_ms)
            chance *= hazard if at in starts else 1 - hazard
            run = [event.category for event in events[max(start for start in starts if start <= at) : at]]
            category = events[at].category
            chance *= (run.count(category) + rule.prior_events * usual(category)) / (len(run) + rule.prior_events)
        totals[starts[-1]] += chance
    return [total / sum(totals) for total in totals]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 3)), min_size=1, max_size=8))
def test_the_recursion_is_the_sum_over_all_ways_to_cut(drawn: list[tuple[int, int]]) -> None:
    """Adams and MacKay's recursion leaves out no way in which a session may have gone."""
    events = [Interest(*event) for event in sorted(drawn)]
    rule = IntentRule()
    assert run_starts(events, usual, rule) == pytest.approx(brute_force(events, rule), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(st.tuples(st.integers(-2 * DAY_MS, MINUTE), st.integers(-1, CATEGORIES - 1)), max_size=40),
    data=st.data(),
)
def test_the_order_of_events_does_not_matter(drawn: list[tuple[int, int]], data: st.DataObject) -> None:
    """And whatever they are, lifts are positive and finite."""
    events = [Interest(NOW + at, category) for at, category in drawn]
    intent = present_intent(events, NOW, usual)
    assert present_intent(data.draw(st.permutations(events)), NOW, usual) == intent
    assert len(intent.lifts) <= EVENTS_MAX
    assert all(0 < lift < math.inf for lift in (*intent.lifts.values(), intent.other_lift))


def test_candidates_of_the_intent_come_first() -> None:
    """Unless the model has much against them; and after a while the order is the model's again."""
    scores, categories = [0.9, 0.8, 0.7, 0.6, 0.1], [ICE, ICE, PARTY, PARTY, PARTY]
    events = session(PARTY, PARTY, PARTY)
    assert by_intent(scores, categories, present_intent(events, NOW, usual))[:2] == [2, 3]
    assert by_intent(scores, categories, present_intent(events, NOW + 5 * 3_600_000, usual)) == [0, 1, 2, 3, 4]


def test_scores_are_raised_in_their_own_unit() -> None:
    """An intent that says nothing leaves them; larger scores are raised by more."""
    intent = present_intent(session(PARTY, PARTY), NOW, usual)
    scores, categories = [0.9, 0.8, 0.7], [CARDS, PARTY, ICE]
    assert raised(scores, categories, NO_INTENT.lift) == scores
    once = raised(scores, categories, intent.lift)
    assert once[1] > scores[1]
    assert raised([10 * score for score in scores], categories, intent.lift) == pytest.approx([10 * x for x in once])


def test_a_session_is_read_once_and_ages() -> None:
    """At any moment it says what reading its events anew at that moment says."""
    events = session(PARTY, ICE, ICE, CARDS)
    read = Session.of(events, usual)
    assert read is not None
    for age_ms in (0, MINUTE, 3 * 60 * MINUTE):
        assert read.at(NOW + age_ms) == present_intent(events, NOW + age_ms, usual)
    assert read.at(NOW + DAY_MS) == NO_INTENT


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(-1, 6)), max_size=40),
)
def test_without_an_intent_the_order_is_the_models(drawn: list[tuple[float, int]]) -> None:
    """And with one, nobody is lost."""
    scores, categories = [score for score, _ in drawn], [category for _, category in drawn]
    by_score = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    reordered = by_intent(scores, categories, present_intent(session(PARTY, PARTY), NOW, usual))
    assert [scores[at] for at in by_intent(scores, categories, NO_INTENT)] == [scores[at] for at in by_score]
    assert sorted(reordered) == list(range(len(scores)))
