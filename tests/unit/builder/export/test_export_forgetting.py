"""Nothing of whoever is to be forgotten is exported, stays exported, or is built from."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from exported_log import WHEN, event, exported, log_of, names, rows
from memory_log import MemoryLog

from builder.dataset import load_dataset
from builder.errors import BuildError
from builder.events import read_events
from builder.export import state
from trunkshow.events import Event
from trunkshow.v1 import log_pb2


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
