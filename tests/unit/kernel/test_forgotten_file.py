"""Who is to be forgotten, kept in a process's cache."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online import forgotten_file
from trunkshow.online.forgotten import BuiltWith, Forgotten, Tombstone
from trunkshow.online.forgotten_file import FILE_NAME, ForgottenFile
from trunkshow.online.positions import Position
from trunkshow.v1 import log_pb2

LATER_MS = 10_000
"""The last event of a snapshot, after all of these tombstones."""

ADA = Tombstone("t", "ada", 1000, Watermark("log", {0: 5}), Position("gone", 0, 2))
BOB = Tombstone("u", "bob \U0001f9e5", 2000, None, Position("gone", 0, 3))


def forget(one: Tombstone) -> log_pb2.Record:
    """As the log has it."""
    made = log_pb2.Record(
        forget=log_pb2.Forget(id=one.id, user_id=one.user_id, events_until=str(one.events_until or ""))
    )
    made.forget.timestamp.FromMilliseconds(one.time_ms)
    return made


def hear(forgotten: Forgotten, one: Tombstone) -> None:
    """A process reads it in the log."""
    forgotten.hear(forget(one), Watermark("gone", {0: one.at.number}))


def recalled(folder: Path) -> Forgotten:
    """What a process that starts knows."""
    made = Forgotten()
    ForgottenFile(folder).recall(made)
    return made


async def turns(until: Callable[[], bool]) -> None:
    """Give others turns until something is so."""
    for _ in range(60_000):
        if until():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


async def kept(folder: Path, *people: Tombstone) -> None:
    """A process hears of these, and ends once they are written."""
    file, forgotten = ForgottenFile(folder), Forgotten()
    file.recall(forgotten)
    keeping = asyncio.create_task(file.keep())
    for one in people:
        hear(forgotten, one)
    await turns(lambda: all(recalled(folder).find(one.user_id) == one for one in people))
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


async def test_who_was_heard_of_is_known_at_the_next_start(tmp_path: Path) -> None:
    """Every field of it; nobody else may read the file."""
    await kept(tmp_path, ADA, BOB)
    assert recalled(tmp_path).tombstones() == (ADA, BOB)
    assert recalled(tmp_path).hides("ada", BuiltWith(None, LATER_MS))
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_processes_of_one_folder_lose_nobody_of_each_other(tmp_path: Path) -> None:
    """The second one began before the first one wrote."""
    file, forgotten = ForgottenFile(tmp_path), Forgotten()
    file.recall(forgotten)
    await kept(tmp_path, ADA)
    keeping = asyncio.create_task(file.keep())
    hear(forgotten, BOB)
    await turns(lambda: len(recalled(tmp_path)) == 2)
    keeping.cancel()


@pytest.mark.parametrize("spoilt", ["", "{}", "cut", "other"])
async def test_a_spoilt_file_is_as_good_as_none(tmp_path: Path, spoilt: str) -> None:
    """A changed byte, a file that was cut, or something else: a start goes on, and whoever is heard of is kept."""
    await kept(tmp_path, ADA)
    path = tmp_path / FILE_NAME
    text = path.read_text()
    path.write_text({"cut": text[:-20], "other": text.replace("ada", "eve")}.get(spoilt, spoilt))
    assert len(recalled(tmp_path)) == 0
    await kept(tmp_path, BOB)
    assert recalled(tmp_path).tombstones() == (BOB,)


async def test_one_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is."""
    await kept(tmp_path, ADA)
    monkeypatch.setattr(forgotten_file, "BYTES_MAX", 10)
    assert len(recalled(tmp_path)) == 0


async def test_an_earlier_tombstone_that_is_heard_again_takes_nothing_back(tmp_path: Path) -> None:
    """Who left, came back, and left again is not known for a moment by what was in between."""
    again = Tombstone("v", "ada", 9000, Watermark("log", {0: 50}), Position("gone", 0, 7))
    await kept(tmp_path, again)
    forgotten = recalled(tmp_path)
    hear(forgotten, ADA)
    assert forgotten.find("ada") == again
    assert forgotten.hides("ada", BuiltWith(Watermark("gone", {0: 5}), LATER_MS))
