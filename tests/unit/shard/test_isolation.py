"""A plugged-in model has a few threads and a limited time, and whoever asks never waits for longer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from shard.isolation import QUEUE_ITEMS_MAX, Lane
from trunkshow.candidates import Late

AT_ONCE_S = 0.001
"""For what will never come."""
SURELY_S = 30.0
"""For what comes at once."""


class Gate:
    """Work that lasts until the gate is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.began = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def __call__(self) -> str:
        """Wait for the gate."""
        self.began.release()
        self.open.wait(SURELY_S)
        self.ended.release()
        return "through"


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Open at the end, whatever happened: no thread stays behind."""
    made = Gate()
    yield made
    made.open.set()


async def late(lane: Lane, work: Gate) -> None:
    """Ask for what is late, and see its thread begin."""
    with pytest.raises(Late):
        await asyncio.gather(lane.ask(work, 0.05), asyncio.to_thread(work.began.acquire, timeout=SURELY_S))


async def recovered(lane: Lane) -> None:
    """Wait until no thread is stuck."""
    for _ in range(60_000):
        if not lane.stuck:
            return
        await asyncio.sleep(0.001)
    raise AssertionError


async def test_an_answer_comes_from_another_thread() -> None:
    """The loop's own is left alone."""
    assert await Lane("m").ask(threading.get_ident, SURELY_S) != threading.get_ident()


async def test_what_the_work_raises_comes_back() -> None:
    """As it was raised."""

    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Lane("m").ask(broken, SURELY_S)


async def test_who_is_late_is_not_waited_for(gate: Gate) -> None:
    """The caller goes on, the thread is counted as stuck."""
    lane = Lane("m", threads=1)
    await late(lane, gate)
    assert lane.stuck == 1


async def test_while_every_thread_is_stuck_the_model_is_late_at_once(gate: Gate) -> None:
    """Nobody is queued behind what may never end."""
    lane = Lane("m", threads=2)
    await late(lane, gate)
    await late(lane, gate)
    with pytest.raises(Late, match="all of its 2 threads are stuck"):
        await lane.ask(lambda: "never", SURELY_S)


async def test_a_model_recovers_when_a_thread_returns(gate: Gate) -> None:
    """The same thread answers again."""
    lane = Lane("m", threads=1)
    await late(lane, gate)
    gate.open.set()
    await recovered(lane)
    assert await lane.ask(lambda: "again", SURELY_S) == "again"


async def test_one_model_that_is_stuck_takes_nothing_from_another(gate: Gate) -> None:
    """Each has its own threads."""
    await late(Lane("stuck", threads=1), gate)
    assert await Lane("other", threads=1).ask(lambda: "well", SURELY_S) == "well"


async def test_what_waited_in_vain_is_never_asked(gate: Gate) -> None:
    """A late answer to nobody would be work for nothing."""
    lane, asked = Lane("m", threads=1), []
    first = asyncio.ensure_future(lane.ask(gate, SURELY_S))
    await asyncio.to_thread(gate.began.acquire, timeout=SURELY_S)
    with pytest.raises(Late):
        await lane.ask(lambda: asked.append("behind"), AT_ONCE_S)
    gate.open.set()
    await first
    assert (await lane.ask(lambda: "last", SURELY_S), asked) == ("last", [])


async def test_the_queue_is_short(gate: Gate) -> None:
    """One more than fits is late at once, and those that fit are answered."""
    lane = Lane("m", threads=1)
    asked = [asyncio.ensure_future(lane.ask(gate, SURELY_S)) for _ in range(1 + QUEUE_ITEMS_MAX)]
    await asyncio.to_thread(gate.began.acquire, timeout=SURELY_S)
    with pytest.raises(Late, match="waiting already"):
        await lane.ask(gate, SURELY_S)
    gate.open.set()
    assert set(await asyncio.gather(*asked)) == {"through"}


async def test_who_leaves_makes_a_thread_stuck_until_it_returns(gate: Gate) -> None:
    """A cancelled request does not wait either."""
    lane = Lane("m", threads=1)
    asked = asyncio.ensure_future(lane.ask(gate, SURELY_S))
    await asyncio.to_thread(gate.began.acquire, timeout=SURELY_S)
    asked.cancel()
    await asyncio.wait({asked})
    stuck = lane.stuck
    gate.open.set()
    await recovered(lane)
    assert (asked.cancelled(), stuck) == (True, 1)


async def test_a_thread_without_work_ends_and_another_begins() -> None:
    """Snapshots come and go; what they started goes with them."""
    lane = Lane("m", idle_s=AT_ONCE_S)
    await lane.ask(lambda: "first", SURELY_S)
    for _ in range(60_000):
        if not lane.threads:
            break
        await asyncio.sleep(0.001)
    assert (lane.threads, await lane.ask(lambda: "again", SURELY_S)) == (0, "again")


def test_a_thread_may_ask_as_well(gate: Gate) -> None:
    """Warming up does; it does not wait for longer either."""
    lane = Lane("m", threads=2)
    with pytest.raises(Late):
        lane.ask_blocking(gate, AT_ONCE_S)
    assert lane.ask_blocking(lambda: "well", SURELY_S) == "well"


async def test_a_thread_that_cannot_be_started_costs_one_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is late then; once there are threads again, all of its own are there to be had."""

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lane = Lane("model", threads=1)
    with monkeypatch.context() as short, pytest.raises(Late, match="can't start new thread"):
        short.setattr(threading.Thread, "start", none)
        await lane.ask(gate, SURELY_S)
    gate.open.set()
    assert (lane.threads, await lane.ask(gate, SURELY_S), lane.threads) == (0, "through", 1)


async def test_where_one_thread_is_to_be_had_it_does_the_work_of_all(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, but not late at once."""

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lane = Lane("model", threads=2)
    first = asyncio.ensure_future(lane.ask(gate, SURELY_S))
    await asyncio.to_thread(gate.began.acquire, timeout=SURELY_S)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", none)
        second = asyncio.ensure_future(lane.ask(gate, SURELY_S))
        await asyncio.sleep(0)
    gate.open.set()
    assert (await first, await second, lane.threads) == ("through", "through", 1)
