"""Reordering candidates by what a user is doing, and was shown in vain, adds nothing and drops nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkshow import carousels
from trunkshow.models.protocol import Candidates
from trunkshow.reordering import BY_INTENT, POOL, STRENGTH_MIN, Reordering
from trunkshow.stream.intent import Intent

KINDS = 4
ITEMS = 60

kinds = st.lists(st.integers(-1, KINDS - 1), min_size=ITEMS, max_size=ITEMS).map(
    lambda codes: np.array(codes, np.int32)
)
intents = st.builds(
    Intent,
    lifts=st.dictionaries(st.integers(0, KINDS - 1), st.floats(0.01, 100), max_size=KINDS),
    other_lift=st.floats(0.01, 1),
    strength=st.floats(0, 1),
)
discounts = st.dictionaries(st.integers(0, ITEMS - 1), st.floats(0.125, 1)).map(
    lambda by_row: lambda row: by_row.get(row, 1.0)
)


@st.composite
def candidates(draw: st.DrawFn) -> Candidates:
    """Items, each once, best first, with one reason for all or one each."""
    rows = draw(st.lists(st.integers(0, ITEMS - 1), unique=True, max_size=40))
    scores = draw(st.lists(st.floats(-1e6, 1e6), min_size=len(rows), max_size=len(rows)))
    reasons = [f"of {row}" for row in rows] if draw(st.booleans()) and len(rows) != 1 else ["for all"]
    return Candidates(rows, sorted(scores, reverse=True), draw(st.integers(-1, ITEMS - 1)), reasons)


personal = st.sampled_from(sorted(carousels.PERSONAL))


@given(candidates(), kinds, st.none() | intents, st.none() | discounts, personal, st.sets(st.integers(0, ITEMS - 1)))
def test_it_adds_and_drops_nothing(
    found: Candidates, codes: np.ndarray, intent: Intent | None, discount: object, carousel: str, taken: set[int]
) -> None:
    """Each item that may be shown comes once, with its own reason; scores order the items."""
    order = Reordering(intent, codes, discount)  # type: ignore[arg-type]
    after = order.ordered(carousel, found, taken)
    wanted = [row for row in found.rows if row not in taken]
    assert sorted(row for row in after.rows if row not in taken) == sorted(wanted)
    assert len(after.scores) == len(after.rows)
    assert all(one >= other for one, other in zip(after.scores, after.scores[1:], strict=False))
    assert after.about == found.about
    if len(after.reasons) != 1:
        assert list(after.reasons) == [f"of {row}" for row in after.rows]


@given(candidates(), kinds, st.none() | intents, st.none() | discounts, personal, st.integers(1, 45), st.booleans())
def test_the_first_of_them_are_the_first_of_all(
    found: Candidates, codes: np.ndarray, intent: Intent | None, discount: object, carousel: str, most: int, twice: bool
) -> None:
    """As many as are to be shown; where a model names an item twice, as many different ones."""
    if twice:
        found = Candidates([*found.rows, *found.rows], [*found.scores, *found.scores], found.about, ["for all"])
    order = Reordering(intent, codes, discount)  # type: ignore[arg-type]
    everything, first = order.ordered(carousel, found, ()), order.ordered(carousel, found, (), most)
    shown = list(dict.fromkeys(everything.rows))[:most]
    assert list(dict.fromkeys(first.rows))[:most] == shown
    assert list(first.scores)[:most] == list(everything.scores)[:most]


@given(candidates(), kinds, intents, discounts)
def test_what_the_shop_shows_is_left_alone(
    found: Candidates, codes: np.ndarray, intent: Intent, discount: object
) -> None:
    """The very same candidates, and no more of them are asked for."""
    order = Reordering(intent, codes, discount)  # type: ignore[arg-type]
    for carousel in (carousels.POPULAR, carousels.NEW_ARRIVALS, "occasion:wedding", "somebody-elses"):
        assert order.ordered(carousel, found, ()) is found
        assert order.pool(carousel) == 0


@given(candidates(), kinds, st.sampled_from(sorted(BY_INTENT)))
def test_an_intent_that_has_faded_changes_nothing(found: Candidates, codes: np.ndarray, carousel: str) -> None:
    """Then no more candidates than are shown are asked for, either."""
    faded = Intent({0: 50.0}, 0.01, strength=STRENGTH_MIN / 2)
    assert Reordering(faded, codes).ordered(carousel, found, ()) is found
    assert Reordering(faded, codes).pool(carousel) == 0
    assert Reordering(Intent({0: 50.0}, strength=0.5), codes).pool(carousel) == POOL


@pytest.mark.parametrize("carousel", sorted(BY_INTENT))
def test_what_is_of_the_intent_rises_in_the_scores_own_unit(carousel: str) -> None:
    """Of two nearly as good, the one of the present kind comes first; much better stays better."""
    codes, intent = np.array([0, 1, 1, 0], np.int32), Intent({1: 3.0}, 0.5, strength=1.0)
    found = Candidates([0, 1, 2, 3], [9.0, 2.0, 1.0, 0.0])
    assert list(Reordering(intent, codes).ordered(carousel, found, ()).rows) == [0, 1, 2, 3]
    close = Candidates([0, 1, 2, 3], [2.1, 2.0, 1.0, 0.0])
    assert list(Reordering(intent, codes).ordered(carousel, close, ()).rows) == [1, 0, 2, 3]
