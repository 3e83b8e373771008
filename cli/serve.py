"""`trunkshow shard` and `trunkshow router`: one process each, or several of a router (`cli.several`).

Their own modules say what can be chosen.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

from cyclopts import Parameter

from cli.addresses import free_address, split_address
from cli.imports import uncollected
from router.config import RouterConfig
from shard.config import ShardConfig
from trunkshow.serving.options import UNIX, ServerOptions, address

Json = Annotated[bool, Parameter(help="Log JSON on a terminal too; elsewhere the logs are JSON anyway.")]


def shard(*, config: Annotated[ShardConfig, Parameter(name="*")], json: Json = False) -> None:
    """Run one shard: open its share of a snapshot, and answer predictions over it until SIGTERM."""
    _solve_on_one_thread()
    with uncollected():
        from shard.main import run

    _check(config.listen, config.server, json=json)
    run(config)


def router(*, config: Annotated[RouterConfig, Parameter(name="*")], json: Json = False) -> None:
    """Run one router: take requests, ask the shards, and answer each within its deadline until SIGTERM."""
    _solve_on_one_thread()
    if not config.process:
        _check(config.listen, config.server, json=json)
    elif json:
        _log_json()
    if config.processes > 1 and not config.process:
        from cli.several import run as run_several

        run_several(config, sys.argv[1:])
        return
    with uncollected():
        from router.main import run

    run(config)


def _solve_on_one_thread() -> None:
    """Have numpy's linear algebra start no threads; it reads that once, when numpy is imported.

    A user's equations are solved in well under a millisecond on the event loop's own core. With threads they cost
    three times as much processor time, most of it for waiting on one another.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _check(listen: str, options: ServerOptions, *, json: bool) -> None:
    # Before the snapshot is opened, which takes its time: an address in use is told at once, and in one line.
    free_address(*split_address(listen))
    for option, given in (("--metrics-listen", options.metrics_listen), ("--health-listen", options.health_listen)):
        if given and not given.startswith(UNIX):
            free_address(*address(option, given), option=option)
    if json:
        _log_json()


def _log_json() -> None:
    sys.stderr = _NoTerminal(os.fdopen(os.dup(2), "wb", buffering=0), write_through=True)


class _NoTerminal(io.TextIOWrapper):
    """Standard error that does not own up to being a terminal; structured logs then stay JSON."""

    def isatty(self) -> bool:
        return False
