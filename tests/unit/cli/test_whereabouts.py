"""What `trunkshow forgotten` finds in files: exports that have read the tombstone and such that have not, data sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from memory_log import MemoryLog

from builder.export.exporting import export
from builder.export.folder import held
from cli.forget import ForgottenOptions
from cli.whereabouts import in_files
from trunkshow.events import Event
from trunkshow.online.forgotten import Tombstone
from trunkshow.online.tombstones import read_all
from trunkshow.v1 import log_pb2

WHEN = datetime(2024, 5, 1, 12, tzinfo=UTC)
SET = """
name = "shop"
[[events]]
path = "*.csv"
user = "u"
item = "i"
timestamp = "t"
interaction_type = "order"
[users]
path = "people.jsonl"
id = "id"
segment = ["town"]
[interactions]
order = 1
"""


async def log_of(*events: tuple[str, str, datetime]) -> MemoryLog:
    """A log of who did what, when."""
    log = MemoryLog()
    for number, (user, kind, when) in enumerate(events):
        await log.append([Event(user, "hat", kind, timestamp=when, event_id=f"e{number}").to_message()], 1)
    return log


async def asked(log: MemoryLog, tombstones: MemoryLog, user: str, when: datetime) -> Tombstone:
    """Somebody asks to be forgotten."""
    forget = log_pb2.Forget(id="t", user_id=user, events_until=str(await log.end(1)))
    forget.timestamp.FromDatetime(when)
    await tombstones.forget(forget, 1)
    found = (await read_all(tombstones)).find(user)
    assert found is not None
    return found


async def exported(log: MemoryLog, tombstones: MemoryLog, path: Path) -> None:
    """Export."""
    with held(path) as folder:
        await export(log, tombstones, folder, None)


def told(user: str, tombstone: Tombstone | None, **where: Path) -> list[tuple[str, bool, str]]:
    """What is found in an export, a data set, or both."""
    exports, datasets = ([where[name]] if name in where else [] for name in ("export", "dataset"))
    return [(one.place, one.done, one.message) for one in in_files(user, tombstone, exports, datasets)]


async def test_an_export_has_them_until_it_is_made_again(tmp_path: Path) -> None:
    """What they were shown, too, and what a fast clock dated later; afterwards only what they did since is there."""
    log, tombstones = MemoryLog(), MemoryLog("gone")
    log = await log_of(
        ("ada", "order", WHEN),
        ("ada", "impression", WHEN),
        ("ada", "order", WHEN + timedelta(hours=2)),
        ("bob", "order", WHEN),
    )
    await exported(log, tombstones, tmp_path)
    place = f"export {tmp_path}"
    assert told("ada", None, export=tmp_path) == [(place, False, "3 of their events")]
    tombstone = await asked(log, tombstones, "ada", WHEN + timedelta(hours=1))
    (still,) = told("ada", tombstone, export=tmp_path)
    assert still == (place, False, "3 of their events, until `trunkshow export-events` runs again")
    later = Event("ada", "shoe", "order", timestamp=WHEN + timedelta(days=1), event_id="later")
    await log.append([later.to_message()], 1)
    await exported(log, tombstones, tmp_path)
    assert told("ada", tombstone, export=tmp_path) == [
        (place, True, "none of their events; 1 since then, of somebody new")
    ]


async def test_a_data_set_is_looked_into_file_by_file(tmp_path: Path) -> None:
    """Rows by the ids that a build makes of them; which builds use, unless its export has read the tombstone."""
    (tmp_path / "old.csv").write_text(
        "u,i,t\n7.0,hat,2023-01-01\n 7,cap,nonsense\n7,hat,2025-01-01\nbob,cap,2023-01-01\n"
    )
    (tmp_path / "other.csv").write_text("u,i,t\nbob,cap,2023-01-01\n")
    (tmp_path / "people.jsonl").write_text('{"id": 7, "town": "Rome"}\n')
    (tmp_path / "shop.toml").write_text(SET)
    log, tombstones = await log_of(("7", "order", WHEN)), MemoryLog("gone")
    tombstone = await asked(log, tombstones, "7", WHEN)
    used = "yours to clean, and until then builds use them: [log] export must name an export with the tombstone"
    assert told("7", tombstone, dataset=tmp_path / "shop.toml") == [
        ("file old.csv", False, f"2 rows of theirs, {used}; 1 since then, of somebody new"),
        ("file other.csv", True, "none of their rows"),
        ("file people.jsonl", False, f"1 rows of theirs, {used}"),
    ]
    await exported(log, tombstones, tmp_path / "log")
    (tmp_path / "shop.toml").write_text(SET + '[log]\nexport = "log"\n')
    (export_, old, *_) = told("7", tombstone, dataset=tmp_path / "shop.toml", export=tmp_path / "log")
    assert export_ == (f"export {tmp_path / 'log'}", True, "none of their events")
    assert old[1:] == (
        False,
        "2 rows of theirs, yours to clean: builds leave them out; 1 since then, of somebody new",
    )


@pytest.mark.parametrize("said", [None, "nonsense"])
def test_what_cannot_be_looked_into_is_told_and_not_taken_for_clean(tmp_path: Path, said: str | None) -> None:
    """Whatever is wrong with it."""
    if said is not None:
        (tmp_path / "export.json").write_text(said)
    (place, done, message), (data_set, read, why) = told("ada", None, export=tmp_path, dataset=tmp_path / "shop.toml")
    assert (place, done, data_set, read) == (f"export {tmp_path}", False, f"data set {tmp_path / 'shop.toml'}", False)
    assert message.startswith("cannot be looked into")
    assert why.startswith("cannot be looked into")


def test_what_was_not_named_is_named() -> None:
    """Nobody takes what was not looked at for clean."""
    assert len(ForgottenOptions(log="l").unseen) == 4
    assert ForgottenOptions(log="l", store="s", target=("r",), dataset=(Path("d"),)).unseen == []
