"""Events are the same arrays whatever form they came in, and however they are divided into files and blocks."""

import gzip
import random
from pathlib import Path

import pytest
from event_files import (
    HEADER,
    Row,
    as_csv,
    as_json,
    assert_same,
    event_rows,
    plain,
    read,
    read_csv,
    same_folder,
    write_parquet,
)
from hypothesis import given
from hypothesis import strategies as st

import builder.ingest.csv_file as csv_file
import builder.ingest.lines as lines
import builder.ingest.parquet_file as parquet_file


@same_folder
@given(rows=event_rows)
def test_the_same_events_in_any_format_are_the_same_arrays(tmp_path: Path, rows: list[Row]) -> None:
    """CSV, quoted CSV, CSV.gz, JSON lines, JSON lines.gz and Parquet agree to the bit."""
    (tmp_path / "a.csv").write_bytes(as_csv(rows))
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + as_csv(rows, quote=True).replace(b"\n", b"\r\n"))
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(as_csv(rows)))
    (tmp_path / "d.jsonl").write_bytes(as_json(rows))
    (tmp_path / "e.ndjson.gz").write_bytes(gzip.compress(as_json(rows)))
    write_parquet(tmp_path / "f.parquet", rows)
    first, _ = read(tmp_path, "a.csv")
    for other in ("b.csv", "c.csv.gz", "d.jsonl", "e.ndjson.gz", "f.parquet"):
        assert_same(first, read(tmp_path, other)[0])


@same_folder
@given(rows=event_rows, seed=st.integers(0, 99), cut=st.integers(0, 12))
def test_the_order_of_rows_and_files_does_not_matter(tmp_path: Path, rows: list[Row], seed: int, cut: int) -> None:
    """Shuffled, and split over two files, the events are the same arrays."""
    (tmp_path / "events.csv").write_bytes(as_csv(rows))
    shuffled = random.Random(seed).sample(rows, len(rows))
    (tmp_path / "part-1.csv").write_bytes(as_csv(shuffled[:cut]) if cut else HEADER.encode())
    (tmp_path / "part-2.csv").write_bytes(as_csv(shuffled[cut:]) if cut < len(rows) else HEADER.encode())
    assert_same(read(tmp_path)[0], read(tmp_path, "part-*.csv")[0])


def test_files_larger_than_a_block_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block ends, in the middle of a line, a quote or a row group, changes nothing."""
    rows: list[Row] = [(f"u{n % 7}", f'i"{n},\n{n}', "purchase", str(2 * 10**9 + n), "1.0") for n in range(60)]
    (tmp_path / "a.csv").write_bytes(as_csv(rows))
    (tmp_path / "b.jsonl").write_bytes(as_json(rows))
    write_parquet(tmp_path / "c.parquet", rows)
    whole, _ = read(tmp_path, "a.csv")
    monkeypatch.setattr(lines, "BLOCK_BYTES", 97)
    monkeypatch.setattr(parquet_file, "BLOCK_ROWS", 7)
    assert len(whole) == 60
    for path in ("a.csv", "b.jsonl", "c.parquet"):
        assert_same(whole, read(tmp_path, path)[0])


def test_quotes_may_hold_separators_line_breaks_and_quotes(tmp_path: Path) -> None:
    """A quoted field is one field, whatever is in it."""
    events, _ = read_csv(tmp_path, '"a,b","c\r\nd",purchase,1,\r\n"e""f",g,purchase,2,\r\n')
    assert [(row[0], row[1]) for row in plain(events)] == [("a,b", "c\r\nd"), ('e"f', "g")]


@pytest.mark.parametrize(
    "rows", ["u,i,purchase,1,\n\n\nu,j,purchase,2,", "u,i,purchase,1,\r\n\r\nu,j,purchase,2,\r\n\r\n"]
)
def test_blank_lines_are_not_rows(tmp_path: Path, rows: str) -> None:
    """A blank line is neither an event nor a bad row, and the last line needs no end."""
    _, report = read_csv(tmp_path, rows)
    assert (report.rows_read, report.events) == (2, 2)


def test_another_separator_can_be_named(tmp_path: Path) -> None:
    """A file separated by semicolons is read when the source says so."""
    rows = "u;a,b;purchase;1;1.5\n"
    events, _ = read_csv(tmp_path, rows, header=HEADER.replace(",", ";"), source='separator = ";"')
    assert plain(events) == [("u", "a,b", "purchase", 1000, 1.5)]


def test_columns_that_are_not_named_are_ignored(tmp_path: Path) -> None:
    """Any other column may stand before, between and after."""
    header = "x,value,user_id,y,item_id,interaction,timestamp,z\n"
    events, _ = read_csv(tmp_path, "1,2,u,3,i,purchase,4,5\n", header=header)
    assert plain(events) == [("u", "i", "purchase", 4000, 2.0)]


def test_several_sources_make_one_set_of_events(tmp_path: Path) -> None:
    """Sources of different formats, one of them with one type for all, share their ids."""
    (tmp_path / "rent.jsonl").write_text('{"who": 7, "what": "i", "when": 5}\n')
    second = (
        '[[events]]\npath = "rent.jsonl"\nuser = "who"\nitem = "what"\ninteraction_type = "return"\ntimestamp = "when"'
    )
    events, report = read_csv(tmp_path, "7,i,purchase,1,2\n", source=second)
    assert plain(events) == [("7", "i", "purchase", 1000, 2.0), ("7", "i", "return", 5000, None)]
    assert report.files == ("events.csv", "rent.jsonl")


def test_progress_is_told_once_per_file(tmp_path: Path) -> None:
    """The callback gets the name, the files done and the files in all."""
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(HEADER + "u,i,purchase,1,\n")
    told: list[tuple[str, int, int]] = []
    read(tmp_path, "*.csv", progress=lambda *step: told.append(step))
    assert told == [("a.csv", 1, 2), ("b.csv", 2, 2)]


def test_the_slow_way_of_reading_csv_agrees_with_the_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two readers a block goes to cannot be seen in the events."""
    rows: list[Row] = [(f"u {n}", f"i#{n}", "purchase", str(n), None if n % 3 else "1.5") for n in range(50)]
    (tmp_path / "events.csv").write_bytes(as_csv(rows, quote=True))
    fast, _ = read(tmp_path)
    monkeypatch.setattr(csv_file, "_read_fast", lambda *_: None)
    assert_same(fast, read(tmp_path)[0])
