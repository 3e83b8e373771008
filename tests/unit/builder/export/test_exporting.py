"""The log as Parquet: every event once, whatever ends an export, in parts, with what the folder says last."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from memory_log import MemoryLog

from builder.dataset import load_dataset
from builder.errors import BuildError
from builder.events import read_events
from builder.export import exporting, state
from builder.export.exporting import LIMITS, Limits, LogUnreadable, export
from builder.export.folder import FolderUnusable, held
from trunkshow.eventlog.log import LogMissing, LogUnavailable, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.events import Channel, Event
from trunkshow.v1 import log_pb2

WHEN = datetime(2024, 5, 1, 12, 30, 0, 250_000, tzinfo=UTC)


def event(number: int, interaction: str = "order", user: str = "ada", item: str = "hat") -> Event:
    """One event; the number is its id's."""
    return Event(user, item, interaction, timestamp=WHEN, event_id=f"e{number}")


async def log_of(*records: Sequence[Event], name: str = "memory") -> MemoryLog:
    """A log of so many records."""
    log = MemoryLog(name)
    for events in records:
        await log.append([one.to_message() for one in events], 1)
    return log


async def exported(
    log: MemoryLog,
    path: Path,
    limits: Limits = LIMITS,
    after: Watermark | None = None,
    tombstones: MemoryLog | None = None,
) -> None:
    """Run an export."""
    with held(path) as folder:
        await export(log, tombstones or MemoryLog("gone"), folder, after, limits=limits)


def rows(path: Path, kind: str = "events") -> pl.DataFrame:
    """What the folder says that it has of a kind."""
    said = json.loads((path / state.FILE_NAME).read_text())[kind]
    return pl.concat([pl.read_parquet(path / part["name"]) for part in said])


def names(path: Path) -> set[str]:
    """Of all files that an export wrote."""
    return {one.name for one in path.iterdir()} - {".lock"}


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


async def test_a_log_that_began_anew_is_exported_whole(tmp_path: Path) -> None:
    """Beside what there was of the old one."""
    await exported(await log_of([event(1)], [event(2)]), tmp_path)
    await exported(await log_of([event(3)], name="other"), tmp_path)
    said = state.read(tmp_path)
    assert said is not None
    assert rows(tmp_path)["event_id"].to_list() == ["e1", "e2", "e3"]
    assert str(said.watermark) == "other/0:1"


async def test_a_log_that_went_back_is_refused_rather_than_skipped(tmp_path: Path) -> None:
    """Restored from an older copy, it has other events at numbers that were read; a new folder gets all of them."""
    await exported(await log_of([event(1)], [event(2)], [event(3)]), tmp_path / "old")
    restored = await log_of([event(1)], [event(4)])
    before = names(tmp_path / "old")
    with pytest.raises(LogUnreadable, match=r"memory/0:2, before memory/0:3.*Export to a new folder"):
        await exported(restored, tmp_path / "old")
    assert names(tmp_path / "old") == before
    assert rows(tmp_path / "old")["event_id"].to_list() == ["e1", "e2", "e3"]
    await exported(restored, tmp_path / "new")
    assert rows(tmp_path / "new")["event_id"].to_list() == ["e1", "e4"]


