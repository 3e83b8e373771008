"""Items that came since a build: their rows, what filters say of them, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from datasets import Built, item_id
from hypothesis import given
from hypothesis import strategies as st

from trunkshow.models.protocol import Floats
from trunkshow.snapshot.additions import KEPT_MAX, OFFERED_MAX, Addition, Additions
from trunkshow.snapshot.growing import GrowingCatalogue
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb

BUILT = 10


def vector(said: Description) -> Floats:
    """Told by the title's length."""
    return np.full(3, len(said.title), np.float32)


def item(number: int, title: str = "a hat", *, available: bool = True) -> Addition:
    return Addition(f"n{number}", Description(title, "hats", {"colour": "red"}), available, number)


def with_numbers(additions: Additions, *numbers: int) -> Additions:
    return additions.with_items([item(number) for number in numbers], vector)


def test_rows_go_on_where_the_catalogue_ends() -> None:
    """And an item that is told of again keeps its own, as it was said last."""
    first = with_numbers(Additions(BUILT), 1, 2)
    again = first.with_items([item(1, "a cap!"), item(3), item(1, "a bonnet")], vector)
    assert [again.row(f"n{number}") for number in (1, 2, 3, 4)] == [10, 11, 12, None]
    assert (again.at(10).said.title, again.offered.rows.tolist()) == ("a bonnet", [10, 11, 12])
    assert again.vectors_of(np.array([10, 11], np.int32))[:, 0].tolist() == [8.0, 5.0]
    assert (len(first), first.at(10).said.title) == (2, "a hat")


def test_nothing_new_is_the_same_value() -> None:
    """So that what was worked out for it stays."""
    one = with_numbers(Additions(BUILT), 1)
    assert with_numbers(one, 1) is one
    assert one.with_items([], vector) is one


def test_the_oldest_go_and_their_rows_are_not_used_again() -> None:
    """Those that are not offered any more keep their names for a while."""
    full = with_numbers(Additions(BUILT), *range(KEPT_MAX))
    assert (len(full), len(full.offered.rows), full.row("n0")) == (KEPT_MAX, OFFERED_MAX, None)
    assert full.at(BUILT).id == "n0"
    over = with_numbers(full, KEPT_MAX)
    assert over.row(f"n{KEPT_MAX}") == BUILT + KEPT_MAX
    assert len(over.offered.rows) == OFFERED_MAX
    with pytest.raises(IndexError):
        over.at(BUILT)
    assert over.at(over.start).id == f"n{over.gone}"
    assert not over.vectors_of(np.array([BUILT], np.int32)).any()
    back = with_numbers(over, 0)
    assert back.row("n0") == BUILT + KEPT_MAX + 1


@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=8))
def test_a_row_is_one_items_for_ever(batches: list[list[int]]) -> None:
    """However they come; each known item is found by its id, and by its row."""
    additions, rows = Additions(BUILT), dict[str, int]()
    for batch in batches:
        additions = with_numbers(additions, *batch)
        for number in batch:
            row = additions.row(f"n{number}")
            assert row is not None
            assert rows.setdefault(f"n{number}", row) == row
    assert sorted(rows.values()) == list(range(BUILT, BUILT + len(rows)))
    assert all(additions.at(row).id == item_id for item_id, row in rows.items())


def test_filters_are_asked_of_new_items_too() -> None:
    """Also for what the catalogue has no code of; a row of before is not allowed."""
    blue = replace(item(2), said=Description("x", "caps", {"colour": "blue"}))
    additions = Additions(BUILT, gone=1).with_items([item(1), blue, item(3, available=False)], vector)
    rows = np.array([0, 10, 11, 12, 13, 14], np.int32)

    def allowed(filters: pb.Filters | None) -> list[int]:
        mask = additions.masked(lambda of: of != 0, filters)
        assert mask is not None
        return rows[mask(rows)].tolist()

    assert allowed(None) == [11, 12]
    assert allowed(pb.Filters(include_unavailable=True)) == [11, 12, 13]
    assert allowed(pb.Filters(categories=["caps", "none"])) == [12]
    assert allowed(pb.Filters(attributes=[pb.AttributeFilter(name="colour", values=["red"])])) == [11]
    assert allowed(pb.Filters(categories=["unheard of"])) == []


