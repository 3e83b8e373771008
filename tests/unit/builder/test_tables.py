"""The items and users tables: every column but the id is optional, and every format says the same."""

import json
import pickle
from pathlib import Path

import polars as pl
import pytest

from builder.dataset import load_dataset
from builder.errors import ColumnMissing, SourceEmpty, SourceMissing, TimestampUnreadable, TooManyBadRows
from builder.ingest.table_rows import _split
from builder.tables import ItemTable, UserTable, read_items, read_users

SHOP = """
name = "shop"
[[events]]
path = "events.csv"
user = "u"
item = "i"
interaction_type = "buy"
timestamp = "t"
[interactions]
buy = 1
"""
FULL = """
title = "name"
category = "kind"
attributes = ["brand", "size"]
available = "stock"
created_at = "since"
occasions = "for"
"""
CSV = (
    "sku,name,kind,brand,size,stock,since,for\n"
    '7,"Suit, grey",suits,Acme,52,true,2024-01-31,wedding|work|wedding\n'
    "8,,,,,no,1706659200,\n"
    "9,Tie,ties,,1.0,,,party\n"
)


def items(folder: Path, path: str = "items.csv", columns: str = FULL, extra: str = "") -> ItemTable:
    (folder / "shop.toml").write_text(f'{SHOP}{extra}\n[items]\npath = "{path}"\nid = "sku"\n{columns}')
    table = read_items(load_dataset(folder / "shop.toml"))
    assert table is not None
    return table


def users(folder: Path, text: str, segment: str) -> UserTable:
    (folder / "users.csv").write_text(text)
    (folder / "shop.toml").write_text(f'{SHOP}\n[users]\npath = "users.csv"\nid = "id"\n{segment}')
    table = read_users(load_dataset(folder / "shop.toml"))
    assert table is not None
    return table


def plain(table: ItemTable) -> dict[str, object]:
    return {
        "ids": table.ids.to_list(),
        "titles": table.titles.to_list(),
        "categories": table.categories.to_list(),
        "attributes": {name: column.to_list() for name, column in table.attributes.items()},
        "available": table.available.tolist(),
        "created_at": table.created_at.tolist(),
        "occasions": table.occasions.to_list(),
    }


def test_a_dataset_may_have_no_tables(tmp_path: Path) -> None:
    """Both tables are optional."""
    (tmp_path / "shop.toml").write_text(SHOP)
    dataset = load_dataset(tmp_path / "shop.toml")
    assert read_items(dataset) is None
    assert read_users(dataset) is None


def test_every_column_of_an_item_arrives(tmp_path: Path) -> None:
    """Unknown is null for text, available for the stock, -1 for the time and no occasion."""
    (tmp_path / "items.csv").write_text(CSV)
    table = items(tmp_path)
    assert plain(table) == {
        "ids": ["7", "8", "9"],
        "titles": ["Suit, grey", None, "Tie"],
        "categories": ["suits", None, "ties"],
        "attributes": {"brand": ["Acme", None, None], "size": ["52", None, "1"]},
        "available": [True, False, True],
        "created_at": [1706659200000, 1706659200000, -1],
        "occasions": [["wedding", "work"], [], ["party"]],
    }
    assert (len(table), table.duplicates, dict(table.bad)) == (3, 0, {})
    assert (str(table.available.dtype), str(table.created_at.dtype)) == ("bool", "int64")
    assert table.occasions.dtype == pl.List(pl.String)


