"""Child processes, kept alive and never left behind: started, restarted as `cli.restarts` decides, and ended together.

Cancelling `supervise` ends every child: SIGTERM, a grace, SIGKILL. Should this very process be killed, the kernel
ends them (`cli.tether`). Which processes make a cluster is left to `cli.cluster`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli import tether
from cli.restarts import GiveUp, Life, decide

GRACE_S = 8.0
"""Between SIGTERM and SIGKILL; more than the servers' own drain of 5 s."""

LIVES_MAX = 32
"""Lives remembered per child."""

LOG_TAIL_BYTES = 16_384

Say = Callable[..., None]
"""Told of an event: its dotted name, then key-values."""


class ChildGaveUp(Exception):
    """A child will not be started again; the message is one line for a person."""


@dataclass(frozen=True)
class Child:
    """A process to keep.

    Attributes:
        name: what it is called in events.
        command: program and arguments.
        environment: added to this process's own.
        log: file that its output goes to; this process's own stderr where None.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    def last_line(self) -> str:
        """The last line of its log, the likeliest place for why it died; empty where there is none."""
        return next(reversed(self._tail()), "")

    def last_error(self) -> str:
        """The last event of its log that is an error: its name, and what it says; empty where there is none."""
        return next(filter(None, map(_error, reversed(self._tail()))), "")

    def _tail(self) -> list[str]:
        if self.log is None or not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip().splitlines()


def _error(line: str) -> str:
    """What a line of JSON says, where it is an error that says something."""
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(event, dict) or event.get("level") not in {"error", "critical"} or "error" not in event:
        return ""
    return f"{event.get('event', 'error')}: {event['error']}"


class Supervisor:
    """Keeps children alive for as long as it runs.

    Attributes:
        pids: of the children that live, by name.

    Args:
        children: what to keep.
        say: told of every start and death.
        grace_s: between SIGTERM and SIGKILL.
        hurry: once set, the grace is over.
        sleep: a port: waits before a restart.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self,
        children: Sequence[Child],
        say: Say,
        *,
        grace_s: float = GRACE_S,
        hurry: asyncio.Event | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pids: dict[str, int] = {}
        self._children = children
        self._say = say
        self._grace_s = grace_s
        self._sleep = sleep
        self._clock = clock
        self._up = False
        self._hurry = hurry or asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._graces: dict[str, float] = {}

    def cluster_is_up(self) -> None:
        """From now on a death is an accident, not a misconfiguration."""
        self._up = True

    async def run(self) -> None:
        """Keep every child until cancelled; then end them all.

        Raises:
            ChildGaveUp: one is past help; the others were ended.
        """
        given_up: list[BaseException] = []
        try:
            async with self._group:
                for child in self._children:
                    self.add(child)
        except* ChildGaveUp as gave_up:
            given_up += gave_up.exceptions
        if given_up:  # raised out here: within, Python before 3.11.4 makes a group of it
            raise given_up[0]

    def add(self, child: Child) -> None:
        """Keep one more, while `run` runs."""
        self._keeping[child.name] = self._group.create_task(self._keep(child))

    async def remove(self, name: str, grace_s: float) -> None:
        """End one child for good, and return once it has ended.

        Args:
            name: of the child.
            grace_s: between SIGTERM and SIGKILL.
        """
        self._graces[name] = grace_s
        keeping = self._keeping.pop(name)
        keeping.cancel()
        await asyncio.wait({keeping})

    async def _keep(self, child: Child) -> None:
        lives: deque[Life] = deque(maxlen=LIVES_MAX)
        while True:
            lives.append(await self._live(child))
            decision = decide(lives)
            exit_code, why = lives[-1].exit_code, child.last_line()
            if isinstance(decision, GiveUp):
                self._say("child.gave_up", child=child.name, exit_code=exit_code, why=decision.why)
                raise ChildGaveUp(f"{child.name}: {decision.why}; its last words: {why or f'exit code {exit_code}'}")
            self._say("child.died", child=child.name, exit_code=exit_code, restart_in_s=decision.after_s)
            await self._sleep(decision.after_s)

    async def _live(self, child: Child) -> Life:
        """Run the child once, until it ends by itself, or, when this is cancelled, until it was ended."""
        began = self._clock()
        process = await _start(child)
        self.pids[child.name] = process.pid
        try:
            self._say("child.started", child=child.name, pid=process.pid)
            exit_code = await process.wait()
        finally:
            await asyncio.shield(self._end(process, self._graces.get(child.name, self._grace_s)))
            del self.pids[child.name]
        return Life(self._clock() - began, exit_code, self._up)

    async def _end(self, process: asyncio.subprocess.Process, grace_s: float) -> None:
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        ended = asyncio.ensure_future(process.wait())
        hurried = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            with suppress(ProcessLookupError):
                process.kill()
        await ended


async def _start(child: Child) -> asyncio.subprocess.Process:
    tethered = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *child.command)
    environment = {**os.environ, **child.environment}
    if child.log is None:
        return await _spawn(tethered, environment, None)
    child.log.parent.mkdir(parents=True, exist_ok=True)
    with child.log.open("ab") as log:
        return await _spawn(tethered, environment, log)


async def _spawn(command: Sequence[str], environment: Mapping[str, str], log: Any) -> asyncio.subprocess.Process:
    # A session of its own: Ctrl-C reaches this process alone, which then ends its children in order.
    return await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log if log is not None else sys.stderr.fileno(),
        stderr=log,
        start_new_session=True,
    )
