"""The catalogue finds items by their ids, and its filters allow what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trunkshow.errors import InvalidArgument
from trunkshow.snapshot import catalogue
from trunkshow.snapshot.catalogue import Catalogue, Columns
from trunkshow.v1 import recommendation_pb2 as pb

IDS = ["hat", "shoe", "émeraude", "coat", "bag"]
EVERY_ROW = np.arange(5, dtype=np.int32)
COLUMNS = Columns(
    ids=IDS,
    titles=["Hat", "Shoe", "Émeraude", "coat", "Bag"],
    categories=np.array([0, 1, 2, 0, -1], np.int32),
    category_names=("clothes", "feet", "jewels"),
    attributes={"colour": np.array([0, 1, 1, 0, -1], np.int32), "brand": np.array([0, 0, 1, 1, 1], np.int32)},
    attribute_values={"colour": ("red", "green"), "brand": ("Acme", "Émile")},
    available=np.array([True, True, True, False, True]),
    created=np.full(5, -1, np.int64),
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Catalogue]:
    """Five items, one of them out of stock."""
    catalogue.write(tmp_path / "catalogue", COLUMNS)
    opened = Catalogue(tmp_path / "catalogue")
    yield opened
    opened.close()


def allowed(shop: Catalogue, filters: pb.Filters | None) -> list[str]:
    """Ids of the items that a filter lets through."""
    mask = shop.filter(filters).mask
    return IDS if mask is None else [item for item, one in zip(IDS, mask(EVERY_ROW), strict=True) if one]


def wearing(name: str, *values: str) -> pb.AttributeFilter:
    """An attribute filter."""
    return pb.AttributeFilter(name=name, values=values)


def test_every_item_is_found_by_its_id(shop: Catalogue) -> None:
    """Ids and rows are each other's inverse."""
    assert [shop.row(shop.id(row)) for row in range(len(shop))] == list(range(5))


@pytest.mark.parametrize("stranger", ["", "Hat", "hat ", "x" * 257])
def test_an_item_that_is_not_there_has_no_row(shop: Catalogue, stranger: str) -> None:
    """Nor does an id that no item could have."""
    assert shop.row(stranger) is None


def test_titles_are_kept(shop: Catalogue) -> None:
    """In any script."""
    assert shop.title(2) == "Émeraude"


def test_without_filters_what_is_available_is_allowed(shop: Catalogue) -> None:
    """What is out of stock is not shown unless somebody asks for it."""
    assert allowed(shop, None) == ["hat", "shoe", "émeraude", "bag"]


def test_unavailable_items_can_be_asked_for(shop: Catalogue) -> None:
    """With that, everything is."""
    assert allowed(shop, pb.Filters(include_unavailable=True)) == IDS


def test_where_everything_is_available_nothing_is_masked(tmp_path: Path) -> None:
    """A shop that is never out of stock does not pay for filters."""
    catalogue.write(tmp_path / "catalogue", replace(COLUMNS, available=np.ones(5, np.bool_)))
    assert Catalogue(tmp_path / "catalogue").filter(None).mask is None


def test_any_one_of_the_categories_will_do(shop: Catalogue) -> None:
    """Several categories add up."""
    assert allowed(shop, pb.Filters(categories=["jewels", "feet"])) == ["shoe", "émeraude"]


def test_an_unknown_category_has_no_items(shop: Catalogue) -> None:
    """It is no error: the shop may have sold out of it yesterday."""
    assert allowed(shop, pb.Filters(categories=["boats"])) == []


def test_an_item_without_a_category_is_in_none(shop: Catalogue) -> None:
    """Naming all categories still leaves it out."""
    assert "bag" not in allowed(shop, pb.Filters(categories=["clothes", "feet", "jewels"]))


def test_any_one_of_an_attributes_values_will_do(shop: Catalogue) -> None:
    """Several values of one attribute add up."""
    assert allowed(shop, pb.Filters(attributes=[wearing("colour", "red", "green")])) == ["hat", "shoe", "émeraude"]


def test_every_attribute_must_hold(shop: Catalogue) -> None:
    """Conditions of different kinds narrow each other."""
    narrow = pb.Filters(attributes=[wearing("colour", "green"), wearing("brand", "Acme")])
    assert allowed(shop, narrow) == ["shoe"]


def test_category_attribute_and_availability_hold_together(shop: Catalogue) -> None:
    """The coat is of the right category and brand, and out of stock."""
    coats = pb.Filters(categories=["clothes"], attributes=[wearing("brand", "Émile")])
    assert allowed(shop, coats) == []


def test_an_unknown_value_matches_nothing(shop: Catalogue) -> None:
    """Not even items that have no value."""
    assert allowed(shop, pb.Filters(attributes=[wearing("colour", "mauve")])) == []


def test_an_unknown_attribute_is_refused_by_name(shop: Catalogue) -> None:
    """A filter that can never work is the caller's error."""
    with pytest.raises(InvalidArgument, match="it has: colour, brand") as caught:
        shop.filter(pb.Filters(attributes=[wearing("size", "7")]))
    assert (caught.value.field, caught.value.reason) == ("filters.attributes", "ATTRIBUTE_UNKNOWN")


def test_the_codes_of_the_categories_are_given_to_the_models(shop: Catalogue) -> None:
    """Popularity has a list of its own for each."""
    assert shop.filter(pb.Filters(categories=["jewels", "boats"])).categories == (2,)


def test_an_item_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    """An id must mean one row."""
    with pytest.raises(ValueError, match="twice"):
        catalogue.write(tmp_path / "catalogue", replace(COLUMNS, ids=["hat", "hat", "a", "b", "c"]))
