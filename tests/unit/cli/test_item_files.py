"""Files of new items: every form says the same, and what is no item is told with its row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cli.item_files import item_of, read_items
from cli.output import UsageError
from trunkshow.items import NewItem

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HAT = NewItem("hat", "A hat", "hats", {"colour": "red"}, available=False, created=NOON, occasions=("wedding", "party"))
FIELDS: dict[str, Any] = {
    "id": "hat",
    "title": "A hat",
    "category": "hats",
    "colour": "red",
    "available": False,
    "created": NOON.isoformat(),
    "occasions": "wedding|party",
}


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "parquet"])
def test_every_form_of_a_file_says_the_same(tmp_path: Path, form: str) -> None:
    """A column that is no other field is an attribute."""
    path = tmp_path / f"items.{form}"
    if form == "json":
        path.write_text(json.dumps([FIELDS]))
    elif form == "jsonl":
        path.write_text(json.dumps(FIELDS) + "\n\n")
    elif form == "csv":
        pl.DataFrame([FIELDS]).write_csv(path)
    else:
        pl.DataFrame([FIELDS | {"created": NOON, "occasions": ["wedding", "party"]}]).write_parquet(path)
    assert read_items(path) == [HAT]


def test_attributes_may_be_an_object() -> None:
    """Beside columns; an item needs no more than an id."""
    assert item_of({"item_id": "cap", "attributes": {"size": 7}, "brand": "x"}).attributes == {
        "size": "7",
        "brand": "x",
    }
    assert item_of({"id": "cap", "title": ""}) == NewItem("cap")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"available": "maybe"}, "neither true nor false"),
        ({"created": "soon"}, "ISO 8601"),
        ({"attributes": 3}, "object"),
    ],
)
def test_what_is_no_item_is_told_with_its_row(tmp_path: Path, fields: dict[str, Any], why: str) -> None:
    """Before anything is recorded."""
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"id": "cap"}) + "\n" + json.dumps({"id": "hat"} | fields))
    with pytest.raises(UsageError, match=f"row 2: .*{why}"):
        read_items(path)


@pytest.mark.parametrize(("name", "text"), [("items.txt", ""), ("items.json", "{"), ("none.csv", None)])
def test_what_is_no_file_of_items_is_refused(tmp_path: Path, name: str, text: str | None) -> None:
    """In one line."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=name):
        read_items(path)


@pytest.mark.parametrize("name", ["items.json", "items.jsonl"])
def test_a_file_nested_beyond_reason_is_refused(tmp_path: Path, name: str) -> None:
    """The parser's own recursion is no reason for a traceback."""
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises(UsageError, match=name):
        read_items(tmp_path / name)
