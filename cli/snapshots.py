"""`trunkshow versions`, `history`, `gc` and `keys`: what is in a store, what was done to it, what may go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli import output
from cli.moves import Url, as_json
from cli.pictures import size
from trunkshow.snapshot import collection, signature
from trunkshow.snapshot.lifecycle import Move, Pointer
from trunkshow.snapshot.manifest import Manifest, SnapshotRefused
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import Store, StoreError, open_store, who

STYLES = {
    State.PUSHED: "cyan",
    State.REHEARSING: "yellow",
    State.CANARY: "yellow",
    State.CURRENT: "bold green",
    State.PREVIOUS: "green",
    State.RETIRED: "dim",
    State.REFUSED: "red",
    State.POISONED: "red",
}


@Parameter(name="*")
@dataclass(frozen=True)
class ListOptions:
    """Which store."""

    store: Url
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    n: int = 50
    """How many to show, the newest ones."""

    json: bool = False
    """Print JSON."""


@Parameter(name="*")
@dataclass(frozen=True)
class GcOptions:
    """What may go."""

    store: Url
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    keep: int = collection.KEEP
    """Retired versions that stay, to be rolled back to by name."""

    dry_run: bool = False
    """Say what would be removed, and remove nothing."""

    why: str = ""
    """For the history, in words."""

    json: bool = False
    """Print JSON."""


def versions(*, options: ListOptions) -> None:
    """Show every version of a store, the newest first: what it is there for, and what it is made of."""
    output.check_range("n", options.n, 1, 100_000)
    store = open_store(options.store)
    pointer = store.pointer()
    known = {version: _manifest(store, version) for version in sorted(pointer.states, reverse=True)[: options.n]}
    if options.json:
        output.show_json({**as_json(pointer), "versions": [_line(pointer, *one) for one in known.items()]})
    else:
        output.show(*_table(pointer, known))


def history(*, options: ListOptions) -> None:
    """Show what was done to a store's versions, the newest last: what, when, by whom, and why."""
    output.check_range("n", options.n, 1, 100_000)
    moves = open_store(options.store).pointer().history[-options.n :]
    if options.json:
        output.show_json([asdict(move) for move in moves])
    else:
        output.show(_moves(moves))


def gc(*, options: GcOptions) -> None:
    """Remove the files of refused, poisoned and long retired versions, and of pushes that never ended.

    What is served, may be served, or is only a day old and not yet known, stays.
    """
    output.check_range("keep", options.keep, 0, 100_000)
    store = open_store(options.store)
    traces = store.traces()  # before the pointer: what is pushed in between must not look orphaned
    planned = collection.plan(store.pointer(), traces, time.time(), options.keep)
    done = planned if options.dry_run else list(collection.collect(store, planned, who(options.why)))
    if options.json:
        output.show_json({"dry_run": options.dry_run, "removed": [asdict(removal) for removal in done]})
        return
    verb = "would remove" if options.dry_run else "removed"
    output.show(*(f"{verb} [bold]{escape(one.version)}[/] [dim]{one.why}[/]" for one in done))
    if not done:
        output.show("there is nothing to remove")


def keys(private: Path, public: Path, /, *, json: bool = False) -> None:
    """Make a pair of keys: builders sign with the private one, everybody else checks with the public one.

    Args:
        private: file to write the private key to; keep it where snapshots are built.
        public: file to write the public key to; give it to shards and routers as --verify-key.
        json: Print the two paths as JSON.
    """
    signature.make_pair(private, public)
    if json:
        output.show_json({"private": str(private), "public": str(public)})
    else:
        output.show_as_it_is(f"wrote {private} (keep it secret) and {public}")


def _manifest(store: Store, version: str) -> Manifest | None:
    try:
        return store.manifest(version)
    except (StoreError, SnapshotRefused):
        return None


def _line(pointer: Pointer, version: str, manifest: Manifest | None) -> dict[str, Any]:
    line: dict[str, Any] = {"version": version, "state": pointer.states[version], "readable": manifest is not None}
    if manifest is not None:
        line |= {what: manifest.counts[what] for what in ("users", "items", "events", "partitions")}
        line |= {"created_at": manifest.created_at, "bytes": sum(file.bytes for file in manifest.files.values())}
    return line


def _table(pointer: Pointer, known: Mapping[str, Manifest | None]) -> Iterator[RenderableType]:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("version", no_wrap=True)
    table.add_column("state")
    for name in ("users", "items", "events", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for version, manifest in known.items():
        state = pointer.states[version]
        cells = ["", "", "", ""]
        if manifest is not None:
            cells = [f"{manifest.counts[what]:,}" for what in ("users", "items", "events")]
            cells.append(size(sum(file.bytes for file in manifest.files.values())))
        said = f"{state}, pinned" if pointer.pinned and state is State.CURRENT else state.value
        said += f", {pointer.canary_share:.3g} of the users" if state is State.CANARY else ""
        table.add_row(escape(version), f"[{STYLES[state]}]{said}[/]", *cells)
    yield table if known else "nothing was pushed here yet"


def _moves(moves: tuple[Move, ...]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("when", "what", "version"):
        table.add_column(name, no_wrap=True)
    table.add_column("why, by whom")
    for move in moves:
        what = move.event.replace("_", " ")
        said = Text.assemble(move.why, " " if move.why else "", (move.by, "dim"))
        table.add_row(move.at[5:16].replace("T", " "), what, escape(move.version), said)
    return table if moves else "nothing was pushed here yet"
