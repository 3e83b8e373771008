"""The log as Parquet: every event once, whatever ends an export, in parts, with what the folder says last."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from exported_log import WHEN, event, exported, log_of, names, rows
from memory_log import MemoryLog

from builder.dataset import load_dataset
from builder.errors import BuildError
from builder.events import read_events
from builder.export import exporting, state
from builder.export.exporting import Limits, LogUnreadable, export
from builder.export.folder import FolderUnusable, held
from trunkshow.eventlog.log import LogUnavailable, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.events import Channel, Event


class BrokenLog(MemoryLog):
    """Gone after so many records."""

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """Two records."""
        count = 0
        async for read in super().read(after, until):
            if count == 2:
                raise LogUnavailable("it was told to break")
            count += 1
            yield read


async def test_every_field_is_written(tmp_path: Path) -> None:
    """In the columns of the four-field standard, and what came with them."""
    full = Event(
        "ada", "hat", "content-impression", timestamp=WHEN, event_id="e1", value=2.5, request_id="r", carousel="c",
        position=3, channel=Channel.APP, context={"b": "2", "a": "ü"},
    )  # fmt: skip
    await exported(await log_of([full]), tmp_path)
    assert rows(tmp_path, "shown").row(0, named=True) == {
        "user": "ada", "item": "hat", "interaction": "content-impression", "timestamp": WHEN, "event_id": "e1",
        "value": 2.5, "request_id": "r", "carousel": "c", "position": 3, "channel": "app",
        "context": '{"a": "ü", "b": "2"}',
    }  # fmt: skip


async def test_what_was_not_said_is_null(tmp_path: Path) -> None:
    """Not a zero, nor an empty text."""
    await exported(await log_of([event(1)]), tmp_path)
    row = rows(tmp_path).row(0, named=True)
    assert [row[name] for name in ("value", "request_id", "carousel", "position", "channel", "context")] == [None] * 6


async def test_what_was_shown_lies_apart_from_what_says_something_of_taste(tmp_path: Path) -> None:
    """Since to the builder an item of any event is one that the user had."""
    kinds = ["view", "click", "cart", "rental", "return", "like", "hide", "search", "impression"]
    await exported(await log_of([event(number, kind) for number, kind in enumerate(kinds)]), tmp_path)
    assert rows(tmp_path)["interaction"].to_list() == kinds[:7]
    assert rows(tmp_path, "shown")["interaction"].to_list() == kinds[7:]


async def test_an_event_that_came_twice_is_written_once(tmp_path: Path) -> None:
    """In one export, and in the next one."""
    log = await log_of([event(1), event(2)], [event(1)])
    await exported(log, tmp_path)
    await log.append([event(2).to_message(), event(3).to_message()], 1)
    await exported(log, tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == ["e1", "e2", "e3"]
    assert json.loads((tmp_path / state.FILE_NAME).read_text())["duplicates"] == 2


async def test_a_second_export_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    """With new parts, and the same old ones."""
    log = await log_of([event(1)], [event(2)])
    await exported(log, tmp_path)
    first = {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path) if name.endswith(".parquet")}
    await log.append([event(3).to_message()], 1)
    await exported(log, tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == ["e1", "e2", "e3"]
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in first} == first
    said = state.read(tmp_path)
    assert said is not None
    assert str(said.watermark) == "memory/0:3"


async def test_an_export_of_nothing_new_writes_no_part(tmp_path: Path) -> None:
    """And says the same."""
    log = await log_of([event(1)])
    await exported(log, tmp_path)
    before = names(tmp_path)
    await exported(log, tmp_path)
    assert names(tmp_path) == before


async def test_a_new_folder_begins_where_it_is_told(tmp_path: Path) -> None:
    """After a watermark."""
    await exported(await log_of([event(1)], [event(2)]), tmp_path, after=Watermark("memory", {0: 1}))
    assert rows(tmp_path)["event_id"].to_list() == ["e2"]


async def test_parts_in_which_everything_is_older_than_is_kept_go(tmp_path: Path) -> None:
    """From the list first, and builds know it no more; the newest part stays, however old."""
    log, day = await log_of(), timedelta(days=1)
    for number, ago in enumerate((30 * day, 20 * day, 30 * day, day)):
        events = [Event("ada", f"i{number}", "order", timestamp=WHEN - ago, event_id=f"e{number}")]
        events += [event(9, item="late")] if number == 2 else []
        await log.append([one.to_message() for one in events], 1)
        await exported(log, tmp_path)
    with held(tmp_path) as folder:
        await export(log, MemoryLog("gone"), folder, None, before_ms=round((WHEN - 15 * day).timestamp() * 1000))
        assert folder.removed == 2
    assert rows(tmp_path)["event_id"].to_list() == ["e2", "e9", "e3"]
    assert len([name for name in names(tmp_path) if name.endswith(".parquet")]) == 2
    events, _ = read_events(load_dataset(tmp_path / "dataset.toml"))
    assert events.item_ids.to_list() == ["i2", "i3", "late"]
    with held(tmp_path) as folder:
        await export(log, MemoryLog("gone"), folder, None, before_ms=round((WHEN + day).timestamp() * 1000))
        assert [part.rows for part in folder.exported.events] == [1]
    await log.append([event(10).to_message()], 1)
    await exported(log, tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == ["e3", "e10"]


async def test_parts_have_a_limit(tmp_path: Path) -> None:
    """In events, and in bytes; a record is never divided."""
    log = await log_of(*[[event(2 * number), event(2 * number + 1)] for number in range(4)])
    await exported(log, tmp_path / "few", Limits(events_max=3))
    assert [part.rows for part in (state.read(tmp_path / "few") or state.NOTHING).events] == [4, 4]
    await exported(log, tmp_path / "small", Limits(bytes_max=1))
    assert [part.rows for part in (state.read(tmp_path / "small") or state.NOTHING).events] == [2, 2, 2, 2]


async def test_an_export_that_breaks_off_keeps_what_is_whole(tmp_path: Path) -> None:
    """And the next one goes on there: nothing is missing, and nothing there twice."""
    log = BrokenLog()
    for number in range(5):
        await log.append([event(number).to_message()], 1)
    with pytest.raises(LogUnreadable, match="run this again"):
        await exported(log, tmp_path, Limits(events_max=1))
    said = state.read(tmp_path)
    assert said is not None
    assert (str(said.watermark), said.rows) == ("memory/0:2", 2)
    await exported(await log_of(*[[event(number)] for number in range(5)]), tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == [f"e{number}" for number in range(5)]


async def test_what_a_killed_export_left_does_not_count(tmp_path: Path) -> None:
    """Half a file, and a whole one that was not named yet, are gone with the next export; a person's files stay."""
    await exported(await log_of([event(1)]), tmp_path)
    for name in (".unfinished-events-000002.parquet", "events-000002.parquet", "shown-000002.parquet", "mine.parquet"):
        (tmp_path / name).write_bytes(b"half")
    await exported(await log_of([event(1)]), tmp_path)
    assert names(tmp_path) == {"events-000001.parquet", "export.json", "dataset.toml", "mine.parquet"}


