"""An export's folder, held by one process at a time.

Parts are written under other names, forced to the disk, renamed, and named in `export.json` last. Whatever kills the
export, the folder says what is in it, and nothing else counts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

import polars as pl

from builder.errors import BuildError, DatasetInvalid
from builder.export import forgotten as forgetting
from builder.export import items, state
from builder.export.rows import name_of
from builder.export.state import Exported, Part
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.forgotten import Tombstone
from trunkshow.online.weights import SHARES

EVENTS, SHOWN = "events", "shown"
DATASET = "dataset.toml"
_UNFINISHED = ".unfinished"


class FolderUnusable(BuildError):
    """The folder cannot be exported to."""


@contextmanager
def held(path: Path) -> Iterator[Folder]:
    """A folder, made where it is not there, for nobody else meanwhile.

    Raises:
        FolderUnusable: somebody exports to it now, or it cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with (path / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Folder(path)
    except BlockingIOError:
        raise FolderUnusable(f"{path}: another export writes there now; wait for it, or choose another") from None
    except OSError as error:
        raise FolderUnusable(f"{path}: cannot be written to ({error.strerror}); choose another folder") from error


class Folder:
    """An export's folder.

    Attributes:
        path: of it.
        exported: what is in it.
        written: events that were written by this process.
        removed: parts that were let go by this process.

    Args:
        path: of it; held by this process.

    Raises:
        DatasetInvalid: what it says of itself cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exported = state.read(path) or state.NOTHING
        self.written = self.removed = 0
        self._tidy()

    def add(self, events: pl.DataFrame, shown: pl.DataFrame, after: Exported) -> None:
        """One part of each kind that has rows, and then what the folder says.

        Args:
            events: rows of taste.
            shown: the others.
            after: what is told, without these two parts.
        """
        number = 1 + max((_number(part) for part in (*after.events, *after.shown)), default=0)
        taste, other = self._part(EVENTS, number, events), self._part(SHOWN, number, shown)
        _sync(self.path)
        self._say(replace(after, events=after.events + taste, shown=after.shown + other))
        self.written += events.height + shown.height

    def forget(self, tombstones: Sequence[Tombstone], forgotten: Watermark) -> None:
        """Remove people from all parts, and name them for other sources; nothing is done where that was done before.

        Whoever was named before stays so: their tombstone may be lost, with a log that was restored from an older copy.

        Args:
            tombstones: all of them.
            forgotten: of the tombstones' log with the last of them.
        """
        said = self.exported
        before = forgetting.NOBODY
        with suppress(DatasetInvalid):  # there is none yet, or it is gone: it is written anew
            before = forgetting.read(self.path)
        named = forgetting.joined(before, forgetting.table(tombstones))
        if said.forgotten == forgotten and named.equals(before):
            return
        people = forgetting.table_within(tombstones, said.watermark)
        events, shown = (tuple(self._without(part, people) for part in kind) for kind in (said.events, said.shown))
        text = forgetting.text(named)
        self._written(self.path / forgetting.FILE_NAME, lambda fresh: fresh.write_text(text, encoding="utf-8"))
        self._say(replace(said, events=events, shown=shown, forgotten=forgotten))

    def _without(self, part: Part, people: pl.DataFrame) -> Part:
        path = self.path / part.name
        rows = pl.read_parquet(path, glob=False, hive_partitioning=False)
        timed = rows.with_columns(time=pl.col("timestamp").dt.timestamp("ms"))
        kept = forgetting.without(timed, people).drop("time")
        if kept.height < rows.height:
            self._written(path, kept.write_parquet)
        return replace(part, rows=kept.height)

    def tell(self, told: Mapping[str, items.Row], items_read: Watermark | None) -> None:
        """Add new items, by id, and say how far their log was read."""
        if not told:
            if items_read != self.exported.items_read:
                self._say(replace(self.exported, items_read=items_read))
            return
        rows = items.merged(items.read(self.path), told)
        self._written(self.path / items.FILE_NAME, rows.write_parquet)
        self._say(replace(self.exported, items=rows.height, items_read=items_read))

    def newest_ms(self) -> int:
        """When the latest event of the newest part happened, milliseconds since the epoch; 0 where there is none."""
        newest = max((part for part in self._parts() if part.rows), key=_number, default=None)
        return 0 if newest is None else self._until_ms(newest)

    def newest_ids(self, most: int) -> Iterator[tuple[str, str]]:
        """Users and event ids of about so many of the rows that were written last, the oldest of them first.

        When it happened tells nothing of when it was written: a phone may have been offline for days.
        """
        chosen: list[str] = []
        rows = 0
        for part in sorted(self._parts(), key=_number, reverse=True):
            if rows >= most:
                break
            chosen.append(part.name)
            rows += part.rows
        return chain.from_iterable(map(self._ids, reversed(chosen)))

    def drop_before(self, time_ms: int) -> None:
        """Let parts go in which everything happened before then.

        The newest part stays: by it the next one is numbered, and what is sent again is known. Files go once nothing
        names them any more.
        """
        said, newest = self.exported, max(map(_number, self._parts()), default=0)
        old = {part for part in self._parts() if _number(part) < newest and self._until_ms(part) < time_ms}
        if not old:
            return
        events, shown = (tuple(part for part in kind if part not in old) for kind in (said.events, said.shown))
        self._say(replace(said, events=events, shown=shown))
        self._tidy()
        self.removed += len(old)

    def begin(self) -> None:
        """Say what is in it, nothing where it is new."""
        self._say(self.exported)
        self.offer_dataset()

    def offer_dataset(self) -> None:
        """A data set file, unless there is one: a person may have changed it."""
        path = self.path / DATASET
        if not path.exists():
            self._written(path, lambda fresh: fresh.write_text(_dataset(), encoding="utf-8"))

    def _parts(self) -> tuple[Part, ...]:
        return (*self.exported.events, *self.exported.shown)

    def _scanned(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.path / name, glob=False, hive_partitioning=False)

    def _until_ms(self, part: Part) -> int:
        """When the latest event of a part happened; 0 where it has none any more."""
        last = self._scanned(part.name).select(pl.col("timestamp").max().dt.timestamp("ms"))
        return int(last.collect().item() or 0)

    def _ids(self, name: str) -> Iterator[tuple[str, str]]:
        rows = self._scanned(name).select("user", "event_id").collect()
        yield from zip(rows["user"], rows["event_id"], strict=True)

    def _part(self, kind: str, number: int, rows: pl.DataFrame) -> tuple[Part, ...]:
        if not rows.height:
            return ()
        name = f"{kind}-{number:06d}.parquet"
        self._written(self.path / name, rows.write_parquet)
        return (Part(name, rows.height),)

    def _say(self, exported: Exported) -> None:
        text = exported.text()
        self._written(self.path / state.FILE_NAME, lambda fresh: fresh.write_text(text, encoding="utf-8"))
        _sync(self.path)
        self.exported = exported

    def _written(self, path: Path, write: Callable[[Path], object]) -> None:
        fresh = path.with_name(f"{_UNFINISHED}-{path.name}")
        write(fresh)
        _sync(fresh)
        fresh.replace(path)

    def _tidy(self) -> None:
        """Remove what a killed export left; it is in the log still."""
        named = {part.name for part in self._parts()}
        ours = [*self.path.glob(f"{EVENTS}-*.parquet"), *self.path.glob(f"{SHOWN}-*.parquet")]
        for path in (*self.path.glob(f"{_UNFINISHED}-*"), *(one for one in ours if one.name not in named)):
            path.unlink(missing_ok=True)


def _number(part: Part) -> int:
    digits = part.name.partition("-")[2].partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _dataset() -> str:
    weights = "\n".join(f"{name_of(kind)} = {share:g}" for kind, share in SHARES.items())
    return f"""\
# Made by `trunkshow export-events`, which leaves it alone from now on: change what you like.
name = "events"

[log]
export = "."        # reads what export.json names; [[events]] may add other sources, [items] and [users] tables

[interactions]
{weights}
"""
