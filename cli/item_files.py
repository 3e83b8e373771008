"""Rows of a file into new items: JSON, JSON lines, CSV and Parquet, under the names that the contract uses.

A row has an id, and may have title, category, available, created, and occasions (a list, or text with | between);
attributes are an object of that name, or every other column. A time is ISO 8601 (UTC without a zone) or seconds since
1970.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.event_files import time_of
from cli.output import UsageError
from trunkshow.errors import InvalidArgument
from trunkshow.items import NewItem

BYTES_MAX = 256 << 20
"""Of a file, which is read whole."""

IDS = ("id", "item_id")
CREATED = ("created", "created_at")
OTHERS = ("title", "category", "available", "occasions", "attributes")
YES, NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def read_items(path: Path) -> list[NewItem]:
    """The items of a file.

    Raises:
        UsageError: it cannot be read, is of no known kind, or a row of it is no item.
    """
    try:
        if path.stat().st_size > BYTES_MAX:
            raise UsageError(f"{path}: more than {BYTES_MAX >> 20} MiB; divide it")
        rows = list(_rows(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{path}: {error}") from None
    return [_item(path, number, row) for number, row in enumerate(rows, 1)]


def item_of(fields: Mapping[str, Any]) -> NewItem:
    """The item of a row.

    Raises:
        InvalidArgument: a value cannot be what it should be.
    """
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    others = {name: value for name, value in given.items() if name not in (*IDS, *CREATED, *OTHERS)}
    attributes = given.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise InvalidArgument("attributes: an object is needed", field="attributes")
    created = next((given[name] for name in CREATED if name in given), None)
    return NewItem(
        id=str(next((given[name] for name in IDS if name in given), "")),
        title=str(given.get("title", "")),
        category=str(given.get("category", "")),
        attributes={str(name): str(value) for name, value in {**others, **attributes}.items() if value is not None},
        available=_flag(given.get("available", True)),
        created=None if created is None else _time(created),
        occasions=_several(given.get("occasions", ())),
    )


def _rows(path: Path) -> Iterator[Any]:
    kind = path.suffix.lower().removeprefix(".")
    if kind in {"jsonl", "ndjson"}:
        yield from (json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip())
    elif kind == "json":
        whole = json.loads(path.read_text("utf-8-sig"))
        yield from whole if isinstance(whole, list) else [whole]
    elif kind == "csv":
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines)
    elif kind == "parquet":
        yield from _of_parquet(path)
    else:
        raise UsageError(f"{path}: write .json, .jsonl, .csv or .parquet")


def _of_parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import polars as pl
    except ImportError as error:
        raise UsageError(f"{path}: Parquet needs {error.name}; install trunkshow[builder], or write .jsonl") from error
    try:
        yield from pl.read_parquet(path, glob=False, hive_partitioning=False).iter_rows(named=True)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{path}: {error!s:.200}") from None


def _item(path: Path, number: int, row: Any) -> NewItem:
    try:
        if not isinstance(row, Mapping) or None in row:
            raise InvalidArgument("not an object, or more fields than the header has")
        return item_of(row)
    except InvalidArgument as error:
        raise UsageError(f"{path} row {number}: {error.message}") from None


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in (*YES, *NO):
        raise InvalidArgument(f"available: {value!r} is neither true nor false", field="available")
    return text in YES


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return time_of(value)


def _several(value: Any) -> Sequence[str]:
    parts = value.split("|") if isinstance(value, str) else value
    return tuple(text for part in parts if (text := str(part).strip()))
