"""One part of an event file read to numbers: a task of a crew, whose result is small, and whose events lie in files.

How a file is divided is `builder.ingest.parts`' business, what a row means `builder.intake`'s; what the parts had is
put together in `builder.divided`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from builder.dataset import EventSource
from builder.errors import BuildError
from builder.ingest.bad_rows import BadRowTally
from builder.ingest.event_rows import event_columns
from builder.ingest.json_lines import KeysSeen
from builder.ingest.parts import LineCount, Part, read_part, shifted
from builder.ingest.times_seen import TimesSeen
from builder.intake import Intake


class File(NamedTuple):
    """An event file that is to be read.

    Attributes:
        source: says what its columns are.
        path: where it lies, absolute.
        name: how messages call it.
    """

    source: EventSource
    path: Path
    name: str


@dataclass(frozen=True)
class PartTask:
    """A part that is to be read.

    Attributes:
        file: that it is of.
        part: which.
        kind_names: that are known.
        people: a file of who is to be forgotten.
        folder: that all of the crew see, for what is read.
        until_ms: when an event may have happened at the latest, milliseconds since the epoch.
        shift: by how many lines its rows are further on than a reader of the part alone would count; 0 where unknown.
    """

    file: File
    part: Part
    kind_names: tuple[str, ...]
    people: Path
    folder: Path
    until_ms: int
    shift: int = 0


@dataclass(frozen=True)
class PartRead:
    """What a part had.

    Attributes:
        tally: of its bad rows.
        times: whether its timestamps could be read.
        keys: of its JSON lines.
        lines: how many line feeds it has.
        forgotten: rows of people who are to be forgotten.
        folder: of its events and ids; None where it has none.
    """

    tally: BadRowTally
    times: TimesSeen
    keys: KeysSeen
    lines: int
    forgotten: int
    folder: Path | None


def read_or_none(task: PartTask) -> PartRead | None:
    """What a part has; nothing where it is refused: only who knows all parts before it can say where."""
    try:
        return read_events_of(task)
    except BuildError:
        return None


def read_events_of(task: PartTask) -> PartRead:
    """Read a part; its events and ids are files, in a folder of a name that never was there before.

    Raises:
        BuildError: it cannot be used; lines are named as the task's shift has them.
    """
    source, name = task.file.source, task.file.name
    columns = event_columns(source)
    intake = Intake(task.kind_names, pl.read_ipc(task.people), task.until_ms)
    times, keys, lines = TimesSeen(name, source.timestamp), KeysSeen(columns), LineCount()
    blocks = read_part(task.part, name, columns, source.separator, keys, lines)
    intake.read(source, name, shifted(blocks, task.shift), times)
    folder = _write(task.folder / uuid.uuid4().hex, intake) if intake.parts else None
    return PartRead(intake.tally, times, keys, lines.lines, intake.forgotten, folder)


def _write(folder: Path, intake: Intake) -> Path:
    folder.mkdir(parents=True)
    pl.concat(intake.parts).write_ipc(folder / "events")
    intake.users.numbered().to_frame().write_ipc(folder / "users")
    intake.items.numbered().to_frame().write_ipc(folder / "items")
    return folder
