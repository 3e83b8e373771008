"""A slate keeps its rules whatever its models propose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkshow.candidates import merge
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.models.protocol import Arrays, Candidates, Query, Shelf, Training
from trunkshow.proposals import Asking
from trunkshow.slate import SlateMaker
from trunkshow.v1 import recommendation_pb2 as pb

ITEMS = 60
quick = settings(max_examples=60, deadline=None)

Scored = dict[int, float]
"""An item's row to its score: what one shelf has."""

shelves_of_items = st.lists(
    st.dictionaries(st.integers(0, ITEMS - 1), st.floats(0.125, 100, width=32), max_size=ITEMS), min_size=1, max_size=4
)
row_sets = st.sets(st.integers(0, ITEMS - 1))


class Catalogue:
    """Items that are called after their rows."""

    def __len__(self) -> int:
        return ITEMS

    def id(self, row: int) -> str:
        """An item's id."""
        return str(row)

    def title(self, row: int) -> str:
        """An item's title."""
        return f"Item {row}"


class Holding(CatalogueShelf):
    """A shelf with its own items."""

    def __init__(self, scored: Scored) -> None:
        super().__init__(np.zeros((ITEMS, 1), np.float32))
        self.best = ranked(scored)


class Best:
    """Proposes what a shelf holds, best first."""

    name: ClassVar[str] = "best"
    carousel: ClassVar[str] = "best"
    title: ClassVar[str] = "Best"
    may_be_short: ClassVar[bool] = True

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """Nothing."""
        del training
        return {}

    @classmethod
    def open(cls, arrays: Arrays) -> Self:
        """The model."""
        del arrays
        return cls()

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """The shelf's own list."""
        del query
        assert isinstance(shelf, Holding)
        return Candidates([row for row, _ in shelf.best[:count]], [score for _, score in shelf.best[:count]])


class Again(Best):
    """Proposes the same once more."""

    name = "again"
    carousel = "again"


class Broken(Best):
    """Raises."""

    name = "broken"
    carousel = "broken"

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """A bug."""
        raise ZeroDivisionError


class Gifts(Best):
    """A family of carousels, one of which is broken."""

    name = "occasions"
    carousel = "occasions"
    title = "Gifts: {topic}"

    def topics(self, query: Query, count: int) -> list[str]:
        """Three of them."""
        del query
        return ["birthday", "broken", "wedding"][:count]

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """One item, or a bug."""
        del shelf, count
        if query.topic == "broken":
            raise ZeroDivisionError
        return Candidates([len(query.topic)], [1.0])


class Telling(Best):
    """Tells of an item why it proposes others; another why for each where there are several."""

    name = "telling"
    carousel = "telling"
    title = "Because of {item}"

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """The shelf's own list, about item 7."""
        rows, scores, *_ = super().recommend(query, shelf, count)
        return Candidates(rows, scores, about=7, reasons=("Goes with {item}",))


class Personal(Best):
    """Says nothing that explains a short list."""

    name = "personal"
    carousel = "personal"
    may_be_short = False


def maker(*models: Best) -> SlateMaker:
    """A slate maker over these models."""
    snapshot: Any = SimpleNamespace(catalogue=Catalogue(), models={model.name: model for model in models})
    return SlateMaker(snapshot)


def make(
    wanted: Sequence[str],
    shelves: Sequence[Scored],
    *models: Best,
    count: int = 10,
    taken: set[int] | None = None,
    query: Query | None = None,
) -> tuple[list[pb.Carousel], list[tuple[str, int]]]:
    """A slate, and what is missing from it."""
    held = [Holding(scored) for scored in shelves]
    asking = Asking(wanted, query or Query(), held, count, set() if taken is None else taken)
    made, missing = maker(*models).make(asking, pb.RUNG_SNAPSHOT)
    return made, [(lost.carousel, lost.reason) for lost in missing]


def rows(carousel: pb.Carousel) -> list[int]:
    """The rows that a carousel shows."""
    return [int(item.item_id) for item in carousel.items]


def union(shelves: Sequence[Scored]) -> Scored:
    """Every item at its best score."""
    everything: Scored = {}
    for scored in shelves:
        for row, score in scored.items():
            everything[row] = max(score, everything.get(row, 0))
    return everything


def ranked(scored: Mapping[int, float]) -> list[tuple[int, float]]:
    """Best first, ties by row."""
    return sorted(scored.items(), key=lambda entry: (-entry[1], entry[0]))


@quick
@given(shelves=shelves_of_items, k=st.integers(1, ITEMS))
def test_a_merge_of_best_lists_is_the_best_list_of_all(shelves: list[Scored], k: int) -> None:
    """The top k of several shelves are among their top ks, and come out in order."""
    parts = [Best().recommend(Query(), Holding(scored), k) for scored in shelves]
    merged = merge(parts)
    assert list(zip(merged.rows, merged.scores, strict=True))[:k] == ranked(union(shelves))[:k]


