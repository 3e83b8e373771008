"""Which items may be recorded: each limit of the contract, and what is answered beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from trunkshow.errors import InvalidArgument
from trunkshow.eventlog.item_validation import ITEMS_MAX, check
from trunkshow.v1 import events_pb2 as pb

NOW = 1_800_000_000.0


def item(**fields: Any) -> pb.NewItem:
    return pb.NewItem(**({"id": "hat", "title": "A hat", "category": "hats", "attributes": {"colour": "red"}} | fields))


def test_what_is_right_is_kept_and_stamped() -> None:
    """Its own time stays; of several, those that are wrong are told apart."""
    dated = item(created=Timestamp(seconds=5))
    checked = check([item(), item(id=""), dated], NOW)
    assert [one.created.seconds for one in checked.right] == [int(NOW), 5]
    assert [(one.index, one.field, one.reason) for one in checked.refused] == [(1, "items[1].id", "ITEM_ID_EMPTY")]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"id": "x" * 257}, "id", "ITEM_ID_TOO_LONG"),
        ({"id": " hat"}, "id", "ITEM_ID_BLANKS"),
        ({"title": "x" * 1025}, "title", "TITLE_TOO_LONG"),
        ({"category": "ä" * 129}, "category", "CATEGORY_TOO_LONG"),
        ({"category": "hats "}, "category", "CATEGORY_BLANKS"),
        ({"attributes": {"colour": ""}}, "attributes", "ATTRIBUTE_EMPTY"),
        ({"attributes": {"": "red"}}, "attributes", "ATTRIBUTE_EMPTY"),
        ({"attributes": {f"a{n}": "x" for n in range(33)}}, "attributes", "ATTRIBUTES_TOO_MANY"),
        ({"occasions": ["x"] * 33}, "occasions", "OCCASIONS_TOO_MANY"),
        ({"occasions": ["x" * 257]}, "occasions", "OCCASION_TOO_LONG"),
        ({"created": Timestamp(seconds=int(NOW) + 301)}, "created", "CREATED_FUTURE"),
        ({"created": Timestamp(seconds=1, nanos=-1)}, "created", "CREATED_INVALID"),
    ],
)
def test_what_breaks_a_limit_is_refused(fields: dict[str, Any], field: str, reason: str) -> None:
    """The field at fault, a stable word, and what is allowed."""
    (refused,) = check([item(**fields)], NOW).refused
    assert (refused.field, refused.reason) == (f"items[0].{field}", reason)
    assert refused.message.startswith(refused.field)


def test_a_text_that_a_build_would_write_another_way_is_recorded_as_it_would() -> None:
    """Else a new item of the category 2.0 would be like none of those that were built with it; titles stay."""
    given = item(title="2.0", category="2.0", attributes={"size": "7.00", "waist": "7.5"}, created=Timestamp(seconds=5))
    (made,) = check([given], NOW).right
    assert (made.title, made.category, dict(made.attributes)) == ("2.0", "2", {"size": "7", "waist": "7.5"})
    assert (given.category, made.created.seconds) == ("2.0", 5)


def test_an_item_that_is_too_large_is_refused() -> None:
    """Whatever makes it so."""
    attributes = {f"{n:02}": "x" * 256 for n in range(32)}
    large = item(attributes=attributes, occasions=[f"{n:02}" + "x" * 254 for n in range(32)])
    (refused,) = check([large], NOW).refused
    assert (refused.field, refused.reason) == ("items[0]", "ITEM_TOO_LARGE")


@pytest.mark.parametrize("items", [[], [item()] * (ITEMS_MAX + 1)])
def test_a_batch_that_is_none_is_refused_whole(items: list[pb.NewItem]) -> None:
    """None, or too many."""
    with pytest.raises(InvalidArgument):
        check(items, NOW)
