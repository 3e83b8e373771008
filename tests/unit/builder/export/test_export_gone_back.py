"""A log that began anew, went back or removed its beginning, as whoever exports it goes on with it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from exported_log import event, exported, log_of, names, rows
from memory_log import MemoryLog

from builder.dataset import load_dataset
from builder.events import read_events
from builder.export import state
from builder.export.exporting import LogUnreadable
from trunkshow.eventlog.log import LogMissing, Read
from trunkshow.eventlog.watermark import Watermark


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
