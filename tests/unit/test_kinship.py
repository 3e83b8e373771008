"""Kinship of categories: what goes together on an errand, beyond what each user likes anyway."""

from __future__ import annotations

import numpy as np
import pytest

from bench.kinship import kinship, related_lift
from trunkshow.stream.intent import DAY_MS, Interest, Session

HOUR = 3_600_000
FLOUR, EGGS, BULBS, NAPPIES = range(4)


def shop(errands: dict[int, list[list[int]]]) -> np.ndarray:
    """Kinship from each user's errands, a day apart; no item twice; an item is in the category of its number ÷ 10."""
    rows = [
        (user, 10 * category + (2 * day + place) % 10, (user * 1000 + day) * 24 * HOUR + place * 1000)
        for user, days in errands.items()
        for day, basket in enumerate(days)
        for place, category in enumerate(basket)
    ]
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    return kinship(users.astype(np.int32), items.astype(np.int32), times, (np.arange(40) // 10).astype(np.int32))


def test_what_is_bought_together_is_kin() -> None:
    """Flour with eggs, and seldom with light bulbs, though all of these users buy all of them."""
    found = shop({user: [[FLOUR, EGGS], [BULBS, BULBS + 1], [FLOUR, EGGS], [BULBS]] for user in range(30)})
    assert found[FLOUR, EGGS] > 1.5
    assert found[FLOUR, BULBS] < 0.5
    assert np.allclose(found, found.T)


def test_what_the_same_users_like_is_not_kin_for_that() -> None:
    """Some buy flour and eggs, others bulbs and nappies; which of the two comes on which errand is chance."""
    rng = np.random.default_rng(2)
    liked = {user: (FLOUR, EGGS) if user % 2 else (BULBS, NAPPIES) for user in range(200)}
    found = shop({user: [rng.choice(likes, 2).tolist() for _ in range(12)] for user, likes in liked.items()})
    assert found[FLOUR, EGGS] == pytest.approx(1, abs=0.15)


def test_what_was_seen_once_is_next_to_nothing() -> None:
    """One basket is no evidence."""
    found = shop({0: [[FLOUR, EGGS], [BULBS, NAPPIES]]})
    assert np.all(np.abs(found - 1) < 0.4)


def test_events_without_a_category_are_left_out() -> None:
    """And none at all give none."""
    none = np.full(3, -1, np.int32)
    zero = np.zeros(2, np.int32)
    assert kinship(zero, zero, np.zeros(2, np.int64), none).shape == (0, 0)


def test_kin_categories_are_lifted_as_long_as_the_intent_lasts() -> None:
    """What goes with what was just bought; a day later nothing is."""
    related = np.ones((4, 4), np.float32)
    related[FLOUR, EGGS] = 3
    session = Session.of([Interest(HOUR, FLOUR), Interest(HOUR + 1000, FLOUR)], lambda category: 0.25)
    assert session is not None
    now = related_lift(related, session, HOUR + 1000)
    assert now(EGGS) > 5 > now(BULBS) == now(-1) == 1
    assert related_lift(related, session, HOUR + DAY_MS + 1000)(EGGS) == 1
