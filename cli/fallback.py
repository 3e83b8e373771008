"""`trunkshow fallback`: make the copy that a router begins with where both its cache and the store fail it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter
from rich.markup import escape

from cli import output
from cli.moves import Url
from cli.pictures import size
from trunkshow.snapshot.fallback import keep
from trunkshow.snapshot.reader import DIRECTORY, SHARED
from trunkshow.snapshot.store import StoreError, open_store


@Parameter(name="*")
@dataclass(frozen=True)
class FallbackOptions:
    """What is copied."""

    store: Url
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    verify_key: Path | None = None
    """File of the public key (PEM, Ed25519) that the snapshot must be signed with; an unsigned one is taken without."""

    json: bool = False
    """Print JSON."""


def fallback(folder: Path, /, *, options: FallbackOptions) -> None:
    """Copy what a router opens of the version that is served, for `trunkshow router --fallback`.

    Args:
        folder: to copy into; what an earlier copy had and this one has not goes.
        options: from where.
    """
    store = open_store(options.store, verify_key=options.verify_key)
    try:
        manifest = keep(store, folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written to: {error.strerror or error}") from error
    taken = sum(file.bytes for file in manifest.under(*SHARED, DIRECTORY).values())
    if options.json:
        output.show_json({"version": manifest.version, "folder": str(folder), "bytes": taken})
    else:
        output.show(f"[bold]{manifest.version}[/] is in {escape(str(folder))} [dim]{size(taken)}[/]")
