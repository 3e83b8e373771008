"""A process that starts takes nothing from those that serve, and goes on like them once it serves."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cli.addresses import free_address
from cli.chaos import priority
from cli.chaos.processes import Body, start_together
from cli.chaos.starting import listens

WITHIN_S = 60.0
SERVER = """
import socket, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
open(sys.argv[1]).read()
host, port = sys.argv[2].split(":")
served = socket.create_server((host, int(port)))
threading.Event().wait()
"""


@pytest.mark.skipif(not priority.can_let_go(), reason="only who may raise priorities holds anybody back")
async def test_a_process_gives_way_until_it_serves(tmp_path: Path) -> None:
    begun, address = tmp_path / "begun", free_address()
    os.mkfifo(begun)
    body = Body(
        "server",
        (sys.executable, "-c", SERVER, str(begun), address),
        tmp_path / "log",
        serves=partial(listens, address),
    )
    await body.start()
    try:
        await _until(lambda: len(_threads(body.pid)) > 1)
        assert {_nice(thread) for thread in _threads(body.pid)} == {priority.NICE}
        begun.write_text("listen")
        await _until(lambda: {_nice(thread) for thread in _threads(body.pid)} == {_nice(0)})
    finally:
        await body.kill()


@pytest.mark.skipif(not priority.can_let_go(), reason="only who may raise priorities holds anybody back")
async def test_what_starts_with_all_of_its_kind_gives_way_to_none_of_them(tmp_path: Path) -> None:
    """After a power cut the first one that serves would have the processors, and the others wait for it."""
    begun = tmp_path / "begun"  # nothing is written there: nobody serves
    os.mkfifo(begun)
    bodies = {
        name: Body(
            name,
            (sys.executable, "-c", SERVER, str(begun), free_address()),
            tmp_path / name,
            serves=partial(listens, free_address()),
        )
        for name in ("shard-0", "shard-1", "router-0", "router-1")
    }
    await bodies["router-0"].start(gives_way=False)
    try:
        await start_together(bodies, ("shard-0", "shard-1", "router-1"))
        await _until(lambda: all(len(_threads(body.pid)) > 1 for body in bodies.values()))
        nice = {name: {_nice(thread) for thread in _threads(body.pid)} for name, body in bodies.items()}
        own = _nice(0)
        assert nice == {"shard-0": {own}, "shard-1": {own}, "router-0": {own}, "router-1": {priority.NICE}}
    finally:
        for body in bodies.values():
            await body.kill()


async def test_one_that_never_listens_is_ended_all_the_same(tmp_path: Path) -> None:
    body = Body("server", (sys.executable, "-c", ""), tmp_path / "log", serves=partial(listens, free_address()))
    await body.start()
    await _until(lambda: not body.lives)
    await body.kill()


def test_to_ask_whether_priorities_can_be_raised_changes_none() -> None:
    before = _nice(threading.get_native_id())
    priority.can_let_go.cache_clear()
    priority.can_let_go()
    assert _nice(threading.get_native_id()) == before


def _threads(pid: int) -> list[int]:
    return [int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()]


def _nice(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


async def _until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not reached():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.01)
