"""Features for training: of everybody, or of each row at its own moment; counted once, and never wiser than that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from builder.errors import ColumnMissing, TimestampUnreadable
from builder.export.rows import SCHEMA
from builder.feature_table import History, of_everybody, of_rows

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
CATEGORIES = {"hat": "hats", "coat": "coats"}


def row(
    number: int, user: str, item: str | None, kind: str, minutes: float, value: float | None = None
) -> dict[str, object]:
    """A row of an export, so many minutes ago."""
    return {
        "user": user,
        "item": item,
        "interaction": kind,
        "timestamp": NOW - timedelta(minutes=minutes),
        "event_id": f"e{number}",
        "value": value,
    }


def history(*rows: dict[str, object]) -> History:
    """Of these."""
    schema = {name: SCHEMA[name] for name in ("user", "item", "interaction", "timestamp", "event_id", "value")}
    return History.of(pl.DataFrame(rows, schema=schema), CATEGORIES)


KNOWN = history(
    row(1, "ann", "hat", "view", 90, 20.0),
    row(2, "ann", "coat", "content-impression", 30),
    row(3, "bob", "coat", "order", 10, 80.0),
    row(3, "bob", "coat", "order", 10, 80.0),
    row(4, "ann", None, "search", 5),
    row(5, "cid", "hat", "view", 60 * 24 * 31),
)


def test_each_row_gets_the_features_of_its_user_and_item_at_its_moment() -> None:
    """Its other columns stay, and what came later is not told."""
    rows = pl.DataFrame(
        {
            "label": [1, 0, 0],
            "user": ["ann", "ann", "nobody"],
            "item": ["coat", "coat", "nothing"],
            "timestamp": [NOW, NOW - timedelta(minutes=20), NOW],
        }
    )
    told = of_rows(KNOWN, rows)
    assert told.columns[:4] == rows.columns
    assert told["user_1h_content_impression"].to_list() == [1, 1, 0]
    assert told["user_1d_view"].to_list() == [1, 1, 0]
    assert told["user_1h_search"].to_list() == [1, 0, 0]
    assert told["item_1h_order"].to_list() == [1, 0, 0]
    assert told["user_last_category"].to_list() == ["coats", "coats", None]
    assert told["user_last_price"].to_list() == [20.0, 20.0, None]


def test_everybody_of_the_last_thirty_days_is_told_of() -> None:
    """Users and items, each once; a search without an item is no item's."""
    told = of_everybody(KNOWN, round(NOW.timestamp() * 1000))
    assert told.select("of", "id").rows() == [("user", "ann"), ("user", "bob"), ("item", "coat"), ("item", "hat")]
    assert told["30d_view"].to_list() == [1, 0, 0, 1]


def test_an_event_counts_once_by_its_id() -> None:
    """However often it is in the export; two that are alike in all but their ids, or their users, are two."""
    alike = history(
        *(row(number, user, "hat", "view", 5) for number, user in ((1, "ann"), (2, "ann"), (1, "ann"), (1, "bob")))
    )
    assert of_everybody(alike, round(NOW.timestamp() * 1000))["1h_view"].to_list() == [2, 1, 3]


def test_an_export_of_nothing_tells_nothing() -> None:
    """And raises nothing."""
    assert not of_everybody(history(), 0).height
    asked = of_rows(history(), pl.DataFrame({"user": ["ann"], "timestamp": [NOW]}))
    assert asked["user_30d_view"].to_list() == [0]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (pl.DataFrame({"user": ["ann"]}), ColumnMissing),
        (pl.DataFrame({"timestamp": [NOW]}), ColumnMissing),
        (pl.DataFrame({"user": ["ann"], "timestamp": ["yesterday"]}), TimestampUnreadable),
    ],
)
def test_rows_that_cannot_be_asked_about_are_refused(rows: pl.DataFrame, error: type[Exception]) -> None:
    """And it is said what they lack."""
    with pytest.raises(error):
        of_rows(KNOWN, rows)
