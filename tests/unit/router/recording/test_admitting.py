"""Calls of events that come beside pages: one after the other, with rests between them, and not all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from router.recording.admitting import (
    AHEAD_S,
    ASK_AGAIN_MS,
    BYTES_PER_S,
    BYTES_PER_S_MAX,
    MAX_AFTER_S,
    WAITING_BYTES_MAX,
    Admitting,
)
from trunkshow.errors import Overloaded

WITHIN_S = 60.0
CALL_BYTES = 256 << 10


class World:
    """Pages and events of a router; sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pages = 0
        self.pages_come = True
        self.admitted: list[tuple[str, float]] = []
        self.waking = asyncio.Event()
        self.waking.set()
        self.admitting = Admitting(lambda: self.pages, lambda: self.now, self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Until the test lets whoever sleeps wake."""
        await asyncio.sleep(0)
        await self.waking.wait()
        self.now += seconds
        self.pages += self.pages_come

    async def record(self, name: str, size: int = CALL_BYTES, within_s: float = WITHIN_S) -> None:
        """A call of events."""
        await self.admitting.turn(size, within_s)
        self.admitted.append((name, self.now))

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
    """As long as the rate says, and less the longer there are some that wait."""
    await world.all_at_once(*"abcdef")
    assert [name for name, _ in world.admitted] == list("abcdef")
    rests = [later - earlier for (_, earlier), (_, later) in pairwise(world.admitted)]
    assert rests[0] == pytest.approx(CALL_BYTES / BYTES_PER_S - AHEAD_S)
    assert CALL_BYTES / BYTES_PER_S_MAX < rests[-1] < CALL_BYTES / BYTES_PER_S
    assert all(later < earlier for earlier, later in pairwise(rests[1:]))


async def test_where_no_page_is_asked_for_nobody_waits(world: World) -> None:
    """However many there are."""
    await asyncio.gather(*map(world.record, "abcdef"))
    assert [at for _, at in world.admitted] == [0.0] * 6


async def test_once_pages_stop_who_waits_does_so_no_longer(world: World) -> None:
    """What was to be rested for them is over with them."""
    world.pages_come = False
    world.pages += 1
    await world.record("a", 1 << 30)
    waiting = asyncio.ensure_future(world.record("b", within_s=0.4))
    world.now += 2.0
    await waiting
    assert world.admitted[1] == ("b", 2.0)


async def test_ordinary_events_hardly_wait(world: World) -> None:
    """Ten of a hundred bytes in each of 200 calls a second."""
    for number in range(200):
        world.pages += 1
        await world.record(str(number), 1_000)
        world.now += 0.005
    assert world.now == pytest.approx(1.0)


async def test_many_small_calls_at_one_moment_do_not_wait_for_a_timer_each(world: World) -> None:
    """Two hundred of a hundred bytes put off by a hundredth of a second in all."""
    world.waking.clear()
    world.pages += 1
    await asyncio.gather(*(world.record(str(number), 100) for number in range(200)))
    assert len(world.admitted) == 200


async def test_who_comes_faster_for_long_is_admitted_much_faster(world: World) -> None:
    """Else what waits would grow for ever."""
    calls = WAITING_BYTES_MAX // CALL_BYTES
    world.waking.clear()
    await world.all_at_once("first")
    waiting = asyncio.gather(*(world.record(str(number)) for number in range(calls)))
    await turns(lambda: world.admitting._waiting == calls)
    world.now += MAX_AFTER_S
    world.pages += 1
    world.waking.set()
    await waiting
    took_s = world.admitted[-1][1] - world.admitted[1][1]
    assert took_s == pytest.approx((calls - 1) * CALL_BYTES / BYTES_PER_S_MAX - AHEAD_S)


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
    assert [name for name, _ in world.admitted] == ["first", "large"]


async def test_who_would_wait_for_too_long_is_told_to_send_again(world: World) -> None:
    """Half of what the call has, at most; nothing of it is left behind."""
    world.waking.clear()
    world.pages += 1
    await world.record("first")
    with pytest.raises(Overloaded):
        await world.record("in a hurry", within_s=0.002)
    assert (world.admitting._waiting, world.admitting._waiting_bytes) == (0, 0)
    world.waking.set()
    await world.record("second")
    assert [name for name, _ in world.admitted] == ["first", "second"]
