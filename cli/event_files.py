"""Rows of a file into events: JSON lines and CSV, plain or gzipped, and Parquet, under the names of the contract.

A row has user_id, item_id and interaction, and may have timestamp, event_id, value, request_id, carousel, position,
channel, and context (an object; not in CSV). A time is ISO 8601 (UTC without a zone) or seconds since 1970.

A row without an id gets one made of what it says and its line, where it has a time: the same file recorded again
counts once. Without a time nothing tells two rows of two files apart, so that it gets a random one.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple

from cli.output import UsageError
from cli.parquet_rows import ParquetRows
from trunkshow.errors import InvalidArgument
from trunkshow.events import Event, new_id

LINE_CHARACTERS_MAX = 1 << 20
ID_BYTES = 16
TEXTS = ("user_id", "item_id", "interaction", "event_id", "request_id", "carousel", "channel")
KNOWN = {*TEXTS, "timestamp", "value", "position", "context"}


class Row(NamedTuple):
    """A line of a file.

    Attributes:
        line: its number, from 1.
        event: that it holds; None where it holds none.
        why: it holds none.
        size_bytes: of it, as it is sent.
    """

    line: int
    event: Event | None
    why: str = ""
    size_bytes: int = 0


class EventFile:
    """A file of events, open.

    Raises:
        UsageError: it cannot be opened, or is of no known kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parquet = ParquetRows(path) if path.suffix.lower() == ".parquet" else None
        if self._parquet is not None:
            self.size = self._parquet.count
            return
        kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
        if kind not in _READERS:
            raise UsageError(f"{path}: write .jsonl or .csv, or either with .gz, or .parquet")
        try:
            self._raw: IO[bytes] = path.open("rb")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        self.size = path.stat().st_size
        unpacked = gzip.GzipFile(fileobj=self._raw) if path.name.lower().endswith(".gz") else self._raw
        self._text = io.TextIOWrapper(unpacked, "utf-8-sig", newline="")
        self._read = _READERS[kind]

    @property
    def read(self) -> int:
        """How much of its size so far: bytes, or rows of Parquet."""
        return self._raw.tell() if self._parquet is None else self._parquet.done

    def rows(self) -> Iterator[Row]:
        """All of them.

        Raises:
            UsageError: it is no text, or has a line without end.
        """
        try:
            for line, fields in self._read(self._text) if self._parquet is None else self._parquet:
                yield _row(line, fields)
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, csv.Error) as error:
            raise UsageError(f"{self.path}: {error}") from None

    def close(self) -> None:
        """Let go of it."""
        if self._parquet is None:
            self._text.close()
            self._raw.close()


def _json_lines(text: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    number = 0
    while line := text.readline(LINE_CHARACTERS_MAX):
        number += 1
        if len(line) == LINE_CHARACTERS_MAX:
            raise csv.Error(f"line {number} is longer than {LINE_CHARACTERS_MAX:,} characters")
        if line.strip():
            yield number, _parsed(line)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return str(error)


def _csv(text: io.TextIOWrapper) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(text)
    for fields in reader:
        if None in fields:
            yield reader.line_num, "more fields than the header has"
        else:
            yield reader.line_num, {name: value for name, value in fields.items() if value}


_READERS: dict[str, Callable[[io.TextIOWrapper], Iterator[tuple[int, Any]]]] = {
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "csv": _csv,
}


def _row(line: int, fields: Any) -> Row:
    if not isinstance(fields, dict):
        return Row(line, None, fields if isinstance(fields, str) else "not an object")
    try:
        event = event_of(fields, line)
        size = event.to_message().ByteSize()
    except (InvalidArgument, ValueError, TypeError, OverflowError) as error:
        return Row(line, None, str(error))
    return Row(line, event, size_bytes=size)


def event_of(fields: dict[str, Any], line: int) -> Event:
    """The event of a row.

    Args:
        fields: by name; empty ones are left out.
        line: that it stood in.

    Raises:
        InvalidArgument: a value cannot be what it should be.
    """
    unknown = sorted(fields.keys() - KNOWN)
    if unknown:
        raise InvalidArgument(f"{unknown[0]}: no field of an event; there are {', '.join(sorted(KNOWN))}")
    texts = {name: str(fields[name]) for name in TEXTS if fields.get(name) not in (None, "")}
    when = time_of(fields["timestamp"]) if fields.get("timestamp") not in (None, "") else None
    return Event(
        user_id=texts.get("user_id", ""),
        item_id=texts.get("item_id", ""),
        interaction=texts.get("interaction", ""),
        timestamp=when,
        event_id=texts.get("event_id") or (_id_of(fields, line) if when else new_id()),
        value=None if fields.get("value") is None else float(fields["value"]),
        request_id=texts.get("request_id", ""),
        carousel=texts.get("carousel", ""),
        position=None if fields.get("position") is None else int(fields["position"]),
        channel=texts.get("channel", "unspecified"),
        context={str(key): str(value) for key, value in dict(fields.get("context") or {}).items()},
    )


def time_of(written: Any) -> datetime:
    """A time as a file may have it.

    Raises:
        InvalidArgument: it is none.
    """
    try:
        if isinstance(written, bool):
            raise ValueError
        if isinstance(written, int | float) or written.replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(written), UTC)
        found = datetime.fromisoformat(written)
    except (ValueError, OverflowError, OSError, AttributeError):
        raise InvalidArgument(f"timestamp: {written!r} is neither ISO 8601 nor seconds since 1970") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _id_of(fields: dict[str, Any], line: int) -> str:
    said = json.dumps([line, sorted((name, str(value)) for name, value in fields.items())], ensure_ascii=False)
    return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).hexdigest()
