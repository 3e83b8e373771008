"""What is wrong with rows of events is counted by reason, and the first of them are named with file and line."""

import json
from pathlib import Path

import polars as pl
import pytest
from event_files import COLUMNS, HEADER, lenient, plain, read, read_csv

import builder.ingest.lines as lines
from builder.errors import TooManyBadRows

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
