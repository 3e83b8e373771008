"""Event files read by a crew: one task per part of a file, and what the parts had put together again.

The same events, the same report and the same refusals as from one process that reads file after file
(`tests/property/test_any_division.py`): parts are put together in the order of the files. A part knows its own lines
alone; how many come before them is known here, where all parts are, and lines are named here. A part that is refused is
read again by this process, which by then knows its first line, and says what is wrong with it; so one that a worker
merely could not read is read after all. Where something is wrong with a file all others were read for nothing.

How a part is read is `builder.part_reading`'s business.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from builder.crew.port import Crew
from builder.ingest.bad_rows import BadRowTally
from builder.ingest.json_lines import KeysSeen
from builder.ingest.parts import Part, head_lines, parts_of
from builder.ingest.sources import is_json_lines
from builder.ingest.times_seen import TimesSeen
from builder.intake import renumbered
from builder.part_reading import File, PartRead, PartTask, read_events_of, read_or_none

READ = "read events"


@dataclass
class Gathered:
    """What all parts had.

    Attributes:
        tally: of bad rows.
        forgotten: rows of people who are to be forgotten.
        folders: of the events and ids of each part that has some.
    """

    tally: BadRowTally = field(default_factory=BadRowTally)
    forgotten: int = 0
    folders: list[Path] = field(default_factory=list)

    @property
    def has_events(self) -> bool:
        """Whether any row was good."""
        return bool(self.folders)

    def table(self) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
        """As `Intake.table`; the parts' files are removed."""
        user_ids, item_ids = (self._ids(name) for name in ("users", "items"))
        parts = []
        for folder in self.folders:
            user_rows, item_rows = _places(folder / "users", user_ids), _places(folder / "items", item_ids)
            parts.append(renumbered(pl.read_ipc(folder / "events"), user_rows, item_rows))
            shutil.rmtree(folder, ignore_errors=True)
        return pl.concat(parts), user_ids, item_ids

    def _ids(self, name: str) -> pl.Series:
        """All ids, ascending; never more in memory than there are, and those of one part."""
        found = pl.Series("id", [], pl.String)
        for folder in self.folders:
            found = pl.concat([found, pl.read_ipc(folder / name)["id"]]).unique()
        return found.sort()


def _places(path: Path, ordered: pl.Series) -> NDArray[np.int32]:
    """(n,) place among ascending ids of each id in a part's file, in the order of their numbers."""
    ids = pl.read_ipc(path)["id"]
    return ordered.search_sorted(ids).to_numpy().astype(np.int32)


def read_divided(
    files: Sequence[File],
    kind_names: tuple[str, ...],
    people: pl.DataFrame,
    until_ms: int,
    crew: Crew,
    say: Callable[[str], None],
) -> Gathered:
    """Read event files part by part.

    Args:
        files: in the order in which one process would read them.
        kind_names: that are known.
        people: who is to be forgotten.
        until_ms: when an event may have happened at the latest, milliseconds since the epoch.
        crew: reads those that all of it see; this process reads the others.
        say: told of these.

    Raises:
        BuildError: what reading the files one after the other would raise.
    """
    folder = crew.folder / "read"
    folder.mkdir(parents=True, exist_ok=True)
    asked = folder / "people"
    people.write_ipc(asked)
    seen = _seen(files, crew)
    if unseen := [file.name for file in files if file.path not in seen]:
        say(f"workers do not see {', '.join(unseen[:5])}: read by this process ({len(unseen)} of {len(files)} files)")
    tasks = [
        PartTask(file, part, kind_names, asked, folder, until_ms)
        for file in files
        for part in (parts_of(file.path, file.source.separator) if file.path in seen else [Part(file.path)])
    ]
    read = iter(crew.each(READ, read_or_none, [task for task in tasks if task.file.path in seen]))
    return _gathered([(task, next(read) if task.file.path in seen else None) for task in tasks])


def _seen(files: Sequence[File], crew: Crew) -> set[Path]:
    """Those of the files that all of a crew see."""
    sizes: dict[str, int] = {}
    for file in files:
        with suppress(OSError):  # whoever reads it says what is wrong with it
            sizes[str(file.path)] = file.path.stat().st_size
    return {Path(path) for path in crew.seen(sizes)}


def _gathered(read: Sequence[tuple[PartTask, PartRead | None]]) -> Gathered:
    """The parts put together, in their order; a file's end is where it is known what it has nowhere."""
    found = Gathered()
    begun: _FileSeen | None = None
    for task, had in read:
        if begun is None or not task.part.start:
            _check(begun)
            begun = _FileSeen(task.file)
        begun.add(task, had, found)
    _check(begun)
    return found


def _check(ended: _FileSeen | None) -> None:
    if ended is not None:
        ended.check()


class _FileSeen:
    """What was seen of one file so far."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._lines = 0
        self._times = TimesSeen(file.name, file.source.timestamp)
        self._keys: KeysSeen | None = None

    def add(self, task: PartTask, had: PartRead | None, found: Gathered) -> None:
        """Add its next part; one that was not read is read now."""
        shift = self._lines - head_lines(task.part) if self._lines else 0
        if had is None:
            had, shift = read_events_of(replace(task, shift=shift)), 0
        self._lines += had.lines
        self._times.extend(had.times, shift)
        if self._keys is None:
            self._keys = had.keys
        else:
            self._keys.extend(had.keys)
        found.tally.extend(had.tally, shift)
        found.forgotten += had.forgotten
        found.folders += [] if had.folder is None else [had.folder]

    def check(self) -> None:
        """Fail for what only the whole file can tell."""
        if self._keys is not None and is_json_lines(self._file.path):
            self._keys.check(self._file.name)
        self._times.check()
