"""A file of events that cannot be used is named, in one line that says what to do; what only looks odd is read."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from event_files import HEADER, lenient, read, read_csv

from builder.errors import (
    BuildError,
    ColumnMissing,
    DatasetInvalid,
    InteractionUnknown,
    SourceEmpty,
    SourceMissing,
    TimestampUnreadable,
)


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "path", "error", "says"),
    [
        (write("x", b""), "e.csv", SourceMissing, "e.csv: there is no such file in "),
        (write("x", b""), "e*.csv", SourceMissing, "e*.csv: the glob matches no file in "),
        (
            write("e.txt", b"x"),
            "e.txt",
            DatasetInvalid,
            "e.txt: has an unknown ending; the formats are .csv,",
        ),
        (write("e.csv", b""), "e.csv", SourceEmpty, "e.csv: is empty"),
        (write("e.csv", b"\n\n \n\n"), "e.csv", SourceEmpty, "e.csv: has no header"),
        (write("e.jsonl", b""), "e.jsonl", SourceEmpty, "e.jsonl: is empty"),
        (write("e.csv.gz", gzip.compress(b"")), "e.csv.gz", SourceEmpty, "e.csv.gz: is empty"),
        (write("e.csv", HEADER.encode()), "e.csv", SourceEmpty, "shop: no event in e.csv"),
        (
            write("e.csv", b"user_id,thing\n"),
            "e.csv",
            ColumnMissing,
            'e.csv: has no column "item_id"; it has user_id, thing;',
        ),
        (
            write("e.jsonl", b'{"user_id": 1}\n'),
            "e.jsonl",
            ColumnMissing,
            'has no column "item_id"; it has user_id;',
        ),
        (
            write("e.csv", b"user_id,user_id\n"),
            "e.csv",
            DatasetInvalid,
            'e.csv line 1: the header has "user_id" twice',
        ),
        (write("e.csv", "é".encode("latin-1")), "e.csv", DatasetInvalid, "e.csv: its header is not UTF-8"),
        (write("e.csv.gz", b"not gzip"), "e.csv.gz", DatasetInvalid, "e.csv.gz: is not a whole gzip file"),
        (
            write("e.csv.gz", gzip.compress(HEADER.encode() * 9)[:-9]),
            "e.csv.gz",
            DatasetInvalid,
            "is not a whole gzip",
        ),
        (
            write("e.parquet", b"not parquet"),
            "e.parquet",
            DatasetInvalid,
            "e.parquet: is not a readable Parquet file",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, prepare: Callable[[Path], None], path: str, error: type[BuildError], says: str
) -> None:
    """Each kind of failure is its own class, with one line that names the file and what to do."""
    prepare(tmp_path)
    with pytest.raises(error) as caught:
        read(tmp_path, path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parquet_column_of_another_shape_is_named(tmp_path: Path) -> None:
    """A list where one value belongs is an error, not an id that looks like a list."""
    pl.DataFrame({"user_id": [[1]], "item_id": ["i"]}).write_parquet(tmp_path / "e.parquet")
    with pytest.raises(DatasetInvalid, match=r'e\.parquet: column "user_id" is of type List'):
        read(tmp_path, "e.parquet")


def test_a_header_without_rows_is_fine_beside_others(tmp_path: Path) -> None:
    """A quiet day's file may be empty."""
    (tmp_path / "a.csv").write_text(HEADER)
    (tmp_path / "b.csv").write_text(HEADER + "u,i,purchase,1,\n")
    assert len(read(tmp_path, "*.csv")[0]) == 1


def test_a_file_without_one_readable_timestamp_says_so(tmp_path: Path) -> None:
    """The wrong column or form is an error of its own, however many bad rows are allowed."""
    rows = "u,i,purchase,,\nu,i,purchase,31.01.2024,\n"
    with pytest.raises(TimestampUnreadable) as caught:
        read_csv(tmp_path, rows, extra=lenient())
    said = str(caught.value)
    assert 'events.csv line 3: "31.01.2024" in column "timestamp" is no timestamp' in said
    assert "ISO text" in said
    assert "epoch seconds" in said


def test_an_unknown_interaction_type_is_named_with_the_known_ones(tmp_path: Path) -> None:
    """A type without a weight is never given one silently."""
    with pytest.raises(InteractionUnknown, match=r'line 3: unknown interaction type "view"; .* purchase, return;'):
        read_csv(tmp_path, "u,i,purchase,1,\nu,i,view,1,\n")


def test_a_path_with_brackets_is_taken_as_it_is(tmp_path: Path) -> None:
    """A file that exists under the very name is meant, not a pattern."""
    (tmp_path / "e[1].csv").write_text(HEADER + "u,i,purchase,1,\n")
    assert read(tmp_path, "e[1].csv")[1].files == ("e[1].csv",)
