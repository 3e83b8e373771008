"""Everybody finds the same home for a newcomer, whatever they hear first."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

from trunkshow.models.fold_in import Confidence, NormalEquations
from trunkshow.online.newcomers import Lead, Newcomers, home_of
from trunkshow.online.positions import Position
from trunkshow.taste import Codebook, unit
from trunkshow.v1 import events_pb2 as pb

ITEMS, FACTORS, PARTITIONS = 30, 5, 4
rng = np.random.default_rng(3)
VECTORS = rng.standard_normal((ITEMS, FACTORS)).astype(np.float32)
GRAM = 0.1 * VECTORS.T.astype(np.float64) @ VECTORS
EQUATIONS = NormalEquations(VECTORS, GRAM, Confidence(np.ones(ITEMS, np.float32), 3.0), 0.1, 0.01)
BOOK = Codebook("spherical", unit(rng.standard_normal((PARTITIONS, FACTORS)).astype(np.float32)))


def at(number: int) -> Position:
    """A place in the log."""
    return Position("log", 0, number)


def newcomers(most: int = 100, unsettled_max: int = 100) -> Newcomers:
    """Nobody yet."""
    return Newcomers(partial(home_of, EQUATIONS, BOOK), most, unsettled_max)


def built_row(item_id: str) -> int | None:
    """Items that the snapshot was built with are named by their rows."""
    return int(item_id) if item_id.isdigit() else None


def event(item: str, kind: pb.Interaction = pb.INTERACTION_CLICK) -> pb.Event:
    """Of a newcomer."""
    return pb.Event(user_id="new", item_id=item, interaction=kind)


@pytest.mark.parametrize("weight", [0.2, 1.0, 7.0])
def test_the_home_does_not_depend_on_what_the_event_weighs(weight: float) -> None:
    """With one item, the direction is the item's."""
    for row in range(ITEMS):
        taste = EQUATIONS.solve(np.array([row], np.int32), np.array([weight], np.float32))
        assert home_of(EQUATIONS, BOOK, row) == BOOK.probe(taste, 1)[0]


def test_the_first_event_in_the_log_decides_in_whatever_order_they_come() -> None:
    """Also where one comes twice."""
    events = [(3, at(7)), (11, at(4)), (20, at(9)), (11, at(12))]
    for order in itertools.permutations(events):
        known = newcomers()
        for row, place in order:
            known.hear("new", row, place)
        assert known.find("new") == home_of(EQUATIONS, BOOK, 11)


def test_somebody_unheard_of_has_no_home() -> None:
    """None is made up."""
    assert newcomers().find("new") is None


def test_beyond_the_limit_nobody_comes_and_whoever_came_stays() -> None:
    """Nobody moves for another; and who had to be left out is never taken for somebody who has just come."""
    known = newcomers(most=2)
    homes = [known.hear(f"new-{number}", row, at(number + 1)) for number, row in enumerate((1, 2, 3))]
    assert (len(known), homes[2], known.find("new-2")) == (2, None, None)
    assert [known.find(f"new-{number}") for number in (0, 1)] == homes[:2]
    assert [known.has_lost(f"new-{number}") for number in range(3)] == [False, False, True]
    known.forget("new-0")  # there is room again, and it is too late
    known.hear("new-2", 4, at(4))
    known.take(event("brand-new"), at(5), built_row)
    assert (known.find("new-2"), known.lead("new")) == (None, None)
    assert known.has_lost("new-2")
    assert known.has_lost("new")


def test_the_same_are_known_with_the_same_homes_by_whoever_reads_the_log_again() -> None:
    """However often, and wherever they had begun to follow it."""
    heard = [(f"new-{number % 5}", number % ITEMS, at(number + 1)) for number in range(40)]
    first, again = newcomers(most=3), newcomers(most=3)
    for one in heard:
        first.hear(*one)
    for one in [*heard[1:4], *heard, *heard[7:]]:
        again.hear(*one)
    both = [user for user in ("new-0", "new-1", "new-2", "new-3", "new-4") if not again.has_lost(user)]
    assert len(both) == 3
    known_to_both = [user for user in both if not first.has_lost(user)]
    assert known_to_both
    assert [first.find(user) for user in known_to_both] == [again.find(user) for user in known_to_both]


