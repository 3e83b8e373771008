"""Events are what their rows say: timestamps to the millisecond, ids as one text, each type with its weight."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from event_files import HEADER, lenient, plain, read, read_csv, same_folder
from hypothesis import given
from hypothesis import strategies as st


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
