"""Processes that are there to be harmed: started, killed, frozen and thawed by name, and none left behind.

Unlike `cli.processes` nobody restarts what died: when it comes back is the fault's to say.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cli
from cli import tether

GRACE_S = 8.0
NICE = 19
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


def give_way() -> None:
    """Let every other process of this machine go first, from now on."""
    os.nice(NICE)
    if sys.platform == "linux":  # stronger than any niceness: whoever else wakes up takes the processor at once
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        os.setsid()  # who leads a session already has one of its own
    with suppress(OSError):  # where Linux groups sessions, a process's own niceness counts in its group alone: sched(7)
        Path("/proc/self/autogroup").write_text(f"{NICE}\n")


class Body:
    """One process of the cluster, living or dead.

    Attributes:
        name: such as shard-0.
        log: file that it writes to, all of its lives.
        wrapper: a command that its next life runs under.

    Args:
        command: program and arguments.
        environment: added to ours.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self.wrapper: Sequence[str] = ()
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def lives(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of its present life; 0 where it is dead."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def start(self) -> None:
        """Bring it to life, unless it lives."""
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

    async def kill(self) -> None:
        """SIGKILL, which also ends one that is frozen."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            await self._process.wait()

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
