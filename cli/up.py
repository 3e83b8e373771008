"""`trunkshow up`: a whole cluster of real processes on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli import output
from cli.cluster import READY_WITHIN_S, Plan, interruptible, running, until_ready
from cli.local_log import plan_of
from cli.logs import fresh_folder
from cli.output import UsageError
from cli.scaling import SHARDS_MAX, Ledger
from trunkshow.cluster import ClusterStatus, ShardState
from trunkshow.serving.options import is_loopback
from trunkshow.snapshot.store import open_store, resolve

READY = ShardState.READY


@Parameter(name="*")
@dataclass(frozen=True)
class UpOptions:
    """A local cluster."""

    store: str
    """The snapshot store: a folder, or s3://BUCKET/PREFIX."""

    shards: int = 3
    """How many shards, 1 to 64."""

    replicas: int = 2
    """How many shards hold each partition."""

    listen: str = "127.0.0.1:7450"
    """Address of the router on this machine, HOST:PORT; port 0 takes a free one. Shards take free ports."""

    snapshot: str = ""
    """Snapshot version to stay on; where empty, what the store's pointer names is followed."""

    cache: Path | None = None
    """Folder for copies of what is served, one for each process, with which a cluster starts without its store."""

    logs: Path | None = None
    """Folder for logs; `logs` in the store where not given, or here for a store that is no folder. Every cluster makes
    its own folder there, named after its start, with one file per process; the newest 5 are kept."""

    log: Annotated[str, Parameter(show_default=False)] = ""
    """Event log to record in: nats://HOST:PORT/STREAM or kafka://HOST:PORT/TOPIC, or `none`; where not given, a NATS
    server is run with the cluster, and ended with it."""

    log_folder: Path | None = None
    """Folder for that server's files, which outlive it; `events` in the store where not given, or `trunkshow-events`
    here for a store that is no folder."""

    log_listen: str = "127.0.0.1:0"
    """Address of that server on this machine, HOST:PORT; port 0 takes a free one."""

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
            f"on snapshot {plan.snapshot}; logs: {plan.logs or 'here'}; "
            f"events: {plan.log.url or plan.log.folder or 'not recorded'}"
        )

    async def serve(hurry: asyncio.Event) -> None:
        async with running(plan, say, hurry) as cluster:
            if not options.json:
                output.remark("[dim]Ctrl-C ends it[/]")
            await asyncio.shield(cluster.keeping)

    asyncio.run(interruptible(serve))


def scale(shards: int, /, *, target: str = "127.0.0.1:7450", json: bool = False) -> None:
    """Make a local cluster larger or smaller while it serves; return once it is.

    Args:
        shards: how many there should be, 1 to 64.
        target: the router's address, as `trunkshow up` said it.
        json: print one JSON line once it is.

    Raises:
        UsageError: no such cluster, or it does not get there.
    """
    if not 1 <= shards <= SHARDS_MAX:
        raise UsageError(f"{shards} shards are out of range; choose 1 to {SHARDS_MAX}")
    Ledger(target).wish(shards)

    def enough(status: ClusterStatus | None) -> bool:
        ready = [] if status is None else [one for one in status.shards if one.reachable and one.state == READY]
        return status is not None and status.covered and len(ready) == len(status.shards) == shards

    try:
        asyncio.run(asyncio.wait_for(until_ready(target, enough), READY_WITHIN_S))
    except TimeoutError:
        raise UsageError(f"there are not {shards} shards ready after {READY_WITHIN_S:g} s; see `status`") from None
    if json:
        output.show_json({"shards": shards}, indent=None)
    else:
        output.remark(f"ready with {shards} shard{'s' * (shards > 1)}")


def make_plan(options: UpOptions) -> Plan:
    """What to start, checked, and its folder for logs, made.

    Raises:
        UsageError: a number out of range, an address beyond this machine, or a folder that cannot be written to.
        StoreError: no such snapshot.
    """
    if not 1 <= options.shards <= SHARDS_MAX:
        raise UsageError(f"--shards {options.shards} is out of range; choose 1 to {SHARDS_MAX}")
    if options.replicas < 1:
        raise UsageError(f"--replicas {options.replicas} is out of range; choose at least 1")
    # The router would refuse as well, once its shards had started. An operator's own word to it goes before ours.
    if not is_loopback(options.listen) and not os.environ.get("TRUNKSHOW_ROUTER_INSECURE"):
        raise UsageError(
            f"--listen {options.listen} is not this machine alone, and a local cluster has neither TLS nor callers' "
            "credentials; start `trunkshow shard` and `trunkshow router` with them (docs/security.md)"
        )
    cache = options.cache.resolve() if options.cache else None
    store = open_store(options.store, cache / "up" if cache else None)
    version = resolve(store, options.snapshot)
    store.manifest(version)
    remote = "://" in options.store
    beside = Path("trunkshow-logs") if remote else Path(options.store) / "logs"
    events = Path("trunkshow-events") if remote else Path(options.store) / "events"
    return Plan(
        store=options.store if remote else str(Path(options.store).resolve()),
        snapshot=version,
        shards=options.shards,
        replicas=options.replicas,
        listen=options.listen,
        logs=None if options.verbose else fresh_folder((options.logs or beside).resolve()),
        pinned=bool(options.snapshot),
        cache=cache,
        log=plan_of(options.log, (options.log_folder or events).resolve(), options.log_listen),
    )


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
    "cluster.scaling": "from {before} to {shards} shards",
    "cluster.ready": "[bold green]ready[/] at {target}",
    "cluster.stopped": "[dim]ended; nothing is left running[/]",
}
