"""`trunkshow export-events`: what serving recorded, as files that `trunkshow build` reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter
from rich.console import RenderableType

from cli import output, render
from cli.ask import Json
from cli.output import UsageError
from cli.progress import Told, progress
from trunkshow.eventlog.opening import open_items, open_log, open_tombstones
from trunkshow.eventlog.settings import DAY_S, READ_ONLY
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving import telemetry

if TYPE_CHECKING:
    from builder.export.folder import Folder


@Parameter(name="*")
@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and to where."""

    log: str
    """The event log: nats://HOST:PORT/STREAM or kafka://HOST:PORT/TOPIC."""

    out: Path
    """Folder to write to, made where it is not there; one with an export in it goes on where that ended."""

    after: str = ""
    """Watermark where a new folder begins; the first record that the log still has where empty."""

    event_ids_h: float = 24.0
    """Hours for which an event is known by its id, so that it is written once though it was sent again; 8 million ids
    at most. Of exports before the ids of the newest 4 million rows are known. Later it is another row, and a build
    counts equal rows once."""

    keep_days: float = 0.0
    """Days after which parts in which everything is older are removed: builds know it no more. 0: all of them stay."""

    json: Json = False
    """Print what was done as JSON, and nothing else."""


def export_events(*, options: ExportOptions) -> None:
    """Write the event log as Parquet files, with a dataset file beside them that `trunkshow build` takes.

    Args:
        options: what, and to where.
    """
    if not options.keep_days >= 0:
        raise UsageError(f"--keep-days: {options.keep_days:g}; 0 keeps all")
    telemetry.configure("warning")  # of the log's connection; what is done is told here
    after = _watermark(options.after)
    try:
        from builder.export import folder as folders
    except ImportError as error:
        raise UsageError(f"the builder is not installed ({error.name}); install trunkshow[builder]") from error
    with folders.held(options.out) as folder, progress(quiet=options.json, work="export") as told:
        before = folder.exported
        if after is not None and before.watermark not in (None, after):
            raise UsageError(
                f"{options.out} goes on after {before.watermark}; leave --after out, or begin a new folder"
            )
        asyncio.run(_export(options, folder, after, told))
        done = {
            "folder": str(options.out),
            "watermark": str(folder.exported.watermark or ""),
            "events": folder.written,
            "duplicates": folder.exported.duplicates - before.duplicates,
            "lost": folder.exported.lost - before.lost,
            "events_in_all": folder.exported.rows,
            "new_items": folder.exported.items,
            "removed_parts": folder.removed,
            "parts": len(folder.exported.events) + len(folder.exported.shown),
        }
    if options.json:
        output.show_json(done)
    else:
        output.show(*_summary(done))


async def _export(options: ExportOptions, folder: Folder, after: Watermark | None, told: Told) -> None:
    from builder.export.exporting import export

    url = options.log
    try:
        log, tombstones = open_log(url, READ_ONLY), open_tombstones(url, READ_ONLY)
        items = open_items(url, READ_ONLY)
    except ValueError as error:
        raise UsageError(f"--log: {error}") from None
    try:
        before_ms = round((time.time() - options.keep_days * DAY_S) * 1000) if options.keep_days else 0
        await export(
            log,
            tombstones,
            folder,
            after,
            told,
            items=items,
            ids_kept_s=options.event_ids_h * 3600,
            before_ms=before_ms,
        )
    finally:
        for one in (log, tombstones, items):
            await one.close()


def _watermark(text: str) -> Watermark | None:
    try:
        return Watermark.parse(text) if text else None
    except ValueError as error:
        raise UsageError(f"--after: {error}") from None


def _summary(done: dict[str, Any]) -> Iterator[RenderableType]:
    yield f"exported [bold]{done['events']:,}[/] events to {done['folder']}; {done['events_in_all']:,} are in it"
    yield render.pairs({name: done[name] for name in ("watermark", "duplicates", "lost", "new_items", "parts")})
    if done["lost"]:
        yield "[yellow]some records had been removed from the log before they were exported; export more often[/]"
    if done["events_in_all"]:
        yield f"next: trunkshow build {done['folder']}/dataset.toml --store STORE"
