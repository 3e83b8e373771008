"""Processes that are there to be harmed: started, killed, frozen and thawed by name, and none left behind.

Unlike `cli.processes` nobody restarts what died: when it comes back is the fault's to say.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cli
from cli import tether
from cli.chaos import priority

GRACE_S = 8.0
POLL_S = 0.05
ROOT = str(Path(cli.__file__).resolve().parent.parent)
"""Where this code is; children run the same."""

TRUNKSHOW = (sys.executable, "-P", "-m", "cli.main")
"""The command line, as of here."""


async def spawn(
    command: Sequence[str],
    log: Path,
    *,
    piped: bool = False,
    limit: int = 1 << 16,
    environment: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """A child that cannot outlive us, its errors (and unless piped its output) in a log."""
    path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as opened:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command),
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            stdin=asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if piped else opened,
            stderr=opened,
            limit=limit,
            start_new_session=True,
        )


def bytecode(folder: Path) -> Mapping[str, str]:
    """For the environment of a process that is killed and started again: it need not be compiled at every start.

    What is installed is compiled already, and a checkout at its first start; unless our own environment forbids to
    write that beside the sources: then it is kept in a folder.
    """
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}


async def start_together(bodies: Mapping[str, Body], names: Iterable[str]) -> None:
    """Bring these to life at once, by name; of what lives of the same kind, they take nothing.

    Where nothing of their kind lives, such as after a power cut, each has a processor like any other: else the first
    that serves would have it all for what it does beside, and those that start would wait for that.
    """
    kinds = {_kind(name) for name, body in bodies.items() if body.lives}
    await asyncio.gather(*(bodies[name].start(gives_way=_kind(name) in kinds) for name in names))


def _kind(name: str) -> str:
    return name.partition("-")[0]


class Body:
    """One process of the cluster, living or dead.

    Attributes:
        name: such as shard-0.
        log: file that it writes to, all of its lives.
        wrapper: a command that its next life runs under.

    Args:
        command: program and arguments.
        environment: added to ours.
        serves: whether it has begun to serve (`cli.chaos.starting`); until then it gives way to all others. None for
            one that does at once.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        serves: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self.wrapper: Sequence[str] = ()
        self._environment = environment
        self._serves = serves
        self._beginning: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def lives(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of its present life; 0 where it is dead."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def start(self, *, gives_way: bool = True) -> None:
        """Bring it to life, unless it lives.

        Args:
            gives_way: until it serves, where it does not at once.
        """
        if self.lives:
            return
        starting = asyncio.ensure_future(
            spawn((*self.wrapper, *self._command), self.log, environment=self._environment)
        )
        try:
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._process = await starting  # it lives by now, whoever does not want it any more
            raise
        if gives_way and self._serves is not None and priority.can_let_go():
            priority.hold_back(self._process.pid)
            self._beginning = asyncio.create_task(self._begun(self._process, self._serves))

    async def _begun(self, process: asyncio.subprocess.Process, serves: Callable[[], Awaitable[bool]]) -> None:
        """Let it go once it serves, or not at all where it ends before that."""
        while process.returncode is None:
            if await serves():
                priority.let_go(process.pid)
                return
            await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """SIGKILL, which also ends one that is frozen."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            await self._process.wait()
        if self._beginning is not None:
            self._beginning.cancel()

    async def stop(self) -> None:
        """SIGTERM and a grace; then SIGKILL."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._process.wait()), GRACE_S)
        await self.kill()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections, and says nothing more."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