@quick
@given(shelves=shelves_of_items, taken=row_sets, allowed=row_sets, count=st.integers(1, 12))
def test_a_carousel_shows_the_best_that_may_be_shown(
    shelves: list[Scored], taken: set[int], allowed: set[int], count: int
) -> None:
    """Of all shelves, whatever was taken or filtered out of each."""
    query = Query(mask=lambda rows: np.isin(rows, list(allowed)))
    made, _ = make(["best"], shelves, Best(), count=count, taken=set(taken), query=query)
    best = [row for row, _ in ranked(union(shelves)) if row in allowed and row not in taken][:count]
    assert [rows(carousel) for carousel in made] == ([best] if best else [])


@quick
@given(shelves=shelves_of_items, taken=row_sets, count=st.integers(1, 12))
def test_an_item_is_shown_once_per_slate(shelves: list[Scored], taken: set[int], count: int) -> None:
    """Two models that propose the same share it out between them."""
    made, _ = make(["best", "again"], shelves, Best(), Again(), count=count, taken=taken)
    shown = [row for carousel in made for row in rows(carousel)]
    assert len(shown) == len(set(shown))


@quick
@given(shelves=shelves_of_items, taken=row_sets)
def test_what_is_shown_is_taken_from_then_on(shelves: list[Scored], taken: set[int]) -> None:
    """The caller's set grows by exactly what was shown."""
    before = set(taken)
    made, _ = make(["best", "again"], shelves, Best(), Again(), taken=taken)
    assert taken - before == {row for carousel in made for row in rows(carousel)}


@quick
@given(shelves=shelves_of_items, count=st.integers(1, 30))
def test_a_broken_model_costs_its_carousel_alone(shelves: list[Scored], count: int) -> None:
    """The rest of the slate is what it would be without it, and the loss is told."""
    made, missing = make(["broken", "best"], shelves, Broken(), Best(), count=count)
    without, lost = make(["best"], shelves, Best(), count=count)
    assert (made, missing) == (without, [("broken", pb.REASON_MODEL_FAILED), *lost])


def test_an_empty_carousel_is_told_as_missing() -> None:
    """It is not shown without items."""
    assert make(["best"], [{}], Best()) == ([], [("best", pb.REASON_CAROUSEL_EMPTY)])


def test_nothing_for_a_user_of_whom_nothing_is_known_is_no_fault() -> None:
    """A model of tastes has none to go by."""
    assert make(["personal"], [{}], Personal()) == ([], [("personal", pb.REASON_CAROUSEL_EMPTY)])


def test_a_carousel_that_no_model_makes_is_told_as_missing() -> None:
    """Whoever let the name through, the slate stands."""
    made, missing = make(["unheard-of", "best"], [{1: 1.0}], Best())
    assert ([carousel.id for carousel in made], [name for name, _ in missing]) == (["best"], ["unheard-of"])


def test_an_occasion_that_fails_leaves_what_the_group_had_made() -> None:
    """Its items are taken, so they must be shown."""
    made, missing = make(["occasions"], [{}], Gifts())
    assert [carousel.title for carousel in made] == ["Gifts: birthday"]
    assert missing == [("occasions", pb.REASON_MODEL_FAILED)]


def test_an_occasion_can_be_asked_for_by_name() -> None:
    """Alone, and it keeps the id that was asked for."""
    made, _ = make(["occasion:wedding"], [{}], Gifts())
    assert [(carousel.id, carousel.title) for carousel in made] == [("occasion:wedding", "Gifts: wedding")]


@pytest.mark.parametrize("shelves", [[{1: 1.0, 2: 0.5}], [{1: 1.0}, {2: 0.5}]], ids=["one shelf", "two shelves"])
def test_title_and_reasons_name_the_item_that_a_carousel_is_about(shelves: list[Scored]) -> None:
    """However many partitions it was merged from."""
    (carousel,), _ = make(["telling"], shelves, Telling())
    assert carousel.title == "Because of Item 7"
    assert [item.reason for item in carousel.items] == ["Goes with Item 7", "Goes with Item 7"]


def test_a_merge_is_about_what_its_first_part_with_items_is_about() -> None:
    """A shelf that found nothing has nothing to say."""
    assert merge([Candidates((), (), about=3), Candidates([1], [1.0], about=7)]).about == 7


def test_a_merge_keeps_every_items_own_reason() -> None:
    """The reason of the part in which its score was best."""
    merged = merge([Candidates([1, 2], [0.9, 0.1], reasons=("a",)), Candidates([2, 3], [0.5, 0.4], reasons=["b", "c"])])
    assert list(zip(merged.rows, merged.reasons, strict=True)) == [(1, "a"), (2, "b"), (3, "c")]