async def test_two_exports_do_not_write_to_one_folder(tmp_path: Path) -> None:
    """The second is refused."""
    with held(tmp_path), pytest.raises(FolderUnusable, match="another export"), held(tmp_path):
        pass


async def test_a_log_that_is_gone_is_an_error_of_one_line(tmp_path: Path) -> None:
    """That the command line prints."""
    log = await log_of([event(1)])
    log.gone = True
    with pytest.raises(BuildError):
        await exported(log, tmp_path)


async def test_progress_ends_with_all_of_it(tmp_path: Path) -> None:
    """And never goes back."""
    told: list[tuple[str, int, int]] = []
    with held(tmp_path) as folder:
        log = await log_of([event(1)], [event(2)])
        await export(log, MemoryLog("gone"), folder, None, lambda what, done, of: told.append((what, done, of)))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1] == ("read the log", 2, 2)


@pytest.mark.parametrize(("ids_max", "rows_again"), [(2, 1), (1, 2)])
async def test_ids_of_the_newest_rows_are_known_by_the_exports_that_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids_max: int, rows_again: int
) -> None:
    """However long ago it happened: a phone was offline for days. Beyond them one may be written twice.

    The builder, to whom equal rows are one, counts it once.
    """
    monkeypatch.setattr(exporting, "IDS_MAX", ids_max)
    log = await log_of([event(1)])
    await exported(log, tmp_path)
    later = WHEN + timedelta(days=3)
    await log.append([Event("bob", "cap", "order", timestamp=later, event_id="e2").to_message()], 1)
    await exported(log, tmp_path)
    await log.append([event(1).to_message()], 1)
    await exported(log, tmp_path)
    assert rows(tmp_path)["event_id"].to_list().count("e1") == rows_again
    events, report = read_events(load_dataset(tmp_path / "dataset.toml"))
    assert (len(events.times), report.duplicates) == (2, rows_again - 1)


async def test_another_users_row_of_the_same_id_is_another_row(tmp_path: Path) -> None:
    """In the export that it is in, and in those that follow; a user's own is one."""
    adas, mallorys, eves = event(1).to_message(), event(1).to_message(), event(1).to_message()
    mallorys.user_id, eves.user_id = "mallory", "eve"
    log = MemoryLog()
    await log.append([mallorys, adas], 1)
    await exported(log, tmp_path)
    await log.append([adas, mallorys, eves], 1)
    await exported(log, tmp_path)
    assert rows(tmp_path)["user"].to_list() == ["mallory", adas.user_id, "eve"]


async def test_an_event_of_no_moment_keeps_no_other_from_being_exported(tmp_path: Path) -> None:
    """No router wrote it; it is counted with what is lost."""
    far = event(1).to_message()
    far.timestamp.seconds = 10**12
    log = MemoryLog()
    await log.append([far, event(2).to_message()], 1)
    log.records[0].received.seconds = 10**12
    await exported(log, tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == ["e2"]
    assert json.loads((tmp_path / state.FILE_NAME).read_text())["lost"] == 1
