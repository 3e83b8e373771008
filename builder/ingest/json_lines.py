"""JSON lines: one object per line; a key that an object has not got is a missing value.

Polars reads a block whose every line is good; a block with a broken or blank line is read line by line, so
that the bad ones can be counted and named. Either way each value becomes text, and a list its JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import polars as pl

from builder.errors import SourceEmpty
from builder.ingest.block import Block, column_missing, text_frame
from builder.ingest.lines import ByteStream, is_clean, line_runs, readable, split_lines

KEYS_FROM_LINES = 1000  # as many lines are looked at for the keys that an error message lists


class KeysSeen:
    """Which of the wanted columns no object had so far.

    No object is bound to have every key, so only at the end of a file is it sure that none has.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(dict.fromkeys(columns))
        self._unseen = set(columns)
        self._keys: dict[str, None] = {}
        self._lines = 0

    def add(self, data: bytes, block: Block) -> None:
        """Add a block, and the lines that it is of."""
        if not self._lines:
            self._keys = _keys(data)
        self._lines += data.count(b"\n")
        self._unseen = {one for one in self._unseen if block.frame[one].null_count() == block.frame.height}

    def extend(self, later: KeysSeen) -> None:
        """Add what was seen of a later part of the same file."""
        if not self._lines:
            self._keys = later._keys
        self._lines += later._lines
        self._unseen &= later._unseen

    def check(self, file: str) -> None:
        """Fail if the file had nothing in it, or nowhere a column.

        Raises:
            SourceEmpty: there was no line.
            ColumnMissing: names the first.
        """
        if not self._lines:
            raise SourceEmpty(f"{file}: is empty; fill it, or leave it out")
        for column in self._columns:
            if column in self._unseen and self._keys and column not in self._keys:
                raise column_missing(file, column, list(self._keys))


def read_json_blocks(
    stream: ByteStream, file: str, columns: Sequence[str], keys: KeysSeen | None = None
) -> Iterator[Block]:
    """Read a stream of JSON lines; the arguments and errors are those of `sources.read_blocks`."""
    seen = keys or KeysSeen(columns)
    line = 1
    for data in line_runs(stream, file):
        lines = data.count(b"\n")
        block = _read_fast(data, line, lines, columns) or _read_line_by_line(data, line, columns)
        seen.add(data, block)
        line += lines
        yield block
    if keys is None:
        seen.check(file)


def _keys(data: bytes) -> dict[str, None]:
    lines, _ = split_lines(b"".join(data.splitlines(keepends=True)[:KEYS_FROM_LINES]))
    objects = (_object(line) for line in lines)
    return {key: None for one in objects if one is not None for key in one}


def _read_fast(data: bytes, first_line: int, lines: int, columns: Sequence[str]) -> Block | None:
    try:
        frame = pl.read_ndjson(data, schema=dict.fromkeys(columns, pl.String))
    except pl.exceptions.PolarsError:
        return None
    if frame.height != lines:
        return None
    return Block(frame, np.arange(first_line, first_line + lines))


def _read_line_by_line(data: bytes, first_line: int, columns: Sequence[str]) -> Block:
    rows: list[int] = []
    records: list[list[str | None]] = []
    malformed: list[tuple[int, str]] = []
    lines, _ = split_lines(data)
    for row, line in enumerate(lines, first_line):
        found = _object(line)
        if found is not None:
            rows.append(row)
            records.append([_text(found.get(column)) for column in columns])
        elif line.strip():
            malformed.append((row, readable(line)))
    return Block(text_frame(columns, records), np.array(rows, dtype=np.int64), malformed)


def _object(line: str) -> dict[str, Any] | None:
    if not is_clean(line):
        return None
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are not JSON


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
