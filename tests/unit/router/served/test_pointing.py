"""The store's pointer is followed whatever the store does, and requests notice nothing of that."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from pointing_stage import Clock, Shop, following, heard, until
from structlog.testing import capture_logs

from router.served import pointing as pointing_module
from router.served.choosing import chosen
from router.served.keeper import HELD_S
from router.served.pointing import Pointing
from router.served.views import View, Views
from trunkshow.serving.deadline import monotonic
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import StoreUnreachable


async def test_a_version_that_is_promoted_is_served(shop: Shop) -> None:
    """With the one before it."""
    keeper, pointing = following(shop, Clock())
    shop.promote("v2")
    await heard(pointing, shop)
    assert keeper.now.current.version == "v2"
    assert keeper.now.previous is not None
    assert keeper.now.previous.version == "v1"


async def test_a_pointer_that_cannot_be_coped_with_is_looked_at_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in choosing what is served is logged, and the next pointer is followed."""
    broken = True

    def choosing(*arguments: Any) -> Views | None:
        if broken:
            raise RuntimeError("scripted")
        return chosen(*arguments)

    monkeypatch.setattr(pointing_module, "chosen", choosing)
    keeper, pointing = following(shop, Clock())
    with capture_logs() as logs:
        task = asyncio.ensure_future(pointing.follow())
        await until(lambda: any(one["event"] == "pointing.failed" for one in logs))
    broken = False
    shop.promote("v2")
    await until(lambda: keeper.now.current.version == "v2")
    task.cancel()


async def test_a_version_that_was_opened_twice_is_held_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try took so long that there was a second, and came to its end after all; the other one is closed."""
    monkeypatch.setattr(pointing_module, "OPEN_WITHIN_S", 0.0)
    clock = Clock()
    keeper, pointing = following(shop, clock)
    made: list[View] = []
    closed: list[View] = []
    go = threading.Event()
    whole = shop.open

    def slow(version: str) -> View:
        go.wait(60)
        view = whole(version)
        monkeypatch.setattr(view.snapshot, "close", lambda: closed.append(view))
        made.append(view)
        return view

    pointing._open = slow
    shop.promote("v2")
    await heard(pointing, shop)
    monkeypatch.setattr(pointing_module, "OPEN_WITHIN_S", 600.0)
    clock.s += 0.6
    pointing.heard(shop.pointer)
    go.set()
    await until(lambda: len(made) == 2 and not pointing._opening)
    await until(lambda: not pointing._bringing._stuck)
    held = keeper.opened["v2"]
    assert keeper.now.current is held
    assert closed == [view for view in made if view is not held]


async def test_a_rollback_needs_nothing_opened(shop: Shop) -> None:
    """It is served with the very look that finds it."""
    keeper, pointing = following(shop, Clock())
    shop.promote("v2")
    await heard(pointing, shop)
    before = list(shop.opened)
    shop.pointer = Pointer(3, {"v1": State.CURRENT, "v2": State.POISONED})
    pointing.heard(shop.pointer)
    assert (keeper.now.current.version, shop.opened, "v2" in keeper.opened) == ("v1", before, False)


async def test_a_pointer_that_goes_back_in_time_is_not_followed(shop: Shop) -> None:
    """A store restored from a backup, or a stale replica of one."""
    keeper, pointing = following(shop, Clock())
    stale = shop.pointer
    shop.promote("v2")
    await heard(pointing, shop)
    pointing.heard(stale)
    assert keeper.now.current.version == "v2"


async def running(pointing: Pointing, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Follow while something happens."""
    task = asyncio.ensure_future(pointing.follow())
    try:
        await meanwhile()
    finally:
        task.cancel()
        await pointing.close()


async def test_a_store_that_fails_is_unreachable_until_it_answers(shop: Shop) -> None:
    """Told once each."""
    _, pointing = following(shop, Clock())

    async def meanwhile() -> None:
        shop.down = StoreUnreachable("500")
        await until(lambda: not pointing.store_reachable)
        shop.down = None
        await until(lambda: pointing.store_reachable)

    with capture_logs() as logs:
        await running(pointing, meanwhile)
    assert [entry["event"] for entry in logs] == ["store.unreachable", "store.reachable"]


async def test_a_store_whose_copy_here_was_read_is_told_by_who_read_it(shop: Shop) -> None:
    """That is the cache, which says why; one line of two modules would be two alarms."""
    _, pointing = following(shop, Clock())
    with capture_logs() as logs:
        for reachable in (True, False, False, True):
            pointing.heard(shop.pointer, reachable=reachable)
            assert pointing.store_reachable is reachable
    assert logs == []


async def test_a_store_that_hangs_is_unreachable_and_hinders_nobody(shop: Shop) -> None:
    """The thread waits; the event loop does not."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    shop.hanging.clear()

    async def meanwhile() -> None:
        await asyncio.sleep(0)
        clock.s += 3
        assert not pointing.store_reachable
        with keeper.lease() as views:
            assert views.current.version == "v1"
        shop.hanging.set()

    await running(pointing, meanwhile)


async def test_a_version_is_forgotten_though_a_request_that_failed_still_knew_it_at_a_swap(shop: Shop) -> None:
    """Exceptions and tasks are often in circles, which only the collector takes apart: nothing keeps it from them."""
    keeper, pointing = following(shop, Clock())
    circle: list[object] = [keeper.now.current]
    circle.append(circle)
    gone = weakref.ref(keeper.now.current)
    del circle
    gc.disable()
    try:
        for version in ("v2", "v3"):
            shop.promote(version)
            await heard(pointing, shop)
            keeper.moved_on(replace(keeper.now.moves, moved=frozenset(range(keeper.now.current.partitions))))
        keeper.tidy()
        assert gone() is not None  # not at once: whoever is asking would wait for it
        keeper._clock = lambda: monotonic() + HELD_S
        keeper.tidy()
    finally:
        gc.enable()
    assert gone() is None


async def test_a_store_that_was_made_anew_is_followed_although_it_counts_from_one(shop: Shop) -> None:
    """Its moves are others than those that were seen; an old answer of the same store would repeat them."""
    keeper, pointing = following(shop, Clock())
    before, later = Who("2026-01-01T00:00:00Z"), Who("2026-02-01T00:00:00Z")
    shop.pointer = Pointer().pushed("v1", before).promoted("v1", before).with_pin(before)
    await heard(pointing, shop)
    shop.pointer = Pointer().pushed("v2", later).promoted("v2", later)
    await heard(pointing, shop)
    assert keeper.now.current.version == "v2"
