"""Everybody finds the same home for a newcomer, whatever they hear first."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

from trunkshow.models.fold_in import Confidence, NormalEquations
from trunkshow.online.newcomers import Newcomers, home_of
from trunkshow.online.positions import Position
from trunkshow.taste import Codebook, unit

ITEMS, FACTORS, PARTITIONS = 30, 5, 4
rng = np.random.default_rng(3)
VECTORS = rng.standard_normal((ITEMS, FACTORS)).astype(np.float32)
GRAM = 0.1 * VECTORS.T.astype(np.float64) @ VECTORS
EQUATIONS = NormalEquations(VECTORS, GRAM, Confidence(np.ones(ITEMS, np.float32), 3.0), 0.1, 0.01)
BOOK = Codebook("spherical", unit(rng.standard_normal((PARTITIONS, FACTORS)).astype(np.float32)))


def at(number: int) -> Position:
    """A place in the log."""
    return Position("log", 0, number)


def newcomers(most: int = 100, homeless_max: int = 100) -> Newcomers:
    """Nobody yet."""
    return Newcomers(partial(home_of, EQUATIONS, BOOK), most, homeless_max)


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


def test_there_is_a_limit() -> None:
    """Who came first goes first."""
    known = newcomers(most=2)
    for number in range(3):
        known.hear(f"new-{number}", 1, at(number + 1))
    assert (len(known), known.find("new-0")) == (2, None)


def test_who_did_something_that_leads_nowhere_did_not_do_nothing() -> None:
    """They have no home all the same, until they do something that leads to one; forgotten, they are a stranger."""
    known = newcomers()
    assert known.did_nothing("new")
    known.hear_without_item("new")
    assert (known.did_nothing("new"), known.find("new"), known.did_nothing("another")) == (False, None, True)
    known.hear("new", 3, at(2))
    assert (known.did_nothing("new"), known.find("new")) == (False, home_of(EQUATIONS, BOOK, 3))
    known.forget("new")
    assert known.did_nothing("new")


@pytest.mark.parametrize("homeless", [True, False])
def test_where_there_were_too_many_nobody_is_said_to_have_done_nothing(homeless: bool) -> None:
    """It may have been any of them."""
    known = newcomers(most=2, homeless_max=2)
    for number in range(3):
        assert known.did_nothing("somebody")
        known.hear_without_item(f"new-{number}") if homeless else known.hear(f"new-{number}", 1, at(number + 1))
    assert not known.did_nothing("somebody")
