"""`trunkshow inspect`: a snapshot's manifest, as tables and pictures, as JSON, or checked against its files."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cyclopts import Parameter

from cli import output, render
from trunkshow.snapshot.store import open_store, resolve


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


def inspect(store: str, /, *, options: InspectOptions = DEFAULTS) -> None:
    """Show what a snapshot says of itself: counts, parameters, metrics, partitions, files.

    Args:
        store: the snapshot store, a folder or s3://BUCKET/PREFIX.
        options: what to show.
    """
    opened = open_store(store)
    manifest = opened.manifest(resolve(opened, options.version))
    if options.verify:
        opened.ensure(manifest.version, manifest.files)
    if options.json:
        output.show_json(json.loads(manifest.to_json()))
        return
    output.show(*render.manifest(manifest, current=manifest.version == opened.pointer().current))
    if options.verify:
        output.show(f"[green]✓[/] all {len(manifest.files)} files have the size and checksum of the manifest")
