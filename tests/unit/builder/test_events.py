"""Events are the same arrays whatever form they came in; what is wrong with them is counted and named."""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import builder.ingest.csv_file as csv_file
import builder.ingest.lines as lines
import builder.ingest.parquet_file as parquet_file
from builder.dataset import load_dataset
from builder.errors import (
    BuildError,
    ColumnMissing,
    DatasetInvalid,
    InteractionUnknown,
    SourceEmpty,
    SourceMissing,
    TimestampUnreadable,
    TooManyBadRows,
)
from builder.events import Events, IngestReport, read_events

FAR_S = 1e11  # when they are built: nothing that can be written is in the future of that
HEADER = "user_id,item_id,interaction,timestamp,value\n"
Row = tuple[str, str, str, str, str | None]
same_folder = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(
    folder: Path,
    path: str = "events.csv",
    *,
    source: str = "",
    extra: str = "",
    interaction: str = 'interaction = "interaction"',
    **options: Any,
) -> tuple[Events, IngestReport]:
    (folder / "shop.toml").write_text(
        f"""
name = "shop"
[[events]]
path = "{path}"
user = "user_id"
item = "item_id"
{interaction}
timestamp = "timestamp"
value = "value"
{source}
[interactions]
purchase = 1.0
return = -1.0
{extra}
""",
        encoding="utf-8",
    )
    return read_events(load_dataset(folder / "shop.toml"), **{"wall": lambda: FAR_S, **options})


def read_csv(folder: Path, rows: str, *, header: str = HEADER, **options: Any) -> tuple[Events, IngestReport]:
    (folder / "events.csv").write_bytes((header + rows).encode())
    return read(folder, **options)


def lenient(share: float = 1.0) -> str:
    return f"[ingest]\nbad_rows_share_max = {share}"


def plain(events: Events) -> list[tuple[str, str, str, int, float | None]]:
    """Events as rows that a test can write down."""
    return [
        (
            events.user_ids[int(user)],
            events.item_ids[int(item)],
            events.kind_names[int(kind)],
            int(time),
            None if np.isnan(value) else float(value),
        )
        for user, item, kind, time, value in zip(
            events.users, events.items, events.kinds, events.times, events.values, strict=True
        )
    ]


def assert_same(one: Events, other: Events) -> None:
    for name in ("users", "items", "kinds", "times", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.user_ids.equals(other.user_ids)
    assert one.item_ids.equals(other.item_ids)


def test_a_row_becomes_an_event(tmp_path: Path) -> None:
    """Each of the five fields arrives, with its documented dtype."""
    events, report = read_csv(tmp_path, "u2,i1,return,2024-01-31T00:00:01,2.5\nu1,i2,purchase,2024-01-31,\n")
    assert plain(events) == [
        ("u1", "i2", "purchase", 1706659200000, None),
        ("u2", "i1", "return", 1706659201000, 2.5),
    ]
    arrays = (events.users, events.items, events.kinds, events.times, events.values)
    assert [str(array.dtype) for array in arrays] == ["int32", "int32", "uint8", "int64", "float32"]
    assert events.user_ids.to_list() == ["u1", "u2"]
    assert events.kind_names == ("purchase", "return")
    assert len(events) == 2
    assert (report.rows_read, report.events, report.duplicates, dict(report.bad)) == (2, 2, 0, {})
    assert report.files == ("events.csv",)


def test_each_event_has_the_weight_of_its_type(tmp_path: Path) -> None:
    """A return's weight may be negative."""
    events, _ = read_csv(tmp_path, "u,i,return,2,\nu,i,purchase,1,\n")
    weights = events.weights({"purchase": 1.0, "return": -0.5})
    assert weights.dtype == np.float32
    assert weights.tolist() == [1.0, -0.5]


# --- formats ---------------------------------------------------------------------------------------------

identifiers = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)
event_rows = st.lists(
    st.tuples(
        identifiers,
        identifiers,
        st.sampled_from(["purchase", "return"]),
        st.integers(2 * 10**9, 3 * 10**9).map(str),
        st.none() | st.integers(-99, 99).map(lambda number: str(number / 4)),
    ),
    min_size=1,
    max_size=12,
)
COLUMNS = ("user_id", "item_id", "interaction", "timestamp", "value")


def as_csv(rows: Sequence[Row], quote: bool = False) -> bytes:
    table = pl.DataFrame(rows, schema=list(COLUMNS), orient="row")
    return table.write_csv(quote_style="always" if quote else "necessary").encode()


def as_json(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows).encode()


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    table = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    table.with_columns(pl.col("timestamp").cast(pl.Int64), pl.col("value").cast(pl.Float64)).write_parquet(path)


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


