"""Where somebody who asked to be forgotten still is in files: exports, and what data sets read. For `forgotten`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from builder.dataset import Dataset, load_dataset
from builder.errors import BuildError
from builder.export import state
from builder.export.forgotten import FOREVER, table_within
from builder.export.state import Exported
from builder.whereabouts import Rows, in_dataset, in_export
from trunkshow.forgetting import Place
from trunkshow.online.forgotten import Tombstone


def in_files(
    user: str, tombstone: Tombstone | None, exports: Sequence[Path], datasets: Sequence[Path]
) -> Iterator[Place]:
    """Place by place; the exports that data sets name are looked into, too.

    Args:
        user: who.
        tombstone: theirs, if there is one.
        exports: folders of `trunkshow export-events`.
        datasets: data set files.
    """
    looked: set[Path] = set()
    for folder in exports:
        looked.add(folder.resolve())
        yield _in_export(folder, user, tombstone)
    for path in datasets:
        try:
            dataset = load_dataset(path)
        except BuildError as error:
            yield _unread(f"data set {path}", error)
            continue
        if dataset.export is not None and (folder := dataset.folder / dataset.export).resolve() not in looked:
            looked.add(folder.resolve())
            yield _in_export(folder, user, tombstone)
        yield from _in_sources(path, dataset, user, tombstone)


def _in_export(folder: Path, user: str, tombstone: Tombstone | None) -> Place:
    place = f"export {folder}"
    try:
        exported = state.read(folder)
        if exported is None:
            return Place(place, False, f"cannot be looked into: it has no {state.FILE_NAME}")
        rows = in_export(folder, exported, user, _until_ms(tombstone, exported))
    except (BuildError, OSError, pl.exceptions.PolarsError) as error:
        return _unread(place, error)
    if not rows.before:
        return Place(place, True, f"none of their events{_since(rows)}")
    until = "" if tombstone is None else ", until `trunkshow export-events` runs again"
    return Place(place, False, f"{rows.before} of their events{until}{_since(rows)}")


def _in_sources(path: Path, dataset: Dataset, user: str, tombstone: Tombstone | None) -> Iterator[Place]:
    place, files = f"data set {path}", 0
    try:
        use = _use(dataset, tombstone)
        for rows in in_dataset(dataset, user, FOREVER if tombstone is None else tombstone.time_ms):
            files += 1
            if rows.before:
                yield Place(f"file {rows.file}", False, f"{rows.before} rows of theirs, {use}{_since(rows)}")
            else:
                yield Place(f"file {rows.file}", True, f"none of their rows{_since(rows)}")
    except (BuildError, OSError, pl.exceptions.PolarsError) as error:
        yield _unread(place, error)
        return
    if not files:
        yield Place(place, True, "has no files of its own")


def _use(dataset: Dataset, tombstone: Tombstone | None) -> str:
    """What becomes in a build of rows that it should not have."""
    exported = None if dataset.export is None else state.read(dataset.folder / dataset.export)
    if tombstone is None:
        return "which builds use"
    if exported is not None and tombstone.is_known_to(exported.forgotten):
        return "yours to clean: builds leave them out"
    return "yours to clean, and until then builds use them: [log] export must name an export with the tombstone"


def _until_ms(tombstone: Tombstone | None, exported: Exported) -> int:
    """Up to when rows of an export's should not be there; all of them where it was read up to before the tombstone."""
    return FOREVER if tombstone is None else int(table_within([tombstone], exported.watermark)["until"][0])


def _since(rows: Rows) -> str:
    return f"; {rows.after} since then, of somebody new" if rows.after else ""


def _unread(place: str, error: Exception) -> Place:
    return Place(place, False, f"cannot be looked into: {error!s:.200}")
