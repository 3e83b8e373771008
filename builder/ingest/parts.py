"""Parts of event files: stretches that can be read apart from one another, and together give what the whole file gives.

A text file is divided after line feeds, Parquet between rows; what is compressed, or too small, stays whole. A record
of CSV may go on over line breaks within quotes, but over `RECORD_LINES_MAX` lines at most: so no record goes over a
line feed before which as many lines, each read on its own, are whole. Where that is not so, another place is looked for
a little further on, and in the end none: then nothing behind it is divided.

A part is read as if it were a file: a CSV file's header stands before each. Its lines are numbered from there, since
nobody knows how many come before it until all of these were read (`builder.divided_reading`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import polars as pl

from builder.ingest.block import Block
from builder.ingest.csv_file import RECORD_LINES_MAX, header_end, read_csv_blocks
from builder.ingest.json_lines import KeysSeen, read_json_blocks
from builder.ingest.lines import BYTE_ORDER_MARK, LINE_BYTES_MAX, split_lines
from builder.ingest.parquet_file import read_parquet_blocks
from builder.ingest.sources import read_blocks, told

PART_BYTES = 64 * 2**20
"""Of text, about: a few seconds of a worker's time, and some 2 million events."""

PART_ROWS = 2_000_000
"""Of Parquet. Only the row groups that they are in are read."""

PLACES_MAX = 16
STEP_BYTES = 64 * 2**10
"""Further on, where a record may go over a line feed."""

LOOK_BACK_BYTES = 2**20


@dataclass(frozen=True)
class Part:
    """A stretch of one file, or all of it.

    Attributes:
        path: the file's.
        start: the first byte, in Parquet the first row.
        stop: behind the last; None for a whole file.
        head_bytes: of the header, which is read before the stretch where that does not begin with it.
    """

    path: Path
    start: int = 0
    stop: int | None = None
    head_bytes: int = 0


def parts_of(path: Path, separator: str) -> list[Part]:
    """A file's parts, in its order. One that cannot be looked into is one part: whoever reads it says what is wrong."""
    name = path.name.lower()
    with suppress(OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        if name.endswith(".parquet"):
            return _parts(path, _row_places(path), 0)
        if not name.endswith(".gz") and path.stat().st_size > PART_BYTES:
            with path.open("rb") as file:
                size = path.stat().st_size
                if not name.endswith(".csv"):
                    return _parts(path, [*_line_places(file, 0, size), size], 0)
                if head := _head_bytes(file):
                    return _parts(path, [*_line_places(file, head, size, separator), size], head)
    return [Part(path)]


def _parts(path: Path, places: Sequence[int], head_bytes: int) -> list[Part]:
    """The parts that end at these places."""
    if len(places) < 2:
        return [Part(path)]
    starts = [0, *places[:-1]]
    return [Part(path, start, stop, head_bytes) for start, stop in zip(starts, places, strict=True)]


def _row_places(path: Path) -> list[int]:
    rows = int(pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect().item())
    return [*range(PART_ROWS, rows, PART_ROWS), rows]


def _head_bytes(file: BinaryIO) -> int:
    """Of a CSV file's header with all before it; 0 where it has none that ends."""
    data = file.read(LOOK_BACK_BYTES)
    text = data.removeprefix(BYTE_ORDER_MARK)
    end = header_end(text)
    return end + len(data) - len(text) if end else 0


def _line_places(file: BinaryIO, head: int, size: int, separator: str = "") -> Iterator[int]:
    """Places behind line feeds, about `PART_BYTES` apart, at which parts may end; the end of the file is none."""
    at = head
    while at + PART_BYTES < size:
        wanted = at + PART_BYTES
        behind = (_behind_line_feed(file, wanted + step * STEP_BYTES) for step in range(PLACES_MAX))
        places = (place for place in behind if place is not None and place < size)
        found = next((one for one in places if not separator or _ends_a_record(file, head, one, separator)), None)
        if found is None:
            return
        yield found
        at = found


def _behind_line_feed(file: BinaryIO, at: int) -> int | None:
    """The first such place from `at` on; None where no line of a length that is read ends there."""
    file.seek(at)
    for _ in range(LINE_BYTES_MAX // STEP_BYTES):
        data = file.read(STEP_BYTES)
        found = data.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not data:
            return None
        at += len(data)
    return None


def _ends_a_record(file: BinaryIO, head: int, place: int, separator: str) -> bool:
    """Whether no record can go over a place behind a line feed."""
    start = max(head, place - LOOK_BACK_BYTES)
    file.seek(start)
    lines = split_lines(file.read(place - start))[0][-RECORD_LINES_MAX:]
    # One more than can reach over it was looked for: the first may be but the end of a line.
    seen_all = len(lines) == RECORD_LINES_MAX or start == head
    before = lines if start == head else lines[1:]
    return seen_all and all(_is_whole(line, separator) for line in before if '"' in line)


def _is_whole(line: str, separator: str) -> bool:
    try:
        next(csv.reader([line], delimiter=separator, strict=True), None)
    except csv.Error:  # such as a quote that is not closed on this line
        return False
    return True


def read_part(
    part: Part, file: str, columns: Sequence[str], separator: str, keys: KeysSeen, lines: LineCount
) -> Iterator[Block]:
    """Read some columns of a part, a bounded block at a time.

    Args:
        part: which.
        file: how messages call it.
        columns: the columns wanted; a name may come twice.
        separator: between the fields of a CSV file.
        keys: told of every block of JSON lines; that a column is nowhere in them is for the caller to say.
        lines: counts the part's line feeds.

    Raises:
        BuildError: as `sources.read_blocks` does, but for a column that JSON lines have not got.
    """
    if part.stop is None:
        yield from read_blocks(part.path, file, columns, separator, keys=keys)
        return
    wanted = tuple(dict.fromkeys(columns))
    with told(file):
        if part.path.name.lower().endswith(".parquet"):
            yield from read_parquet_blocks(part.path, file, wanted, (), part.start, part.stop)
            return
        with part.path.open("rb") as opened:
            if part.path.name.lower().endswith(".csv"):
                head = opened.read(part.head_bytes) if part.start else b""
                yield from read_csv_blocks(Stretch(opened, part, head, lines), file, wanted, separator)
            else:
                # A mark at the beginning of a stretch is text, and not the file's: this one is taken off in its stead.
                mark = BYTE_ORDER_MARK if part.start else b""
                yield from read_json_blocks(Stretch(opened, part, mark, lines), file, wanted, keys)


@dataclass
class LineCount:
    """How many line feeds a part has."""

    lines: int = 0


class Stretch:
    """The bytes of a part, as a stream, and others before them.

    Args:
        file: opened.
        part: the stretch of it.
        before: what is read first.
        count: told of the part's own line feeds.
    """

    def __init__(self, file: BinaryIO, part: Part, before: bytes, count: LineCount) -> None:
        assert part.stop is not None
        file.seek(part.start)
        self._file, self._left, self._before, self._count = file, part.stop - part.start, before, count

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._before:
            data, self._before = self._before[:size], self._before[size:]
            return data
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        self._count.lines += data.count(b"\n")
        return data


def shifted(blocks: Iterator[Block], by: int) -> Iterator[Block]:
    """The blocks, their rows so many lines further on."""
    for block in blocks:
        yield (
            replace(block, rows=block.rows + by, malformed=[(row + by, text) for row, text in block.malformed])
            if by
            else block
        )


def head_lines(part: Part) -> int:
    """Lines that are read before a part's own."""
    if not part.start or not part.head_bytes:
        return 0
    with part.path.open("rb") as file:
        return file.read(part.head_bytes).count(b"\n")