def test_every_format_gives_the_same_items(tmp_path: Path) -> None:
    """Native numbers, booleans, dates and lists mean what their text means."""
    (tmp_path / "items.csv").write_text(CSV)
    rows = [
        {"sku": 7, "name": "Suit, grey", "kind": "suits", "brand": "Acme", "size": 52.0, "stock": True}
        | {"since": "2024-01-31", "for": ["wedding", "work", "wedding"]},
        {"sku": 8, "stock": False, "since": "2024-01-31", "for": None},
        {"sku": 9, "name": "Tie", "kind": "ties", "size": 1.0, "for": ["party"]},
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    native = pl.DataFrame(rows).with_columns(pl.col("since").str.to_date())
    native.write_parquet(tmp_path / "items.parquet")
    from_csv = plain(items(tmp_path))
    assert plain(items(tmp_path, "items.jsonl")) == from_csv
    assert plain(items(tmp_path, "items.parquet")) == from_csv


def test_what_was_read_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """The dataset and its tables survive pickling, so that workers can have them."""
    (tmp_path / "items.csv").write_text(CSV)
    table = items(tmp_path)
    dataset = load_dataset(tmp_path / "shop.toml")
    assert pickle.loads(pickle.dumps(dataset)) == dataset
    assert plain(pickle.loads(pickle.dumps(table))) == plain(table)


def test_only_the_id_is_needed(tmp_path: Path) -> None:
    """A table of ids alone is a table of items of which nothing else is known."""
    (tmp_path / "items.csv").write_text("sku\na\nb\n")
    table = items(tmp_path, columns="")
    assert table.ids.to_list() == ["a", "b"]
    assert table.titles.null_count() == 2
    assert table.available.tolist() == [True, True]
    assert table.occasions.to_list() == [[], []]


def test_a_table_without_rows_has_its_types(tmp_path: Path) -> None:
    """A header alone is an empty table."""
    (tmp_path / "items.csv").write_text(CSV.splitlines(keepends=True)[0])
    table = items(tmp_path)
    assert len(table) == 0
    assert table.ids.dtype == pl.String
    assert table.occasions.dtype == pl.List(pl.String)


def test_occasions_may_have_another_separator(tmp_path: Path) -> None:
    """The separator in a cell of text is a setting; blanks around an occasion are not part of it."""
    (tmp_path / "items.csv").write_text("sku,for\na,work ; party;;\n")
    table = items(tmp_path, columns='occasions = "for"\noccasions_separator = ";"')
    assert table.occasions.to_list() == [["work", "party"]]


def test_an_occasion_may_begin_with_a_bracket(tmp_path: Path) -> None:
    """Text that only looks like a JSON list is text."""
    (tmp_path / "items.csv").write_text("sku,for\na,[new]|work\nb,work\n")
    assert items(tmp_path, columns='occasions = "for"').occasions.to_list() == [["[new]", "work"], ["work"]]


def test_what_is_nested_beyond_reason_is_text_too() -> None:
    """The parser's own recursion is no reason for a traceback."""
    deep = "[" * 100_000
    assert _split(deep, "|") == [deep]


def test_of_items_with_one_id_the_first_wins(tmp_path: Path) -> None:
    """The others are counted, across files, and 7 and 7.0 are one id."""
    (tmp_path / "items-1.csv").write_text("sku,name\n7,first\n7.0,second\n")
    (tmp_path / "items-2.csv").write_text("sku,name\n7,third\n8,other\n")
    table = items(tmp_path, "items-*.csv", 'title = "name"')
    assert (table.titles.to_list(), table.duplicates) == (["first", "other"], 2)


def test_bad_item_rows_are_counted_and_left_out(tmp_path: Path) -> None:
    """A row without an id, or with a field that cannot be read, is a bad row like an event's."""
    (tmp_path / "items.csv").write_text("sku,stock,since\n,1,1\nb,maybe,1\nc,1,soon\nd,1\ne,0,1\n")
    columns = 'available = "stock"\ncreated_at = "since"'
    table = items(tmp_path, columns=columns, extra="[ingest]\nbad_rows_share_max = 0.9")
    assert table.ids.to_list() == ["e"]
    assert dict(table.bad) == {
        "missing item": 1,
        "unreadable availability": 1,
        "unreadable timestamp": 1,
        "malformed line": 1,
    }
    assert [row.row for row in table.examples] == [2, 3, 4, 5]
    with pytest.raises(TooManyBadRows, match=r"items\.csv line 2: missing item: .* 4 of 5 rows"):
        items(tmp_path, columns=columns)


def test_a_creation_column_without_one_time_says_so(tmp_path: Path) -> None:
    """created_at is held to the same forms as an event's timestamp."""
    (tmp_path / "items.csv").write_text("sku,since\na,yesterday\n")
    with pytest.raises(TimestampUnreadable, match=r'items\.csv line 2: "yesterday" in column "since"'):
        items(tmp_path, columns='created_at = "since"')


def test_a_missing_column_or_file_is_named(tmp_path: Path) -> None:
    """The same errors as for events."""
    with pytest.raises(SourceMissing, match=r"items\.csv: there is no such file"):
        items(tmp_path)
    (tmp_path / "items.csv").write_text("sku\na\n")
    with pytest.raises(ColumnMissing, match=r'items\.csv: has no column "name"; it has sku'):
        items(tmp_path)
    (tmp_path / "items.csv").write_text("")
    with pytest.raises(SourceEmpty, match=r"items\.csv: is empty"):
        items(tmp_path)


def test_a_segment_is_one_column_or_several_joined(tmp_path: Path) -> None:
    """Whoever lacks one of the columns has no segment; the first row of an id wins."""
    text = "id,age,country\n1,30,no\n2,,no\n1.0,40,se\n"
    table = users(tmp_path, text, 'segment = ["age", "country"]')
    assert (table.ids.to_list(), table.segments.to_list()) == (["1", "2"], ["30/no", None])
    assert (len(table), table.duplicates) == (2, 1)
    assert users(tmp_path, text, 'segment = "country"').segments.to_list() == ["no", "no"]


def test_users_need_no_segment(tmp_path: Path) -> None:
    """Without a segment column no user has one."""
    table = users(tmp_path, "id\na\nb\n", "")
    assert table.segments.to_list() == [None, None]
    assert table.segments.dtype == pl.String
