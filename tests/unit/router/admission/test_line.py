"""Where users of batches wait for room beside pages: in turn, for a moment, and not once pages are turned away."""

from __future__ import annotations

import asyncio

import pytest

from router.admission import line
from router.admission.limit import Bounds
from router.admission.limiter import Limiter
from router.admission.line import Line, Lines, line_alone

LONG_S = 20.0
"""For tests in which it does not come to that."""


def limiter_of(limit: int, *, pages: int = 0) -> Limiter:
    """One with so many pages in flight."""
    limiter = Limiter(Bounds(goal_ms=60, start=limit))
    for _ in range(pages):
        assert limiter.admit()
    return limiter


async def begun(*waiting: asyncio.Future[bool]) -> None:
    """They have looked whether there is room."""
    del waiting
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_came_first_gets_the_room_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is let in before them who came later."""
    monkeypatch.setattr(line, "WAIT_S_MAX", LONG_S)
    limiter = limiter_of(8)
    together = Line(limiter)
    assert await together.room(32, LONG_S)
    first, second = (asyncio.ensure_future(together.room(32, LONG_S)) for _ in range(2))
    await begun(first, second)
    assert not (first.done() or second.done())
    together.leave()
    third = asyncio.ensure_future(together.room(32, LONG_S))
    assert await first
    assert not (second.done() or third.done())
    together.leave()
    assert await second
    assert not third.done()
    together.leave()
    assert await third
    assert limiter.shed_of_batches == 0


async def test_once_a_page_is_turned_away_nobody_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is more to do than can be done, and pages come first."""
    monkeypatch.setattr(line, "WAIT_S_MAX", LONG_S)
    limiter = limiter_of(8, pages=8)
    together = Line(limiter)
    assert await together.room(4, LONG_S)
    waiting = [asyncio.ensure_future(together.room(4, LONG_S)) for _ in range(3)]
    await begun(*waiting)
    assert not any(one.done() for one in waiting)
    assert not limiter.admit()
    async with asyncio.timeout(LONG_S / 2):
        assert not any([await one for one in waiting])
    assert limiter.shed_of_batches == 12


@pytest.mark.parametrize(("within_s", "wait_s_max"), [(0.0, LONG_S), (LONG_S, 0.0)])
async def test_who_has_waited_long_enough_is_turned_away(
    monkeypatch: pytest.MonkeyPatch, within_s: float, wait_s_max: float
) -> None:
    """By the line's measure, or the batch's own time; who comes next finds the room that was not taken."""
    monkeypatch.setattr(line, "WAIT_S_MAX", wait_s_max)
    together = Line(limiter_of(8, pages=8))
    assert await together.room(4, within_s)
    assert not await together.room(4, within_s)
    together.leave()
    assert await together.room(4, within_s)


async def test_the_line_is_of_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that nobody waits."""
    monkeypatch.setattr(line, "WAITING_MAX", 2)
    monkeypatch.setattr(line, "WAIT_S_MAX", LONG_S)
    together = Line(limiter_of(8, pages=8))
    assert await together.room(1, LONG_S)
    waiting = [asyncio.ensure_future(together.room(1, LONG_S)) for _ in range(2)]
    await begun(*waiting)
    assert not await together.room(1, LONG_S)
    for one in waiting:
        one.cancel()


async def test_who_leaves_while_he_waits_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller who hangs up takes no room along."""
    monkeypatch.setattr(line, "WAIT_S_MAX", LONG_S)
    limiter = limiter_of(8, pages=8)
    together = Line(limiter)
    assert await together.room(4, LONG_S)
    first, second = (asyncio.ensure_future(together.room(4, LONG_S)) for _ in range(2))
    await begun(first, second)
    first.cancel()
    together.leave()
    assert await second
    assert limiter.of_batches == line.CALL_SLATES


async def test_beside_a_page_one_is_asked_for_alone_at_a_time_else_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all batches together."""
    monkeypatch.setattr(line, "WAIT_S_MAX", 0.0)
    limiter = limiter_of(64)
    alone = line_alone(limiter)
    assert [await alone.room(1, LONG_S) for _ in range(5)] == [True] * 4 + [False]
    limiter.admit()
    for _ in range(3):
        alone.leave()
    assert not await alone.room(1, LONG_S)
    alone.leave()
    assert await alone.room(1, LONG_S)


async def test_one_call_to_each_shard_may_always_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pages have, and whoever waits for another shard; lines that nobody uses are not kept for ever."""
    monkeypatch.setattr(line, "WAIT_S_MAX", 0.0)
    monkeypatch.setattr(line, "LINES_MAX", 2)
    lines = Lines(limiter_of(8, pages=8))
    assert [await lines.to(address).room(4, LONG_S) for address in "abab"] == [True, True, False, False]
    lines.to("b").leave()
    assert await lines.to("c").room(4, LONG_S)
    assert not await lines.to("a").room(4, LONG_S)
