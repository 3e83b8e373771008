"""A log in memory that is exported to a folder, and what the folder says then. Not a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from memory_log import MemoryLog

from builder.export import state
from builder.export.exporting import LIMITS, Limits, export
from builder.export.folder import held
from trunkshow.eventlog.watermark import Watermark
from trunkshow.events import Event

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