async def test_a_log_that_went_back_and_has_grown_again_is_refused_too(tmp_path: Path) -> None:
    """By the record that stands where the export ended; one that the log has removed since tells nothing."""
    log = await log_of([event(1)], [event(2)])
    await exported(log, tmp_path)
    restored = await log_of([event(1)], [event(4)], [event(5)])
    with pytest.raises(LogUnreadable, match=r"other records before memory/0:2 than it had.*Export to a new folder"):
        await exported(restored, tmp_path)
    await log.append([event(3).to_message()], 1)
    await exported(log, tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == ["e1", "e2", "e3"]
    said = json.loads((tmp_path / state.FILE_NAME).read_text())
    del said["lineage"]  # an earlier release's
    (tmp_path / state.FILE_NAME).write_text(json.dumps(said))
    await exported(log, tmp_path)
    assert list(json.loads((tmp_path / state.FILE_NAME).read_text())["lineage"]) == []


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


class ShortLog(MemoryLog):
    """One that has removed its first two records."""

    async def read(self, after: Watermark | None, until: Watermark) -> AsyncGenerator[Read, None]:
        """What is left."""
        async for read in super().read(after, until):
            if read.watermark.counts[0] > 2:
                yield read


async def test_a_log_that_removed_where_an_export_ended_is_gone_on_with(tmp_path: Path) -> None:
    """It tells nothing of what it was."""
    log = await log_of([event(1)], [event(2)])
    await exported(log, tmp_path)
    short = ShortLog("memory")
    short.records = [*log.records, *(await log_of([event(3)])).records]
    await exported(short, tmp_path)
    assert rows(tmp_path)["event_id"].to_list() == ["e1", "e2", "e3"]


async def test_what_was_exported_of_a_log_that_went_back_is_built_from_beside_the_new_folder(tmp_path: Path) -> None:
    """As the refusal says: what both have counts once."""
    await exported(await log_of([event(1, item="a")], [event(2, item="b")]), tmp_path / "old")
    await exported(await log_of([event(1, item="a")], [event(3, item="c")]), tmp_path / "new")
    (tmp_path / "shop.toml").write_text(
        'name = "shop"\n[log]\nexport = "new"\n[[events]]\npath = "old/events-*.parquet"\nuser = "user"\n'
        'item = "item"\ntimestamp = "timestamp"\ninteraction = "interaction"\n[interactions]\norder = 1\n'
    )
    events, _ = read_events(load_dataset(tmp_path / "shop.toml"))
    assert (events.item_ids.to_list(), len(events.times)) == (["a", "b", "c"], 3)


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


async def test_the_builder_reads_what_is_named(tmp_path: Path) -> None:
    """With the data set file beside it, and the watermark."""
    log = await log_of([event(1, "view"), event(2, "impression"), event(3, "order", item="shoe")])
    await exported(log, tmp_path)
    (tmp_path / "events-000009.parquet").write_bytes(b"of nobody")
    events, report = read_events(load_dataset(tmp_path / "dataset.toml"))
    assert events.item_ids.to_list() == ["hat", "shoe"]
    assert events.times.tolist() == [int(WHEN.timestamp() * 1000)] * 2
    assert (report.log_watermark, report.bad) == ("memory/0:1", {})


async def test_an_export_stands_beside_other_sources(tmp_path: Path) -> None:
    """Of the same data set."""
    await exported(await log_of([event(1, "order")]), tmp_path / "log")
    (tmp_path / "old.csv").write_text("u,i,t\nbob,cap,2023-01-01\n")
    (tmp_path / "shop.toml").write_text(
        'name = "shop"\n[log]\nexport = "log"\n[[events]]\npath = "old.csv"\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'
        'interaction_type = "order"\n[interactions]\norder = 1\n'
    )
    events, _ = read_events(load_dataset(tmp_path / "shop.toml"))
    assert events.user_ids.to_list() == ["ada", "bob"]


@pytest.mark.parametrize("said", ["", "{}", '{"schema": 2}', "[]", "nonsense"])
def test_a_folder_that_says_nothing_sensible_is_refused(tmp_path: Path, said: str) -> None:
    """In one line that names the file."""
    (tmp_path / "shop.toml").write_text('name = "shop"\n[log]\nexport = "."\n[interactions]\norder = 1\n')
    (tmp_path / state.FILE_NAME).write_text(said)
    with pytest.raises(BuildError, match=r"export\.json"):
        read_events(load_dataset(tmp_path / "shop.toml"))


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "shop.toml").write_text('name = "shop"\n[log]\nexport = "."\n[interactions]\norder = 1\n')
    with pytest.raises(BuildError, match="run `trunkshow export-events`"):
        read_events(load_dataset(tmp_path / "shop.toml"))


# ---- who is to be forgotten


async def forgotten(user: str, log: MemoryLog, when: datetime = WHEN) -> MemoryLog:
    """A tombstone of somebody, as of now in the log."""
    tombstones = MemoryLog("gone")
    forget = log_pb2.Forget(id="t", user_id=user, events_until=str(await log.end(1)))
    forget.timestamp.FromDatetime(when)
    await tombstones.forget(forget, 1)
    return tombstones


async def test_nothing_of_a_forgotten_user_is_exported(tmp_path: Path) -> None:
    """Not even where it is recorded late; what they do afterwards is."""
    log = await log_of([event(1), event(2, user="bob")])
    tombstones = await forgotten("ada", log)
    afterwards = Event("ada", "shoe", "order", timestamp=WHEN + timedelta(hours=1), event_id="e4")
    await log.append([event(3).to_message(), afterwards.to_message()], 1)
    await exported(log, tmp_path, tombstones=tombstones)
    assert rows(tmp_path)["event_id"].to_list() == ["e2", "e4"]


async def test_tombstones_of_a_log_that_went_back_are_honoured_though_there_are_as_many(tmp_path: Path) -> None:
    """Restored from an older copy, it ends where it ended; whom a tombstone named that was lost stays forgotten."""
    log = await log_of([event(1), event(2, user="bob"), event(3, user="eve")])
    await exported(log, tmp_path, tombstones=await forgotten("ada", log))
    assert rows(tmp_path)["user"].to_list() == ["bob", "eve"]
    await exported(log, tmp_path, tombstones=await forgotten("bob", log))
    assert rows(tmp_path)["user"].to_list() == ["eve"]
    named = json.loads((tmp_path / "forgotten.json").read_text())
    assert [one["user"] for one in named] == ["ada", "bob"]


