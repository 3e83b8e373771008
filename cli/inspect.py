"""`trunkshow inspect`: a snapshot's manifest, as tables and pictures, as JSON, or checked against its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from cli import output, render
from trunkshow.snapshot.manifest import verify
from trunkshow.snapshot.store import FolderStore


@Parameter(name="*")
@dataclass(frozen=True)
class InspectOptions:
    """What to show of a store."""

    version: str = ""
    """Version to show; the current one where empty."""

    verify: bool = False
    """Check the size and checksum of every file."""

    json: bool = False
    """Print the manifest as it is (with --verify: once every file was found to match it)."""


DEFAULTS = InspectOptions()


def inspect(store: Path, /, *, options: InspectOptions = DEFAULTS) -> None:
    """Show what a snapshot says of itself: counts, parameters, metrics, partitions, files.

    Args:
        store: folder of the snapshot store.
        options: what to show.
    """
    folders = FolderStore(store)
    version = folders.resolve(options.version)
    manifest = folders.manifest(version)
    if options.verify:
        verify(folders.folder(version), manifest.files)
    if options.json:
        output.show_json(json.loads(manifest.to_json()))
        return
    output.show(*render.manifest(manifest, current=version == folders.current()))
    if options.verify:
        output.show(f"[green]✓[/] all {len(manifest.files)} files have the size and checksum of the manifest")
