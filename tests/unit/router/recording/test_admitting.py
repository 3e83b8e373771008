"""Calls of events that come beside pages: one after the other, with rests between them, and not all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from router.recording.admitting import ASK_AGAIN_MS, SHARE, SHARE_MAX_AFTER_S, WAITING_BYTES_MAX, Admitting
from trunkshow.errors import Overloaded

WITHIN_S = 60.0


class World:
    """Pages and events of a router; to check a call's events takes a hundredth of a second, and sleeping no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pages = 0
        self.pages_come = True
        self.done: list[tuple[str, float]] = []
        self.waking = asyncio.Event()
        self.waking.set()
        self.admitting = Admitting(lambda: self.pages, lambda: self.now, self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Until the test lets whoever sleeps wake."""
        await asyncio.sleep(0)
        await self.waking.wait()
        self.now += seconds
        self.pages += self.pages_come

    async def record(self, name: str, size: int = 1) -> None:
        """A call of events."""
        async with self.admitting.admitted(size, WITHIN_S):
            self.done.append((name, self.now))
            self.now += 0.01

    async def all_at_once(self, *names: str) -> None:
        """Calls that come at one moment, in this order, a page having just been asked for."""
        self.pages += 1
        await asyncio.gather(*map(self.record, names))


@pytest.fixture
def world() -> World:
    return World()


async def turns(until: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError


async def test_where_pages_are_asked_for_calls_come_in_turn_with_rests_between_them(world: World) -> None:
    """A twentieth of the time at first, and the more the longer there are some that wait."""
    await world.all_at_once(*"abcdef")
    assert [name for name, _ in world.done] == list("abcdef")
    rests = [later - earlier - 0.01 for (_, earlier), (_, later) in pairwise(world.done)]
    assert rests[0] == pytest.approx(0.01 * (1 / SHARE - 1))
    assert all(later < earlier for earlier, later in pairwise(rests))


async def test_where_no_page_is_asked_for_nobody_waits(world: World) -> None:
    """However many there are."""
    await asyncio.gather(*map(world.record, "abcdef"))
    assert [at for _, at in world.done] == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.05])


async def test_once_pages_stop_who_waits_does_so_no_longer(world: World) -> None:
    """What was to be rested for them is over with them."""
    world.pages_come = False
    world.pages += 1
    await world.record("a")
    world.now += 10
    await world.record("b")
    assert world.done[1][1] == pytest.approx(10.01)


async def test_what_comes_alone_beside_pages_is_admitted_at_once(world: World) -> None:
    """Rests are between calls, and after this one nobody comes."""
    for name in "abc":
        world.pages += 1
        await world.record(name)
        world.now += 0.5
    assert [at for _, at in world.done] == pytest.approx([0, 0.51, 1.02])


async def test_a_steady_stream_gets_as_much_as_it_needs(world: World) -> None:
    """Calls wait all the time, and after a while hardly rest: else what waits would grow for ever."""
    waiting = [asyncio.ensure_future(world.record(str(number))) for number in range(3_000)]
    world.pages += 1
    await asyncio.gather(*waiting)
    late = [at for _, at in world.done if at > SHARE_MAX_AFTER_S]
    assert late[-1] - late[0] == pytest.approx(0.01 * (len(late) - 1), rel=0.05)


async def test_more_than_may_wait_is_told_to_send_again(world: World) -> None:
    """At once; what waits already keeps its place, and so does one that is larger than all that may wait."""
    world.waking.clear()
    world.pages += 1
    await world.record("first")
    large = asyncio.ensure_future(world.record("large", 2 * WAITING_BYTES_MAX))
    await turns(lambda: bool(world.admitting._waiting))
    with pytest.raises(Overloaded) as caught:
        await world.record("one too many")
    assert (caught.value.reason, caught.value.retry_after_ms) == ("LOG_FULL", ASK_AGAIN_MS)
    world.waking.set()
    await large
    assert [name for name, _ in world.done] == ["first", "large"]


async def test_who_would_wait_for_too_long_is_told_to_send_again(world: World) -> None:
    """Half of what the call has, at most; nothing of it is left behind."""
    world.waking.clear()
    world.pages += 1
    await world.record("first")
    with pytest.raises(Overloaded):
        async with world.admitting.admitted(1, 0.002):
            raise AssertionError("it was not its turn")
    assert (world.admitting._waiting, world.admitting._waiting_bytes) == (0, 0)
    world.waking.set()
    await world.record("second")
    assert [name for name, _ in world.done] == ["first", "second"]


async def test_a_check_that_fails_counts_as_one_that_does_not(world: World) -> None:
    """It took as long."""
    world.pages += 1
    with pytest.raises(ZeroDivisionError):
        async with world.admitting.admitted(1, WITHIN_S):
            world.now += 0.01
            raise ZeroDivisionError
    await world.record("next")
    assert world.done[0][1] == pytest.approx(0.01 / SHARE)
