"""`trunkshow up`: a whole cluster of real processes on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from cli import output
from cli.cluster import Plan, interruptible, running
from cli.logs import fresh_folder
from cli.output import UsageError
from trunkshow.snapshot.store import open_store, resolve

SHARDS_MAX = 64


@Parameter(name="*")
@dataclass(frozen=True)
class UpOptions:
    """A local cluster."""

    store: Path
    """Folder of the snapshot store."""

    shards: int = 3
    """How many shards, 1 to 64."""

    replicas: int = 2
    """How many shards hold each partition."""

    listen: str = "127.0.0.1:7450"
    """Address of the router, HOST:PORT; port 0 takes a free one. Shards take free ports of 127.0.0.1."""

    snapshot: str = ""
    """Snapshot version to stay on; where empty, what the store's pointer names is followed."""

    logs: Path | None = None
    """Folder for logs; `logs` in the store where not given. Every cluster makes its own folder there, named after its
    start, with one file per process; the newest 5 are kept."""

    verbose: bool = False
    """Show the processes' logs here instead."""

    json: bool = False
    """Print one JSON line on stdout for every event: started, waiting, ready, died, stopped."""


def up(*, options: UpOptions) -> None:
    """Run a whole cluster on this machine until Ctrl-C: shards and a router, restarted where they die."""
    plan = make_plan(options)
    say = say_in_json if options.json else say_in_words
    if not options.json:
        output.remark(
            f"starting {plan.shards} shards (each partition on {min(plan.replicas, plan.shards)}) and a router "
            f"on snapshot {plan.snapshot}; logs: {plan.logs or 'here'}"
        )

    async def serve(hurry: asyncio.Event) -> None:
        async with running(plan, say, hurry) as cluster:
            if not options.json:
                output.remark("[dim]Ctrl-C ends it[/]")
            await asyncio.shield(cluster.keeping)

    asyncio.run(interruptible(serve))


def make_plan(options: UpOptions) -> Plan:
    """What to start, checked, and its folder for logs, made.

    Raises:
        UsageError: a number out of range, or a folder that cannot be written to.
        StoreError: no such snapshot.
    """
    if not 1 <= options.shards <= SHARDS_MAX:
        raise UsageError(f"--shards {options.shards} is out of range; choose 1 to {SHARDS_MAX}")
    if options.replicas < 1:
        raise UsageError(f"--replicas {options.replicas} is out of range; choose at least 1")
    store = open_store(options.store)
    version = resolve(store, options.snapshot)
    store.manifest(version)
    logs = None if options.verbose else fresh_folder((options.logs or options.store / "logs").resolve())
    pinned = bool(options.snapshot)
    return Plan(options.store.resolve(), version, options.shards, options.replicas, options.listen, logs, pinned)


def say_in_json(event: str, **details: Any) -> None:
    """An event as one line of JSON on stdout."""
    output.show_json({"event": event, "at": time.time(), **details}, indent=None)


def say_in_words(event: str, **details: Any) -> None:
    """An event as one line for a person."""
    line = _WORDS[event].format(**details)
    output.remark(line)


_WORDS = {
    "child.started": "[dim]{child} runs (process {pid})[/]",
    "child.died": "[yellow]{child} died (exit code {exit_code}); starting it again in {restart_in_s:g} s[/]",
    "child.gave_up": "[red]{child} died (exit code {exit_code}): {why}[/]",
    "cluster.waiting": "[dim]waiting for {seconds} s: {missing}[/]",
    "cluster.ready": "[bold green]ready[/] at {target}",
    "cluster.stopped": "[dim]ended; nothing is left running[/]",
}