def test_who_is_unsettled_when_there_is_no_room_stays_so() -> None:
    """All that they did is known."""
    known = newcomers(most=1)
    known.take(event("brand-new"), at(1), built_row)
    known.hear("another", 1, at(2))
    assert known.take(event("3"), at(3), built_row) is None
    assert (known.lead("new"), known.has_lost("new")) == (Lead(False, at(1), "brand-new"), False)


def test_a_newcomers_item_is_looked_up_only_where_it_may_lead_to_their_home() -> None:
    """Most events of a newcomer come after the first, and change nothing."""
    asked: list[str] = []

    def asking(item_id: str) -> int | None:
        asked.append(item_id)
        return built_row(item_id)

    known = newcomers()
    home = known.take(event("3"), at(5), asking)
    assert known.take(event("4"), at(6), asking) == known.take(event("5", pb.INTERACTION_HIDE), at(7), asking) == home
    assert asked == ["3"]
    assert known.take(event("6"), at(4), asking) == home_of(EQUATIONS, BOOK, 6)


def test_who_did_something_that_leads_nowhere_did_not_do_nothing() -> None:
    """They have no home all the same, until they do something that leads to one; forgotten, they are a stranger."""
    known = newcomers()
    assert known.did_nothing("new")
    assert known.take(event("brand-new"), at(1), built_row) is None
    assert (known.did_nothing("new"), known.find("new"), known.did_nothing("another")) == (False, None, True)
    assert known.take(event("3"), at(2), built_row) == home_of(EQUATIONS, BOOK, 3)
    assert (known.did_nothing("new"), known.lead("new")) == (False, None)
    known.forget("new")
    assert known.did_nothing("new")


def test_what_somebody_does_not_want_is_no_home_of_theirs() -> None:
    """In whatever order they come: the first that says something good is; until one does they are led away from it."""
    events = [
        (event("7", pb.INTERACTION_HIDE), at(1)),
        (event("8", pb.INTERACTION_RETURN), at(2)),
        (event("11"), at(3)),
        (event("12"), at(4)),
    ]
    for order in itertools.permutations(events):
        known = newcomers()
        for one, place in order:
            known.take(one, place, built_row)
        assert known.find("new") == home_of(EQUATIONS, BOOK, 11)
    unwilling = newcomers()
    unwilling.take(*events[0], built_row)
    assert (unwilling.find("new"), unwilling.lead("new")) == (None, Lead(True, at(1), "7"))
    for row in range(ITEMS):
        nearness = BOOK.directions @ EQUATIONS.solve(np.array([row], np.int32), np.ones(1, np.float32))
        assert nearness[home_of(EQUATIONS, BOOK, row, bad=True)] == nearness.min()


def test_who_is_unsettled_is_led_by_what_they_liked_first() -> None:
    """In whatever order it comes, and though they hid something before."""
    events = [(event("hidden", pb.INTERACTION_HIDE), at(1)), (event("liked"), at(2)), (event("also liked"), at(3))]
    for order in itertools.permutations(events):
        known = newcomers()
        for one, place in order:
            assert known.take(one, place, built_row) is None
        assert known.lead("new") == Lead(False, at(2), "liked")


@pytest.mark.parametrize("unsettled", [True, False])
def test_where_there_were_too_many_nobody_is_said_to_have_done_nothing(unsettled: bool) -> None:
    """It may have been any of them."""
    known = newcomers(most=2, unsettled_max=2)
    for number in range(3):
        assert known.did_nothing("somebody")
        user, place = f"new-{number}", at(number + 1)
        known.hear_unsettling(user, Lead(False, place, "i")) if unsettled else known.hear(user, 1, place)
    assert (known.did_nothing("somebody"), known.has_lost("new-0")) == (False, unsettled)
