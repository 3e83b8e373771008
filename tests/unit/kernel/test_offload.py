"""Blocking calls that may hang: what comes back, what is left to itself, and that it is not left behind for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import weakref

import pytest

from trunkshow.offload import Offload, Stuck


async def test_a_call_returns_what_it_returns() -> None:
    """From another thread than the event loop's."""
    where = await Offload[int]("test").run(threading.get_ident, 5)
    assert where != threading.get_ident()


async def test_a_call_raises_what_it_raises() -> None:
    """An error arrives as itself."""

    def fail() -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        await Offload[None]("test").run(fail, 5)


async def test_a_call_that_hangs_is_given_up_and_no_other_is_begun_meanwhile() -> None:
    """One thread hangs, not one more with every try; once it returned, calls are made again."""
    released = threading.Event()
    late: asyncio.Queue[str] = asyncio.Queue()
    offload = Offload[str]("test", late=late.put_nowait)

    def hang() -> str:
        released.wait(60)
        return "late"

    with pytest.raises(Stuck, match=r"within 0\.01 s"):
        await offload.run(hang, 0.01)
    with pytest.raises(Stuck, match="earlier call"):
        await offload.run(lambda: "never begun", 5)
    released.set()
    assert await late.get() == "late"
    assert await offload.run(lambda: "again", 5) == "again"


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    """Where a thread pool's would be waited for."""
    program = """
import asyncio, threading
from trunkshow.offload import Offload, Stuck
async def main():
    try:
        await Offload("test").run(threading.Event().wait, 0.01)
    except Stuck:
        print("given up")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "given up\n"


async def test_a_thread_that_cannot_be_started_is_no_fault_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of what it would have come to, and the next one is begun."""

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    offload: Offload[int] = Offload("test")
    with monkeypatch.context() as short, pytest.raises(Stuck, match="can't start new thread"):
        short.setattr(threading.Thread, "start", none)
        await offload.run(lambda: 1, 5)
    assert await offload.run(lambda: 2, 5) == 2


async def test_calls_that_follow_one_another_share_a_thread() -> None:
    """To start one for each would hold up the event loop as often."""
    offload = Offload[threading.Thread]("test")
    first = await offload.run(threading.current_thread, 5)
    assert all([await offload.run(threading.current_thread, 5) is first for _ in range(20)])


async def test_calls_at_the_same_time_have_a_thread_each() -> None:
    """One that takes long holds up no other."""
    offload, released = Offload[bool]("test", stuck_max=2), threading.Event()
    waiting = asyncio.ensure_future(offload.run(lambda: released.wait(60), 60))
    await asyncio.sleep(0)

    def release() -> bool:
        released.set()
        return True

    assert await offload.run(release, 5)
    assert await waiting


async def test_a_thread_that_nobody_needs_ends_and_the_next_call_has_another() -> None:
    """A process that opened a snapshot once keeps no thread for it."""
    offload = Offload[threading.Thread]("test", idle_s=0.01)
    first = await offload.run(threading.current_thread, 5)
    await asyncio.to_thread(first.join, 5)
    assert not first.is_alive()
    assert await offload.run(threading.current_thread, 5) is not first


async def test_what_a_call_returned_is_not_held_on_to() -> None:
    """A snapshot would stay mapped for as long as the thread waits."""
    offload = Offload[set[int]]("test")
    returned = await offload.run(lambda: set[int](), 5)
    gone = threading.Event()
    weakref.finalize(returned, gone.set)
    del returned
    assert await asyncio.to_thread(gone.wait, 5)