# --- what a value means ----------------------------------------------------------------------------------


@same_folder
@given(
    # Milliseconds are told from seconds by size, so the forms agree from March 1973 on.
    instant=st.datetimes(datetime(1973, 4, 1), datetime(2200, 1, 1)).map(lambda t: t.replace(microsecond=0)),
    offset=st.integers(-14 * 4, 14 * 4),
)
def test_one_instant_is_one_event_in_every_form(tmp_path: Path, instant: datetime, offset: int) -> None:
    """ISO text naive, zoned or short, epoch seconds and milliseconds, as text or native, are one event."""
    aware = instant.replace(tzinfo=UTC)
    there = aware.astimezone(timezone(timedelta(minutes=15 * offset)))
    seconds = int(aware.timestamp())
    texts = [
        instant.isoformat(),
        instant.isoformat(" "),
        f"{instant.isoformat()}Z",
        f"{instant.isoformat(' ')} UTC",
        f"{instant.isoformat()}.000",
        there.isoformat(),
        there.isoformat().replace("+00:00", "+00"),
        str(seconds),
        f"{seconds}.0",
        str(seconds * 1000),
    ]
    (tmp_path / "a.csv").write_text(HEADER + "".join(f"u,i,purchase,{text},\n" for text in texts))
    natives = [[instant], [aware], [there], [seconds], [float(seconds)], [seconds * 1000]]
    for number, native in enumerate(natives):
        row = {"user_id": ["u"], "item_id": ["i"], "interaction": ["purchase"], "timestamp": native}
        pl.DataFrame(row).with_columns(value=pl.lit(None, pl.Float64)).write_parquet(tmp_path / f"{number}.parquet")
    events, report = read(tmp_path, "*[a0-9].*")
    assert plain(events) == [("u", "i", "purchase", seconds * 1000, None)]
    assert report.rows_read == len(texts) + len(natives)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2024-01-31", 1706659200000),
        ("2024-01-31T10:00", 1706695200000),
        ("2024-01-31T10:00:00.1239", 1706695200123),
        ("2024-01-31T10:00:00-0230", 1706704200000),
        ("2024-01-31T12:00+02", 1706695200000),
        ("1969-12-31T23:59:59.250", -750),
        ("1706695200.5", 1706695200500),
        ("99999999999", 99999999999000),
        ("100000000000", 100000000000),
        ("-1", -1000),
        (" 5 ", 5000),
    ],
)
def test_a_timestamp_is_read_to_the_millisecond(tmp_path: Path, text: str, milliseconds: int) -> None:
    """The documented forms, with fractions, offsets and the sizes between which numbers change their unit."""
    events, _ = read_csv(tmp_path, f"u,i,purchase,{text},\n")
    assert events.times.tolist() == [milliseconds]


@pytest.mark.parametrize(
    "text",
    [
        "31.01.2024",
        "2024-02-30",
        "2024-1-5",
        "2024-01-31T25:00:00",
        "2024-01-31T10:00:00+25:00",
        "nan",
        "1e14",
        "now",
    ],
)
def test_any_other_timestamp_is_not_guessed(tmp_path: Path, text: str) -> None:
    """A form that is not documented is unreadable rather than read wrongly."""
    _, report = read_csv(tmp_path, f"u,i,purchase,1,\nu,i,purchase,{text},\n", extra=lenient())
    assert dict(report.bad) == {"unreadable timestamp": 1}


def test_ids_of_any_type_are_one_text(tmp_path: Path) -> None:
    """7 as an integer, a whole float and text, in any format, is the user "7"; 007 and 7.5 are not."""
    (tmp_path / "a.csv").write_text(HEADER + "7,i,purchase,1,\n7.0,i,purchase,1,\n 7 ,i,purchase,1,\n")
    (tmp_path / "b.jsonl").write_text(
        "".join(
            f'{{"user_id": {user}, "item_id": "i", "interaction": "purchase", "timestamp": 1, "value": null}}\n'
            for user in ("7", "7.0", '"7"')
        )
    )
    for number, users in enumerate(([7], [7.0], ["7"])):
        row = {"user_id": users, "item_id": ["i"], "interaction": ["purchase"], "timestamp": [1]}
        pl.DataFrame(row).with_columns(value=pl.lit(None, pl.Float64)).write_parquet(tmp_path / f"{number}.parquet")
    events, _ = read(tmp_path, "*[ab0-9].*")
    assert events.user_ids.to_list() == ["7"]
    assert read_csv(tmp_path, "007,i,purchase,1,\n7.5,i,purchase,1,\n")[0].user_ids.to_list() == [
        "007",
        "7.5",
    ]


