"""The supervisor, over small child processes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.processes import Child, ChildGaveUp, Supervisor

WAIT = "import signal; signal.pause()"
# Ignores SIGTERM, and says so by a named pipe.
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open({told!r}, "w") as pipe:
    pipe.write("deaf")
signal.pause()
"""
ROOT = Path(__file__).resolve().parents[3]

# A whole supervisor in a process of its own, which can be killed.
SUPERVISE = f"""
import asyncio, sys
from cli.processes import Child, Supervisor
say = lambda event, **details: print(details.get("pid", ""), flush=True)
asyncio.run(Supervisor([Child("one", (sys.executable, "-c", {WAIT!r}))], say).run())
"""


def child(name: str, code: str, log: Path | None = None) -> Child:
    return Child(name, (sys.executable, "-S", "-c", code), log=log)


class Heard:
    """The events that a supervisor told of, and a way to wait for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    def __call__(self, event: str, **details: Any) -> None:
        self.events.append((event, details))
        self._changed.set()

    def named(self, event: str) -> list[dict[str, Any]]:
        return [details for name, details in self.events if name == event]

    async def until(self, event: str, times: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while len(self.named(event)) < times:
                self._changed.clear()
                await self._changed.wait()
        return self.named(event)[times - 1]


@asynccontextmanager
async def kept(heard: Heard, *children: Child, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Supervisor(children, heard, **options).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def gone(pid: int) -> None:
    """Return once no process has this id; fails after a minute."""
    opened = os.pidfd_open(pid)
    try:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(opened, ended.set)
        await asyncio.wait_for(ended.wait(), 60)
        loop.remove_reader(opened)
    finally:
        os.close(opened)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_cancelling_ends_every_child() -> None:
    """When the supervisor is cancelled all of its children are gone by the time it returns."""
    heard = Heard()
    async with kept(heard, child("one", WAIT), child("two", WAIT)):
        await heard.until("child.started", 2)
        pids = [details["pid"] for details in heard.named("child.started")]
        assert all(map(lives, pids))
    assert not any(map(lives, pids))


async def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed once the grace has passed."""
    heard, told = Heard(), tmp_path / "told"
    os.mkfifo(told)
    async with kept(heard, child("deaf", DEAF.format(told=str(told))), grace_s=0.1):
        pid = (await heard.until("child.started"))["pid"]
        assert await asyncio.to_thread(told.read_text) == "deaf"
    assert not lives(pid)


async def test_hurry_skips_the_grace(tmp_path: Path) -> None:
    """A second signal ends the grace: a deaf child is killed at once."""
    heard, told, hurry = Heard(), tmp_path / "told", asyncio.Event()
    os.mkfifo(told)
    hurry.set()
    deaf = child("deaf", DEAF.format(told=str(told)))
    async with asyncio.timeout(60), kept(heard, deaf, grace_s=3600, hurry=hurry):
        pid = (await heard.until("child.started"))["pid"]
        assert await asyncio.to_thread(told.read_text) == "deaf"
    assert not lives(pid)


async def test_a_child_that_dies_is_started_again() -> None:
    """A child that is killed is said to have died, and another takes its place after the backoff."""
    heard, slept = Heard(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with kept(heard, child("one", WAIT), sleep=sleep):
        first = await heard.until("child.started")
        os.kill(first["pid"], signal.SIGKILL)
        second = await heard.until("child.started", 2)
        assert lives(second["pid"])
    assert heard.named("child.died") == [{"child": "one", "exit_code": -9, "restart_in_s": slept[0]}]


async def test_a_child_with_wrong_input_ends_the_rest(tmp_path: Path) -> None:
    """A child that exits with 2 before the cluster is up is given up, its last words are told, and the others end."""
    heard = Heard()
    wrong = child(
        "wrong",
        "import sys; print('no such store'); sys.exit(2)",
        tmp_path / "log",
    )
    with pytest.raises(ChildGaveUp, match=r"wrong: .*no such store"):
        await Supervisor([child("fine", WAIT), wrong], heard).run()
    assert not any(lives(details["pid"]) for details in heard.named("child.started"))


def test_the_last_error_of_a_log(tmp_path: Path) -> None:
    """The last event that is an error counts, whatever was logged after it; lines that are no JSON are left out."""
    log = tmp_path / "log"
    first, second = ({"event": "partition.refused", "level": "error", "error": f"bad {number}"} for number in (1, 2))
    info = {"event": "partition.warm", "level": "info", "error": ""}
    log.write_text("".join(f"{line}\n" for line in [*map(json.dumps, (first, second, info)), "warning: no JSON", "17"]))
    assert Child("one", (), log=log).last_error() == "partition.refused: bad 2"
    assert Child("none", (), log=tmp_path / "missing").last_error() == ""


async def test_children_do_not_outlive_a_supervisor_that_was_killed() -> None:
    """Even SIGKILL to the supervisor leaves no child behind."""
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert supervisor.stdout is not None
    try:
        pid = int(await asyncio.wait_for(supervisor.stdout.readline(), 60))
        left = asyncio.create_task(gone(pid))
        await asyncio.sleep(0)
    finally:
        supervisor.kill()
        await supervisor.wait()
    await left
