"""A peer's server process: started, waited for, weighed with its descendants, and ended by its own pid.

Standard library alone: it runs in peers' environments. The kernel ends a server whose host died (prctl(2), Linux).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_S_MAX = 90.0
STOP_S_MAX = 15.0
LOOPBACK = "127.0.0.1"

_PR_SET_PDEATHSIG = 1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _CHILDREN_TICKS_END = 11, 15
_PARENT, _STARTED = 1, 19


class DidNotStart(Exception):
    """A server ended, or did not listen in time; what it said last stands in the message."""


class Server:
    """A process that serves.

    Args:
        command: to run.
        log: file for what it says.
        environ: beside this process's own.
        user: to run as, where this process may choose; its own otherwise.
        folder: to run in; this process's where None.
        ending: the signal that asks it to end.
        ending_s: that it gets to do so.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
        folder: Path | None = None,
        ending: signal.Signals = signal.SIGTERM,
        ending_s: float = STOP_S_MAX,
    ) -> None:
        self._log, self._ending, self._ending_s = log, ending, ending_s
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environ or {})},
                user=user if os.geteuid() == 0 else None,
                preexec_fn=_end_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its own."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor seconds of it and its descendants."""
        return cpu_s(self.pid)

    async def listens(self, port: int) -> None:
        """Return once it takes connections.

        Raises:
            DidNotStart: it ended, or took too long.
        """
        until = time.monotonic() + START_S_MAX
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(LOOPBACK, port)
                writer.close()
                return
            await asyncio.sleep(0.05)
        raise DidNotStart(self.last_words())

    def last_words(self) -> str:
        """The end of what it said."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:] or "it said nothing"

    def stop(self) -> None:
        """End it and its descendants."""
        family = descendants(self.pid)
        self._process.send_signal(self._ending)
        try:
            self._process.wait(self._ending_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        kill(family)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Processor seconds of a process, of those that it started, and of what these left behind when they ended."""
    ticks = sum(map(int, _stat(pid)[_USER_TICKS:_CHILDREN_TICKS_END]))
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, _stat(child)[_USER_TICKS:_CHILDREN_TICKS_END]))
    return ticks / _TICKS_PER_S


def descendants(pid: int) -> dict[int, str]:
    """Processes below one, each with when it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[_PARENT]), []).append(int(entry.name))
    found, left = {}, list(children.get(pid, ()))
    while left:
        one = left.pop()
        found[one] = _started(one)
        left += children.get(one, ())
    return found


def kill(family: Mapping[int, str]) -> None:
    """End what is left of processes, each known with when it started: another one may have its number by now."""
    for pid, started in family.items():
        if started == _started(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _started(pid: int) -> str:
    try:
        return _stat(pid)[_STARTED]
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