def test_duplicates_count_once_and_are_not_bad(tmp_path: Path) -> None:
    """Equal in all five fields is the same event; a missing value equals another missing value."""
    rows = "u,i,purchase,1,\nu,i,purchase,1970-01-01T00:00:01,\nu,i,purchase,1,0\nu,i,purchase,1,-0.0\nu,i,return,1,\n"
    events, report = read_csv(tmp_path, rows)
    assert (len(events), report.duplicates, dict(report.bad)) == (3, 2, {})


# --- bad rows --------------------------------------------------------------------------------------------

BAD_CSV = (
    "u,i,purchase,1,\n"  # line 2
    ",i,purchase,1,\n"
    "u,,purchase,1,\n"
    "u,i,,1,\n"
    "u,i,purchase,,\n"
    "u,i,purchase,soon,\n"
    "u,i,purchase,1,much\n"
    "u,i,purchase,1,inf\n"
    "u,i,purchase,1\n"  # line 10: too few
    "u,i,purchase,1,2,3\n"  # too many
    '"u\nv",j,purchase,2,\n'  # lines 12 and 13: good
    "u, ,purchase,1,\n"  # line 14
)
REASONS = {
    "missing user": 1,
    "missing item": 2,
    "missing interaction": 1,
    "missing timestamp": 1,
    "unreadable timestamp": 1,
    "unreadable value": 2,
    "malformed line": 2,
}


def test_bad_rows_are_counted_by_reason(tmp_path: Path) -> None:
    """Each way of being bad is counted as itself, and the good rows are kept."""
    events, report = read_csv(tmp_path, BAD_CSV, extra=lenient())
    assert dict(report.bad) == REASONS
    assert (report.rows_read, report.events) == (12, 2)
    assert {row[0] for row in plain(events)} == {"u", "u\nv"}


def test_what_is_said_to_happen_later_than_a_day_after_the_build_began_is_a_bad_row(tmp_path: Path) -> None:
    """Else a snapshot would claim to have everything until then, and hear of nothing that is done."""
    began_s = 1_706_659_200  # 2024-01-31
    rows = "u,i,purchase,2024-02-01,\nu,j,purchase,2024-02-01T00:00:01,\nu,k,purchase,2099-01-01,\n"
    events, report = read_csv(tmp_path, rows, extra=lenient(), wall=lambda: began_s)
    assert (len(events), dict(report.bad)) == (1, {"timestamp in the future": 2})
    assert report.last.isoformat() == "2024-02-01T00:00:00+00:00"


def test_an_id_longer_than_a_store_can_hold_is_a_bad_row(tmp_path: Path) -> None:
    """256 bytes of UTF-8 are an id, 257 are not."""
    longest = "é" * 128
    events, report = read_csv(tmp_path, f"{longest},i,purchase,1,\n{longest}x,i,purchase,1,\n", extra=lenient())
    assert (len(events), dict(report.bad)) == (1, {"id too long": 1})


def test_the_first_bad_rows_are_quoted_with_their_lines(tmp_path: Path) -> None:
    """Five examples name file, line (the header is line 1), reason and what is there."""
    _, report = read_csv(tmp_path, BAD_CSV, extra=lenient())
    assert [(row.file, row.row, row.reason) for row in report.examples] == [
        ("events.csv", 3, "missing user"),
        ("events.csv", 4, "missing item"),
        ("events.csv", 5, "missing interaction"),
        ("events.csv", 6, "missing timestamp"),
        ("events.csv", 7, "unreadable timestamp"),
    ]
    assert report.examples[4].text == "user_id=u, item_id=i, interaction=purchase, timestamp=soon, value="


@pytest.mark.parametrize("filler", [0, 1, 30], ids=["alone", "after one row", "after several blocks"])
def test_a_bad_rows_line_is_its_line_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filler: int) -> None:
    """Line breaks in quotes, blank lines and blocks are all counted in."""
    monkeypatch.setattr(lines, "BLOCK_BYTES", 64)
    good = '"a\nb",i,purchase,1,\n\n' * filler
    _, report = read_csv(tmp_path, good + "u,i,purchase,1,oops\nu,j,purchase,1,\nu,i\n", extra=lenient())
    first_line = 2 + 3 * filler
    assert [row.row for row in report.examples] == [first_line, first_line + 2]


