"""CSV with a header: quoted fields, separators and line breaks within them, CRLF, a byte order mark.

Polars reads a block in which every line is plainly one row with the header's number of fields. Any other
block is read record by record, so that the lines that are not rows can be counted and named. A quote that is
never closed costs only its own line: a record may span at most `RECORD_LINES_MAX` lines, and one that spans
several and has not the right number of fields is taken for one bad line, after which reading goes on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from builder.errors import DatasetInvalid, SourceEmpty
from builder.ingest.block import Block, column_missing, text_frame
from builder.ingest.lines import ByteStream, is_clean, line_runs, readable, split_lines

RECORD_LINES_MAX = 100


def read_csv_blocks(stream: ByteStream, file: str, columns: Sequence[str], separator: str) -> Iterator[Block]:
    """Read a stream of CSV; the arguments and errors are those of `sources.read_blocks`."""
    layout: _Layout | None = None
    rest, line = b"", 1
    for run in line_runs(stream, file):
        data = rest + run
        if layout is None:
            layout, taken = _read_header(data, file, columns, separator)
            data, line = data[taken.size :], line + taken.lines
        block = _read_fast(data, line, layout)
        rest = b""
        if block is None:
            block, rest = _read_by_record(data, line, layout, last=False)
        line += data.count(b"\n") - rest.count(b"\n")
        yield block
    if layout is None:
        raise SourceEmpty(f"{file}: is empty; fill it, or leave it out")
    if rest:
        yield _read_by_record(rest, line, layout, last=True)[0]


@dataclass(frozen=True)
class _Layout:
    """What a file's header says, and what is wanted of it."""

    columns: Sequence[str]
    places: Sequence[int]  # of the wanted columns among the fields
    width: int  # fields in a row
    separator: str


@dataclass(frozen=True)
class _Taken:
    size: int  # bytes
    lines: int


def header_end(data: bytes) -> int:
    """Where the header ends at the beginning of a CSV file, behind its line feed; 0 where it does not end."""
    end = 0
    for _ in range(RECORD_LINES_MAX):
        end = data.find(b"\n", end) + 1
        if not end or (data[:end].strip() and data[:end].count(b'"') % 2 == 0):
            return end
    return 0


def _read_header(data: bytes, file: str, columns: Sequence[str], separator: str) -> tuple[_Layout, _Taken]:
    head = data[: header_end(data) or len(data)]
    if not head.strip():
        raise SourceEmpty(f"{file}: has no header; fill it, or leave it out")
    lines, clean = split_lines(head.lstrip(b"\r\n"))
    if not clean:
        raise DatasetInvalid(f"{file}: its header is not UTF-8 text; save the file as UTF-8")
    try:
        names = [name.strip() for name in next(csv.reader(lines, delimiter=separator, strict=True))]
    except csv.Error as error:
        raise DatasetInvalid(f"{file} line 1: the header cannot be read ({error}); mend its quotes") from error
    for column in columns:
        if column not in names:
            raise column_missing(file, column, names)
        if names.count(column) > 1:
            raise DatasetInvalid(f'{file} line 1: the header has "{column}" twice; rename one')
    layout = _Layout(columns, [names.index(column) for column in columns], len(names), separator)
    return layout, _Taken(len(head), head.count(b"\n"))


def _read_fast(data: bytes, first_line: int, layout: _Layout) -> Block | None:
    """Read a block with Polars, or give nothing back where it could be wrong about a single row.

    A row with too many fields shows in an extra column. A row with too few cannot be told from one with empty
    fields, but there is none if no row has too many and there are as many separators as the rows need. With
    quotes this holds as long as no field contains a separator, so then all fields are looked at.
    """
    lines = data.count(b"\n")
    separator = layout.separator.encode()
    may_quote = b'"' in data
    if data.count(separator) != lines * (layout.width - 1) or _has_blank_line(data):
        return None
    names = [str(place) for place in range(layout.width + 1)]
    wanted = [names[place] for place in layout.places]
    try:
        frame = pl.read_csv(
            separator.join(name.encode() for name in names) + b"\n" + data,
            columns=None if may_quote else sorted({*wanted, names[-1]}, key=int),
            separator=layout.separator,
            quote_char='"' if may_quote else None,
            infer_schema=False,
            truncate_ragged_lines=True,
        )
    except pl.exceptions.PolarsError:
        return None
    if frame.height != lines or frame[names[-1]].null_count() != lines:
        return None
    if may_quote and any(one.str.contains(layout.separator, literal=True).any() for one in frame):
        return None
    chosen = frame.select(pl.col(name).alias(column) for name, column in zip(wanted, layout.columns, strict=True))
    return Block(chosen, np.arange(first_line, first_line + lines))


def _has_blank_line(data: bytes) -> bool:
    return data.startswith((b"\n", b"\r\n")) or b"\n\n" in data or b"\n\r\n" in data


@dataclass
class _Records:
    rows: list[int] = field(default_factory=list)
    fields: list[list[str | None]] = field(default_factory=list)
    malformed: list[tuple[int, str]] = field(default_factory=list)


def _read_by_record(data: bytes, first_line: int, layout: _Layout, last: bool) -> tuple[Block, bytes]:
    """Read a block record by record; what may go on in the next block is given back unread."""
    lines, clean = split_lines(data)
    found = _Records()
    at = 0
    while at < len(lines):
        fields, taken = _record(lines, at, layout.separator)
        good = fields is not None and len(fields) == layout.width
        if not good and '"' in lines[at] and not last and at + RECORD_LINES_MAX > len(lines):
            break
        if fields is not None and good and (clean or all(map(is_clean, fields))):
            found.rows.append(first_line + at)
            found.fields.append([fields[place] or None for place in layout.places])
        elif lines[at].strip():
            taken = 1
            found.malformed.append((first_line + at, readable(lines[at])))
        at += taken
    rest = "".join(lines[at:]).encode("utf-8", errors="surrogateescape")
    block = Block(text_frame(layout.columns, found.fields), np.array(found.rows, dtype=np.int64), found.malformed)
    return block, rest


def _record(lines: Sequence[str], at: int, separator: str) -> tuple[list[str] | None, int]:
    """The record that begins on a line, and the lines that it takes; none if there is no whole one."""
    reach = RECORD_LINES_MAX if '"' in lines[at] else 1
    reader = csv.reader(lines[at : at + reach], delimiter=separator, strict=True)
    try:
        return next(reader, None), reader.line_num
    except csv.Error:
        return None, 1
