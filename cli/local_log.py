"""Which event log a local cluster records in: none, somebody's, or a NATS server of its own, kept like its shards.

A folder is one cluster's at a time: two servers on the same files would spoil them. Who holds it is a lock on a file in
it, which the kernel gives back however a process ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cli import nats
from cli.addresses import free_address, split_address
from cli.output import UsageError
from cli.processes import Child
from trunkshow.eventlog.opening import parse

NONE = "none"


@dataclass(frozen=True)
class LogPlan:
    """Which log.

    Attributes:
        url: somebody's; empty for none, or for one of its own.
        folder: of one of its own; None for none.
        listen: where that listens; port 0 takes a free one.
    """

    url: str = ""
    folder: Path | None = None
    listen: str = "127.0.0.1:0"


NO_LOG = LogPlan()


@dataclass(frozen=True)
class LocalLog:
    """A log that a cluster's processes can be told of.

    Attributes:
        url: its address; empty where there is none.
        child: the process to keep; None where it is not the cluster's own.
    """

    url: str = ""
    child: Child | None = None


NOWHERE = LocalLog()


def plan_of(wish: str, folder: Path, listen: str) -> LogPlan:
    """What is meant.

    Args:
        wish: empty for one of its own, `none`, or an address.
        folder: for one of its own.
        listen: where that listens.

    Raises:
        UsageError: it means nothing.
    """
    if wish == NONE:
        return NO_LOG
    if not wish:
        split_address(listen)
        return LogPlan(folder=folder, listen=listen)
    try:
        parse(wish)
    except ValueError as error:
        raise UsageError(f"--log: {error}") from None
    return LogPlan(url=wish)


@contextmanager
def held(plan: LogPlan, logs: Path | None) -> Iterator[LocalLog]:
    """The log of a cluster, for as long as that lasts.

    Args:
        plan: which.
        logs: folder for its output; this process's own stderr where None.

    Raises:
        UsageError: its folder is another cluster's, or cannot be written to; or the server is not installed.
    """
    if plan.folder is None:
        yield LocalLog(plan.url)
        return
    address = free_address(*split_address(plan.listen), option="--log-listen")
    with _alone_in(
        plan.folder
    ):  # before a word is written there: another cluster's server reads it when it starts again
        child = nats.child(plan.folder, address, logs and logs / "log.log")
        yield LocalLog(nats.url(address), child)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with _lock_of(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder} is the event log of another cluster that runs; choose another --log-folder, or --log none"
            ) from None
        yield


def _lock_of(folder: Path) -> TextIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "lock").open("a")
    except OSError as error:
        raise UsageError(f"{folder} does not take the event log: {error.strerror or error}") from error