@pytest.mark.parametrize("opened", ['"u', 'u,"i', '"'])
def test_a_quote_that_is_never_closed_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: str
) -> None:
    """The rows after it are read, within its block and beyond."""
    good = "".join(f"u{n},i,purchase,1,\n" for n in range(300))
    for block in (100, 10**6):
        monkeypatch.setattr(lines, "BLOCK_BYTES", block)
        events, report = read_csv(tmp_path, f"{good}{opened},i,purchase,1,\n{good}", extra=lenient())
        assert (len(events), dict(report.bad)) == (300, {"malformed line": 1})
        assert report.examples[0].row == 302


def test_an_inch_sign_in_a_field_is_just_a_character(tmp_path: Path) -> None:
    """A quote within an unquoted field opens nothing."""
    events, report = read_csv(tmp_path, 'u,5" nail,purchase,1,\nu,"a,b",purchase,1,\nu,6" nail,purchase,1,\n')
    assert (events.item_ids.to_list(), dict(report.bad)) == (['5" nail', '6" nail', "a,b"], {})


def test_bytes_that_are_not_utf_8_make_a_malformed_line(tmp_path: Path) -> None:
    """A row in another encoding is one bad row, not the end of the read."""
    (tmp_path / "events.csv").write_bytes(HEADER.encode() + b"caf\xe9,i,purchase,1,\nu,i,purchase,1,\n")
    events, report = read(tmp_path, extra=lenient())
    assert (events.user_ids.to_list(), dict(report.bad)) == (["u"], {"malformed line": 1})


def test_broken_json_is_a_malformed_line(tmp_path: Path) -> None:
    """Half an object, a bare value and NaN are bad lines; a missing key is a missing field."""
    good = '{"user_id": "u", "item_id": "i", "interaction": "purchase", "timestamp": 1, "value": 2.5}\n'
    text = good + '{"user_id": "u"\n3\n\n{"value": NaN}\n{"user_id": "u"}\n' + good.replace("2.5", '"x"')
    (tmp_path / "events.jsonl").write_text(text)
    events, report = read(tmp_path, "events.jsonl", extra=lenient())
    assert len(events) == 1
    assert dict(report.bad) == {"malformed line": 3, "missing item": 1, "unreadable value": 1}
    assert [row.row for row in report.examples] == [2, 3, 5, 6, 7]


def test_bad_rows_of_parquet_are_named_by_index(tmp_path: Path) -> None:
    """Parquet has no lines: rows count from 0, and the message says so."""
    rows = [
        ("u", "i", "purchase", 1, 1.0),
        (None, "i", "purchase", 1, 1.0),
        ("u", "i", "purchase", 1, float("nan")),
    ]
    pl.DataFrame(rows, schema=list(COLUMNS), orient="row").write_parquet(tmp_path / "e.parquet")
    _, report = read(tmp_path, "e.parquet", extra=lenient())
    assert [(row.row, row.reason) for row in report.examples] == [
        (1, "missing user"),
        (2, "unreadable value"),
    ]
    with pytest.raises(TooManyBadRows, match=r"e\.parquet row 1 \(from 0\): missing user"):
        read(tmp_path, "e.parquet")


def test_past_the_share_the_read_fails_and_names_the_commonest_reason(tmp_path: Path) -> None:
    """The error names the first row of the commonest reason, though another came earlier."""
    rows = ",i,purchase,1,\n" + "u,i,purchase,1,\n" * 90 + "u,i,purchase,soon,\n" * 9
    assert read_csv(tmp_path, rows, extra=lenient(0.1))[1].bad == {
        "unreadable timestamp": 9,
        "missing user": 1,
    }
    with pytest.raises(TooManyBadRows, match=r"events\.csv line 93: unreadable timestamp: .*soon.*; 10 of 100 rows"):
        read_csv(tmp_path, rows, extra=lenient(0.09))


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    """Counts, examples and times survive a trip through JSON."""
    _, report = read_csv(tmp_path, "u,i,purchase,1,\nu,i,purchase,2,x\n", extra=lenient())
    found = json.loads(json.dumps(report.to_json()))
    assert found["bad"] == {"unreadable value": 1}
    assert found["examples"][0]["row"] == 3
    assert (found["first"], found["last"]) == ("1970-01-01T00:00:01+00:00", "1970-01-01T00:00:01+00:00")


# --- files that cannot be used ---------------------------------------------------------------------------


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


def test_the_slow_way_of_reading_csv_agrees_with_the_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two readers a block goes to cannot be seen in the events."""
    rows: list[Row] = [(f"u {n}", f"i#{n}", "purchase", str(n), None if n % 3 else "1.5") for n in range(50)]
    (tmp_path / "events.csv").write_bytes(as_csv(rows, quote=True))
    fast, _ = read(tmp_path)
    monkeypatch.setattr(csv_file, "_read_fast", lambda *_: None)
    assert_same(fast, read(tmp_path)[0])
