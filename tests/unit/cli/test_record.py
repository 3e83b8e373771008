"""`trunkshow record`: from the command line and from files, to a router that answers from a script."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from scripted_router import ScriptedRouter, scripted_router

from builder.export.rows import Rows
from cli.event_files import EventFile, event_of, time_of
from cli.main import run
from cli.output import UsageError
from trunkshow.errors import InvalidArgument, Unavailable
from trunkshow.events import Interaction
from trunkshow.v1 import events_pb2

NOON = "2026-05-01T12:00:00Z"


@pytest.fixture
def router() -> Iterator[ScriptedRouter]:
    with scripted_router() as router:
        yield router


def rows(count: int, **more: object) -> list[dict[str, object]]:
    return [
        {"user_id": f"u{n}", "item_id": "hat", "interaction": "view", "timestamp": NOON, **more} for n in range(count)
    ]


def jsonl(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_one_event_is_recorded_with_what_is_said_of_it(
    router: ScriptedRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the watermark is told."""
    options = ["--time", NOON, "--value", "2.5", "--channel", "store", "--context", "till=4", "--position", "0"]
    assert run(["record", "ann", "hat", "order", *options, "--target", router.target, "--json"]) == 0
    (event,) = router.events
    assert (event.user_id, event.item_id, event.interaction) == ("ann", "hat", events_pb2.INTERACTION_ORDER)
    assert (event.value, event.channel, event.HasField("position")) == (2.5, events_pb2.CHANNEL_STORE, True)
    assert (dict(event.context), event.timestamp.ToDatetime(UTC)) == ({"till": "4"}, time_of(NOON))
    assert json.loads(capsys.readouterr().out) == {
        "recorded": 1,
        "refused": 0,
        "first_refused": [],
        "watermark": "scripted/0:1",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ann", "hat", "view", "--file", "x.csv"],
        ["ann", "hat", "clickety"],
        ["ann", "hat", "view", "--time", "noon"],
    ],
)
def test_wrong_input_is_one_line(
    router: ScriptedRouter, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is recorded."""
    assert run(["record", *arguments, "--target", router.target]) == 2
    assert (len(capsys.readouterr().err.splitlines()), router.events) == (1, [])


def test_an_event_that_the_router_refuses_is_wrong_input(
    router: ScriptedRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the router's words."""
    assert run(["record", "", "hat", "view", "--target", router.target]) == 2
    assert "user_id: empty" in capsys.readouterr().err


def test_a_file_is_recorded_in_batches(
    router: ScriptedRouter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it, in order."""
    file = jsonl(tmp_path / "events.jsonl", rows(1_200))
    assert run(["record", "--file", str(file), "--target", router.target, "--json"]) == 0
    assert [event.user_id for event in router.events] == [f"u{n}" for n in range(1_200)]
    assert (json.loads(capsys.readouterr().out)["recorded"], len(router.seen)) == (1_200, 3)


def test_rows_that_are_no_events_are_told_with_their_lines(
    router: ScriptedRouter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are recorded; the exit code says that it was not all."""
    wrong = [{"user_id": "ann"}, ["a list"], {"user_id": "", "item_id": "hat", "interaction": "view"}, {"usr": "ann"}]
    file = jsonl(tmp_path / "events.jsonl", [*rows(1), *wrong, *rows(1)])
    file.write_text(file.read_text() + "{broken\n")
    assert run(["record", "--file", str(file), "--target", router.target, "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert (answer["recorded"], answer["refused"], len(router.events)) == (2, 5, 2)
    assert sorted(one["line"] for one in answer["first_refused"]) == [2, 3, 4, 5, 7]


def test_the_same_file_again_is_the_same_events(router: ScriptedRouter, tmp_path: Path) -> None:
    """Two lines that say the same are two events."""
    file = jsonl(tmp_path / "events.jsonl", [*rows(2), *rows(1)])
    for _ in range(2):
        assert run(["record", "--file", str(file), "--target", router.target, "--json"]) == 0
    ids = [event.event_id for event in router.events]
    assert (ids[:3], len(set(ids))) == (ids[3:], 3)


def test_a_row_without_a_time_is_an_event_of_its_own() -> None:
    """Nothing says that it is the one that another file has in the same line."""
    fields = {"user_id": "ann", "item_id": "hat", "interaction": "view"}
    assert event_of(fields, 1).event_id != event_of(fields, 1).event_id


def test_a_log_that_is_gone_says_how_far_it_got(
    router: ScriptedRouter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what to do."""
    file = jsonl(tmp_path / "events.jsonl", rows(700))
    router.answers["Record"] = iter([None, *[Unavailable("the log is gone", reason="LOG_UNAVAILABLE")] * 20])
    assert run(["record", "--file", str(file), "--target", router.target]) == 2
    said = capsys.readouterr().err
    assert "the log is gone; 500 events of" in said
    assert "run this again" in said


def test_a_parquet_file_is_read_as_an_export_writes_it(
    router: ScriptedRouter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its columns and times, also under the contract's own names; rows that are no events are told."""
    when = datetime(2026, 3, 1, 12, tzinfo=UTC)
    event = events_pb2.Event(event_id="e1", user_id="ann", item_id="hat", interaction=Interaction.ORDER, value=3)
    event.timestamp.FromDatetime(when)
    event.context["query"] = "hats"
    exported = Rows()
    exported.add(event)
    file = tmp_path / "events.parquet"
    other = {"user": "bob", "interaction": "order", "timestamp": when, "context": "{"}
    pl.concat([exported.taken(), pl.DataFrame([other])], how="diagonal_relaxed").write_parquet(file)
    assert run(["record", "--file", str(file), "--target", router.target, "--json"]) == 2
    assert router.events == [event]
    assert [one["line"] for one in json.loads(capsys.readouterr().out)["first_refused"]] == [2]
    pl.DataFrame([{"user_id": "ann", "item_id": "cap", "interaction": "view"}]).write_parquet(file)
    assert run(["record", "--file", str(file), "--target", router.target]) == 0
    assert router.events[-1].item_id == "cap"
    file.write_bytes(b"no such thing")
    assert run(["record", "--file", str(file), "--target", router.target]) == 2


@pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
def test_a_csv_file_is_read_by_its_header(tmp_path: Path, name: str) -> None:
    """Empty cells are left out; a line with too many fields is no event."""
    written = "user_id,item_id,interaction,timestamp,value\nann,hat,cart,1700000000,\nbob,cap,view,,3\na,b,view,,1,9\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(written.encode()) if name.endswith("gz") else written.encode())
    file = EventFile(path)
    first, second, third = file.rows()
    file.close()
    assert first.event is not None
    assert second.event is not None
    assert (first.event.timestamp, first.event.value) == (datetime.fromtimestamp(1_700_000_000, UTC), None)
    assert (second.event.timestamp, second.event.value, third.event) == (None, 3, None)
    assert (first.event.to_message().interaction, third.line) == (Interaction.CART, 4)


@pytest.mark.parametrize("name", ["events.parquet", "events", "nowhere.csv"])
def test_a_file_that_cannot_be_read_is_wrong_input(tmp_path: Path, name: str) -> None:
    """By its name, or since it is not there."""
    if name != "nowhere.csv":
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UsageError):
        EventFile(tmp_path / name)


@pytest.mark.parametrize("name", ["events.jsonl", "events.parquet"])
def test_json_that_is_nested_beyond_reason_is_no_event(tmp_path: Path, name: str) -> None:
    """The parser's own recursion is no reason for a traceback."""
    path, deep = tmp_path / name, "[" * 100_000
    if name.endswith("jsonl"):
        path.write_text(deep + "\n")
    else:
        pl.DataFrame([{"user_id": "ann", "item_id": "hat", "interaction": "view", "context": deep}]).write_parquet(path)
    file = EventFile(path)
    assert [row.event for row in file.rows()] == [None]
    file.close()


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b'{"a": "' + b"x" * (1 << 20)])
def test_bytes_that_are_no_lines_of_text_are_wrong_input(tmp_path: Path, content: bytes) -> None:
    """And fill no memory."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    file = EventFile(path)
    with pytest.raises(UsageError):
        list(file.rows())
    file.close()


@pytest.mark.parametrize("written", ["2026-05-01T14:00:00+02:00", "2026-05-01 12:00:00", 1777636800, "1777636800.0"])
def test_times_are_written_in_several_ways(written: object) -> None:
    """Without a zone they are UTC."""
    assert time_of(written) == datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("written", ["noon", "", "1e400", True, [], "9" * 30])
def test_what_is_no_time_is_refused(written: object) -> None:
    """Also what is beyond the calendar."""
    with pytest.raises(InvalidArgument):
        time_of(written)