async def test_an_event_from_the_future_is_forgotten_by_its_place(tmp_path: Path) -> None:
    """Clocks may be fast; the log's order says that it was there before."""
    log = await log_of([event(1)])
    await exported(log, tmp_path, tombstones=await forgotten("ada", log, WHEN - timedelta(minutes=3)))
    assert (state.read(tmp_path) or state.NOTHING).rows == 0


async def test_what_was_exported_before_is_taken_out(tmp_path: Path) -> None:
    """Of every part, and the others' rows stay."""
    log = await log_of([event(1), event(2, user="bob")], [event(3, "impression")])
    await exported(log, tmp_path)
    await exported(log, tmp_path, tombstones=await forgotten("ada", log))
    assert rows(tmp_path)["user"].to_list() == ["bob"]
    assert rows(tmp_path, "shown").height == 0
    assert not any(b"ada" in (tmp_path / name).read_bytes() for name in names(tmp_path) if name.endswith(".parquet"))


async def test_what_was_exported_before_is_taken_out_by_its_place_too(tmp_path: Path) -> None:
    """An event of a fast clock stood in the log before its user asked; one that came afterwards stays."""
    log = await log_of([event(1), event(2, user="bob")])
    await exported(log, tmp_path)
    tombstones = await forgotten("ada", log, WHEN - timedelta(minutes=3))
    await log.append([event(3).to_message()], 1)
    await exported(log, tmp_path, tombstones=tombstones)
    assert rows(tmp_path)["event_id"].to_list() == ["e2", "e3"]
    again = await log_of(name="gone")
    again.records = [*tombstones.records, log_pb2.Record(forget=log_pb2.Forget(id="u", user_id="eve"))]
    await exported(log, tmp_path, tombstones=again)
    assert rows(tmp_path)["event_id"].to_list() == ["e2", "e3"]


async def test_a_build_leaves_a_forgotten_user_out_of_every_source(tmp_path: Path) -> None:
    """Up to when they asked for it; and the report says how many rows, and up to which tombstone."""
    log = await log_of([event(1), event(2, user="bob")])
    await exported(log, tmp_path / "log", tombstones=await forgotten("ada", log))
    (tmp_path / "old.csv").write_text("u,i,t\nada,cap,2023-01-01\nada,belt,2025-01-01\n")
    (tmp_path / "shop.toml").write_text(
        'name = "shop"\n[log]\nexport = "log"\n[[events]]\npath = "old.csv"\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'
        'interaction_type = "order"\n[interactions]\norder = 1\n'
    )
    events, report = read_events(load_dataset(tmp_path / "shop.toml"))
    assert events.item_ids.to_list() == ["belt", "hat"]
    assert (report.forgotten, report.forgotten_watermark) == (1, "gone/0:1")


@pytest.mark.parametrize("asked", ["7", "7.0"])
async def test_who_a_build_takes_for_one_is_forgotten_as_one(tmp_path: Path, asked: str) -> None:
    """The log may have ids of before a build's rewriting was refused: nothing of either is left, new or old."""
    log = await log_of([event(1, user="7"), event(2, user="7.0"), event(3, user="70")])
    await exported(log, tmp_path / "before")
    tombstones = await forgotten(asked, log)
    for path in (tmp_path / "before", tmp_path / "new"):
        await exported(log, path, tombstones=tombstones)
        assert rows(path)["user"].to_list() == ["70"]


async def test_a_build_without_the_list_of_the_forgotten_is_refused(tmp_path: Path) -> None:
    """Rather than made with them."""
    log = await log_of([event(1), event(2, user="bob")])
    await exported(log, tmp_path, tombstones=await forgotten("ada", log))
    (tmp_path / "forgotten.json").unlink()
    with pytest.raises(BuildError, match=r"forgotten\.json"):
        read_events(load_dataset(tmp_path / "dataset.toml"))


class MissingLog(MemoryLog):
    """No router has made it."""

    async def end(self, within_s: float) -> Watermark:
        """There is none."""
        raise LogMissing("there is no stream EVENTS")


async def test_before_the_first_router_came_there_is_nothing_and_a_build_goes_on(tmp_path: Path) -> None:
    """The first router may wait for the first snapshot; of a log that is gone it says so."""
    await exported(MissingLog("memory"), tmp_path)
    assert state.read(tmp_path) == state.NOTHING
    assert load_dataset(tmp_path / "dataset.toml").export == "."
    await exported(await log_of([event(1)]), tmp_path)
    with pytest.raises(LogUnreadable, match="has what was exported"):
        await exported(MissingLog("memory"), tmp_path)