@pytest.fixture
def opened(built: Built) -> Iterator[Snapshot]:
    """The small shop's, for this test alone."""
    snapshot = Snapshot.open(open_store(built.store))
    yield snapshot
    snapshot.close()


def of_taste(taste: int, item: str = "new") -> Addition:
    return Addition(item, Description("Just in", f"taste {taste}", {"colour": "red"}), created_ms=1)


def test_a_snapshot_grows_by_what_it_was_built_without(opened: Snapshot) -> None:
    """What it has stays as it was built."""
    known = Addition(item_id(3), Description("Another title"))
    assert opened.add([known, of_taste(1)])
    assert not opened.add([known, of_taste(1)])
    catalogue = opened.catalogue
    row = catalogue.row("new")
    assert (row, catalogue.id(len(catalogue)), catalogue.title(len(catalogue))) == (len(catalogue), "new", "Just in")
    assert (catalogue.built_row("new"), catalogue.title(catalogue.row(item_id(3)) or 0)) == (None, "Article № 3")
    assert isinstance(catalogue.lend(), GrowingCatalogue)


def test_a_new_item_lies_among_its_like(opened: Snapshot) -> None:
    """Nearer to the vectors of its category than to others', and about as long; of nothing known it is nowhere."""
    opened.add([of_taste(1), Addition("odd", Description("Zzyzx", "unheard of"))])
    ours = opened.ials.vectors
    like = np.array([opened.catalogue.described(row).category == "taste 1" for row in range(len(ours))])
    found, odd = opened.catalogue.additions.vectors
    near = ours @ found / np.linalg.norm(ours, axis=1).clip(1e-9) / np.linalg.norm(found)
    assert near[like].mean() > 2 * abs(near[~like].mean())
    assert 0.5 < np.linalg.norm(found) / np.linalg.norm(ours[like], axis=1).mean() < 2
    assert not odd.any()
    rows, cosines = opened.like(len(ours), 5)
    assert like[rows].all()
    assert cosines.tolist() == sorted(cosines, reverse=True)
    assert not len(opened.like(len(ours) + 1, 5)[0])


def test_a_history_with_new_items_is_solved_with_their_vectors(opened: Snapshot) -> None:
    """As the equations have it; without any it is as ever, and what is gone is left out."""
    opened.add([of_taste(1)])
    start, equations = len(opened.catalogue), opened.ials.equations
    items, weights = np.array([4, 9, start, start + 7], np.int32), np.array([1, 2, 3, 4], np.float32)
    scales = np.append(equations.confidence.item_scale[[4, 9]], opened.likeness.scale).astype(np.float32)
    vectors = np.vstack([equations.vectors[[4, 9]], opened.catalogue.additions.vectors])
    assert np.allclose(opened.solve(items, weights), equations.solve_for(vectors, scales, weights[:3]), atol=1e-6)
    assert np.array_equal(opened.solve(items[:2], weights[:2]), equations.solve(items[:2], weights[:2]))
    assert not opened.solve(items[3:], weights[3:]).any()


def test_a_closed_snapshot_grows_no_more(built: Built) -> None:
    """Whoever reads for it may be a step behind."""
    snapshot = Snapshot.open(open_store(built.store))
    snapshot.close()
    assert not snapshot.add([of_taste(1)])


def test_an_item_that_came_before_it_could_be_placed_gets_its_vector_later(opened: Snapshot) -> None:
    """Until then it is listed, and nobody's taste; nothing waits for what it is placed by."""
    solved = opened.solve(np.array([4], np.int32), np.ones(1, np.float32))
    assert opened.add([of_taste(1)], at_once=True)
    row = len(opened.catalogue)
    both, ones = np.array([4, row], np.int32), np.ones(2, np.float32)
    assert not opened.can_place
    assert opened.catalogue.additions.offered.rows.tolist() == [row]
    assert not opened.catalogue.additions.offered.vectors.any()
    assert len(opened.like(row, 5)[0]) == 0
    assert opened.solve(both, ones).tolist() == solved.tolist()
    _ = opened.likeness
    opened.place(["new", "gone by now"])
    expected = opened.likeness.vector(of_taste(1).said)
    assert opened.catalogue.additions.offered.vectors.tolist() == [expected.tolist()]
    assert opened.solve(both, ones).tolist() != solved.tolist()
