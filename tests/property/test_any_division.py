"""Event files that are read in parts give what they give when they are read whole: events, report, and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.crew.port import Alone
from builder.dataset import load_dataset
from builder.errors import BuildError
from builder.events import read_events
from builder.ingest import csv_file, lines, parquet_file, parts
from builder.ingest.block import Block
from builder.ingest.json_lines import KeysSeen
from builder.ingest.sources import read_blocks

DATASET = """
name = "any"
[[events]]
path = "*.{form}"
user = "user"
item = "item"
interaction = "kind"
timestamp = "time"
value = "value"
[interactions]
buy = 1.0
back = -1.0
[ingest]
bad_rows_share_max = {share}
"""

IDS = st.sampled_from(["a", "b", "7", "7.0", " c ", "", "é", 'say "x"', "one, two", "two\nlines", "\ufeffmark"])
KINDS = st.sampled_from(["buy"] * 20 + ["back"] * 5 + ["", "steal"])
TIMES = st.sampled_from(["2024-01-31", "1700000000", "2024-02-01T10:00:00Z", "1700000000000"] * 4 + ["soon", ""])
VALUES = st.sampled_from(["1", "2.5", "", "much"])
ROWS = st.lists(st.tuples(IDS, IDS, KINDS, TIMES, VALUES), max_size=30)
COLUMNS = ("user", "item", "kind", "time", "value")

RAW = st.lists(
    st.sampled_from(
        [
            b"a,b,buy,1700000000,1\n",
            b"a,b,buy,1700000001,\r\n",
            b'"a","b","buy","1700000002","1"\n',
            b'"a","b\n',
            b'c","buy",1700000003,1\n',
            b'a,b,"buy,1700000004,1\n',
            b'5" pipe,b,buy,1700000005,1\n',
            b'"a"x,b,buy,1700000006,1\n',
            b"too,few\n",
            b"\n",
            b"\xff\xfe,b,buy,1700000007,1\n",
            b"\xef\xbb\xbfa,b,buy,1700000008,1\n",
            b"a,b,buy,soon,1\n",
            b'{"user": "a", "item": "b", "kind": "buy", "time": 1700000009}\n',
            b'{"user": 7, "item": "b", "kind": "back", "time": "2024-01-31", "value": 2}\n',
            b'{"user": "a"}\n',
            b"{broken\n",
            b"   ",
        ]
    ),
    max_size=40,
).map(b"".join)


class Divider(Alone):
    """A process that reads in parts as a crew does."""

    @property
    def alone(self) -> bool:
        """So it is asked for parts."""
        return False


def as_csv(rows: list[tuple[str, ...]]) -> bytes:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    return frame.write_csv().encode()


def as_json(rows: list[tuple[str, ...]]) -> bytes:
    return b"".join(json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in rows)


def outcome(folder: Path, crew: Alone | None) -> tuple[Any, ...]:
    """What reading a data set comes to: its events and report, or the refusal."""
    try:
        events, report = read_events(load_dataset(folder / "dataset.toml"), crew=crew)
    except BuildError as error:
        return type(error), str(error)
    arrays = (events.users, events.items, events.kinds, events.times, events.values)
    ids = (events.user_ids.to_list(), events.item_ids.to_list())
    return *(array.tobytes() for array in arrays), *ids, report.to_json()


@contextmanager
def small_parts(part: int) -> Iterator[None]:
    """Parts of about so many bytes, or fewer rows of Parquet; blocks and records of a few lines."""
    with (
        patch.object(parts, "PART_BYTES", part),
        patch.object(parts, "STEP_BYTES", 7),
        patch.object(parts, "PART_ROWS", max(1, part // 20)),
        patch.object(lines, "BLOCK_BYTES", 64),
        patch.object(parquet_file, "BLOCK_ROWS", 3),
        patch.object(csv_file, "RECORD_LINES_MAX", 4),
        patch.object(parts, "RECORD_LINES_MAX", 4),
    ):
        yield


def assert_same(folder: Path, form: str, share: float, part: int) -> None:
    """Whole, and in parts."""
    (folder / "dataset.toml").write_text(DATASET.format(form=form, share=share), encoding="utf-8")
    with small_parts(part):
        assert outcome(folder, Divider(folder / "work")) == outcome(folder, None)


def blocks_of(read: Iterator[Block]) -> tuple[list[Any], ...]:
    """What blocks come to, put together."""
    found = list(read)
    rows = [row for one in found for row in one.rows.tolist()]
    return rows, [line for one in found for line in one.malformed], [row for one in found for row in one.frame.rows()]


def divided_blocks(path: Path, keys: KeysSeen) -> Iterator[Block]:
    """All parts of a file, one after the other, their lines counted as they come."""
    before = 0
    for part in parts.parts_of(path, ","):
        count, seen = parts.LineCount(), KeysSeen(COLUMNS)
        read = parts.read_part(part, path.name, COLUMNS, ",", seen, count)
        yield from parts.shifted(read, before - parts.head_lines(part) if before else 0)
        before += count.lines
        keys.extend(seen)


slow = partial(settings, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow(max_examples=40)
@given(RAW, st.integers(1, 300), st.booleans())
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_parts_have_the_lines_of_the_whole(
    form: str, tmp_path_factory: pytest.TempPathFactory, content: bytes, part: int, marked: bool
) -> None:
    """Quotes that are never closed, lines that are no text, headers behind a mark, and ends without a line feed."""
    path = tmp_path_factory.mktemp("any") / f"0.{form}"
    head = b"user,item,kind,time,value\n" if form == "csv" else b'{"user": "a", "item": "b", "kind": "buy"}\n'
    path.write_bytes((b"\xef\xbb\xbf" if marked else b"") + head + content)
    whole_keys, keys = KeysSeen(COLUMNS), KeysSeen(COLUMNS)
    with small_parts(part):
        whole = blocks_of(read_blocks(path, path.name, COLUMNS, ",", keys=whole_keys))
        assert blocks_of(divided_blocks(path, keys)) == whole
    assert vars(keys) == vars(whole_keys)


@slow(max_examples=6)
@given(st.lists(ROWS, min_size=1, max_size=2), st.sampled_from([0.0, 0.3, 1.0]), st.integers(100, 400))
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_of_any_kind(
    form: str, tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[str, ...]]], share: float, part: int
) -> None:
    """Good and bad ones, in several files, with quotes and line breaks where the format has them."""
    folder = tmp_path_factory.mktemp("any")
    for number, rows in enumerate(files):
        path = folder / f"{number}.{form}"
        if form == "parquet":
            frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
            frame.write_parquet(path, row_group_size=5)
        else:
            path.write_bytes(as_csv(rows) if form == "csv" else as_json(rows))
    assert_same(folder, form, share, part)
