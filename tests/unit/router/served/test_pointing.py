"""The store's pointer is followed whatever the store does, and requests notice nothing of that."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import small_snapshot
from structlog.testing import capture_logs

from router.cluster.topology import Generation, ShardFacts, Topology
from router.served import pointing as pointing_module
from router.served.choosing import chosen
from router.served.keeper import HELD_S, Keeper
from router.served.pointing import BACKOFF, REFUSED, Pointing
from router.served.views import View, Views
from router.slates.resident import Resident
from trunkshow.serving.deadline import monotonic
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import FileSpoilt, SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import DiskFailed, NoSuchSnapshot, StoreUnreachable


class Shop:
    """A store from memory: what its pointer says, and what becomes of opening a version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pointer = Pointer(1, {"v1": State.CURRENT})
        self.wrong: dict[str, Exception] = {}
        self.opened: list[str] = []
        self._numbers = itertools.count()  # two threads that count at a time get a number each
        self.down: Exception | None = None
        self.hanging = threading.Event()
        self.hanging.set()

    def read(self) -> tuple[Pointer, bool]:
        """The pointer."""
        self.hanging.wait()
        if self.down is not None:
            raise self.down
        return self.pointer, True

    def open(self, version: str) -> View:
        """A version."""
        self.opened.append(version)
        if version in self.wrong:
            raise self.wrong[version]
        made = small_snapshot.make(self.folder / f"{version}-{next(self._numbers)}")
        made.version = version
        return View.of(cast("Snapshot", made))

    def promote(self, version: str) -> None:
        """Move the pointer."""
        states = {self.pointer.current: State.PREVIOUS, version: State.CURRENT}
        self.pointer = Pointer(self.pointer.serial + 1, states)


class Undirected:
    """A snapshot whose directory is spoilt, and nothing else."""

    def __init__(self, whole: Snapshot) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> object:
        return getattr(self._whole, name)

    @property
    def directory(self) -> object:
        """Fails its check as it is first read."""
        raise FileSpoilt("directory/users.npy does not have the checksum that the manifest says")


class Clock:
    """Driven by the test."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A store whose v1 is current."""
    return Shop(tmp_path)


def following(shop: Shop, clock: Clock) -> tuple[Keeper, Pointing]:
    """A router that serves v1."""
    keeper = Keeper(Views.of(shop.open("v1")))
    return keeper, Pointing(shop.read, shop.open, keeper, every_s=0.01, clock=clock)


async def until(true: Callable[[], bool]) -> None:
    """Bounded: what is waited for is done by threads."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  # a thread sets no event of ours
            await asyncio.sleep(0.002)


async def heard(pointing: Pointing, shop: Shop) -> None:
    """The pointer is read, and what that begins is brought to its end."""
    pointing.heard(shop.pointer)
    await until(lambda: not pointing._opening)


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


async def test_a_version_that_fails_a_check_is_refused_once_and_what_was_serving_goes_on(shop: Shop) -> None:
    """After it was fetched once more; one log event of each, however often the pointer is read."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    shop.wrong["v2"] = SnapshotRefused("a bit is wrong")
    shop.promote("v2")
    with capture_logs() as logs:
        for _ in range(5):
            await heard(pointing, shop)
            clock.s += 0.3
    assert keeper.now.current.version == "v1"
    assert [entry["event"] for entry in logs] == ["snapshot.doubted", "snapshot.refused"]
    assert (shop.opened.count("v2"), pointing.refused) == (2, {"v2": "a bit is wrong"})


async def test_a_version_that_this_machine_spoilt_on_its_way_here_is_not_refused(shop: Shop) -> None:
    """What is refused here is refused for everybody, and for good; so it is fetched once more first."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    shop.wrong["v2"] = SnapshotRefused("a bit is wrong")
    shop.promote("v2")
    await heard(pointing, shop)
    assert not pointing.refused
    shop.wrong.clear()
    clock.s += 0.6
    await heard(pointing, shop)
    assert (keeper.now.current.version, pointing.refused) == ("v2", {})


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


async def test_a_version_that_opens_and_makes_no_slate_is_refused_too(shop: Shop) -> None:
    """The last rung is tried before anybody needs it."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    whole = shop.open

    def broken(version: str) -> View:
        return replace(whole(version), resident=cast("Resident", None))

    pointing._open = broken
    shop.promote("v2")
    for _ in range(2):
        await heard(pointing, shop)
        clock.s += 0.6
    assert (keeper.now.current.version, list(pointing.refused)) == ("v1", ["v2"])


@pytest.mark.parametrize(
    ("error", "spoilt"),
    [(FileSpoilt("taste/x does not have the checksum"), {"v2"}), (SnapshotRefused("no slate"), set())],
)
async def test_files_that_shards_open_too_are_told_from_what_routers_alone_read(
    shop: Shop, error: SnapshotRefused, spoilt: set[str]
) -> None:
    """Of these shards can say whether they are spoilt for everybody."""
    clock = Clock()
    _, pointing = following(shop, clock)
    shop.wrong["v2"] = error
    shop.promote("v2")
    for _ in range(2):
        await heard(pointing, shop)
        clock.s += 0.6
    assert (list(pointing.refused), pointing.spoilt) == (["v2"], spoilt)


@pytest.mark.parametrize(("shards_have", "served"), [({"v1": 1, "v2": 4}, "v2"), ({"v1": 4}, "v1")])
async def test_what_is_served_elsewhere_and_was_spoilt_here_is_tried_again(
    shop: Shop, shards_have: dict[str, int], served: str
) -> None:
    """Seldom, and told once: shards may close what this router serves, for want of room."""
    clock = Clock()
    keeper = Keeper(Views.of(shop.open("v1")))
    pointing = Pointing(
        shop.read, shop.open, keeper, every_s=0.01, topology=lambda: cluster(**shards_have), clock=clock
    )
    shop.wrong["v2"] = FileSpoilt("taste/x does not have the checksum")
    shop.promote("v2")
    with capture_logs() as logs:
        for seconds in (0.6, 1.0, BACKOFF.longest_s, BACKOFF.longest_s):
            await heard(pointing, shop)
            clock.s += seconds
    assert (shop.opened.count("v2"), list(pointing.refused)) == (3 if served == "v2" else 2, ["v2"])
    assert [entry["event"] for entry in logs] == ["snapshot.doubted", "snapshot.refused"]
    shop.wrong.clear()
    await heard(pointing, shop)
    assert (keeper.now.current.version, "v2" in pointing.refused) == (served, served == "v1")


async def test_a_version_whose_directory_alone_is_spoilt_is_none_of_which_shards_can_say(shop: Shop) -> None:
    """They may never read it."""
    clock = Clock()
    _, pointing = following(shop, clock)
    whole = shop.open

    def without_directory(version: str) -> View:
        view = whole(version)
        return replace(view, snapshot=cast("Snapshot", Undirected(view.snapshot)))

    pointing._open = without_directory
    shop.promote("v2")
    for _ in range(2):
        await heard(pointing, shop)
        clock.s += 0.6
    assert (list(pointing.refused), pointing.spoilt) == (["v2"], set())


async def test_a_version_that_the_store_fails_to_give_is_tried_again_later(shop: Shop) -> None:
    """Not at every look."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    shop.wrong["v2"] = StoreUnreachable("not now")
    shop.promote("v2")
    for _ in range(3):
        await heard(pointing, shop)
    tries = shop.opened.count("v2")
    del shop.wrong["v2"]
    clock.s += 0.6
    await heard(pointing, shop)
    assert (tries, keeper.now.current.version) == (1, "v2")


@pytest.mark.parametrize("failure", [StoreUnreachable("not now"), DiskFailed("no room")], ids=repr)
async def test_a_version_whose_directory_the_store_fails_to_give_is_not_refused(shop: Shop, failure: Exception) -> None:
    """The directory is fetched last, when the first user is looked for: that is no check that it failed, either."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    whole = shop.open

    class Away:
        def find(self, _: str) -> None:
            raise failure

    def short_of_it(version: str) -> View:
        view = whole(version)
        cast("Any", view.snapshot).directory = Away()
        return view

    pointing._open = short_of_it
    shop.promote("v2")
    for _ in range(3):
        await heard(pointing, shop)
        clock.s += 60
    refused = dict(pointing.refused)
    pointing._open = whole
    await heard(pointing, shop)
    assert (refused, keeper.now.current.version) == ({}, "v2")


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


async def test_a_pointer_to_a_version_that_is_not_there_changes_nothing_and_is_told_and_counted_once(
    shop: Shop,
) -> None:
    """It is looked for again, slowly, in case that the store shows it late."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    shop.wrong["v9"] = NoSuchSnapshot("no snapshot 'v9'")
    shop.promote("v9")
    counted = REFUSED._value.get()
    with capture_logs() as logs:
        for _ in range(3):
            await heard(pointing, shop)
            await heard(pointing, shop)
            clock.s += 31
    assert keeper.now.current.version == "v1"
    assert shop.opened.count("v9") == 3
    assert ([one["event"] for one in logs], REFUSED._value.get() - counted) == (["snapshot.missing"], 1)
    shop.wrong.clear()
    await heard(pointing, shop)
    assert keeper.now.current.version == "v9"


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


async def test_a_snapshot_for_which_there_is_no_memory_now_is_tried_again(shop: Shop) -> None:
    """Nothing is wrong with it."""
    clock = Clock()
    keeper, pointing = following(shop, clock)
    whole = shop.open

    class Short:
        def need(self, *_: object, **__: object) -> None:
            raise MemoryError

    pointing._open = lambda version: replace(whole(version), resident=cast("Resident", Short()))
    shop.promote("v2")
    await heard(pointing, shop)
    pointing._open = whole
    clock.s += 0.6
    await heard(pointing, shop)
    assert (keeper.now.current.version, pointing.refused) == ("v2", {})


# --- a router that starts while promotions overtake one another ---


def cluster(**warm: int) -> Topology:
    """A shard that has so many partitions of each version warm."""
    held = tuple(Generation(version, frozenset(range(count))) for version, count in warm.items())
    return Topology.of(["s:1"]).updated("s:1", ShardFacts("s", generations=held))


def beginning(shop: Shop, topology: Callable[[], Topology], clock: Clock) -> tuple[Keeper, Pointing]:
    """A router that has opened what the pointer names, v3 and v2; v1 made way."""
    shop.pointer = Pointer(3, {"v1": State.RETIRED, "v2": State.PREVIOUS, "v3": State.CURRENT})
    keeper = Keeper(Views.of(shop.open("v3"), shop.open("v2")))
    return keeper, Pointing(shop.read, shop.open, keeper, every_s=0.01, topology=topology, clock=clock)


async def test_what_shards_serve_is_opened_at_the_start_though_the_pointer_names_it_no_more(shop: Shop) -> None:
    """And served until all has moved to the current version, however often the pointer is read; then it is closed."""
    keeper, pointing = beginning(shop, lambda: cluster(v1=4, v3=1), Clock())
    with capture_logs() as logs:
        await pointing.begin()
    for _ in range(2):
        assert (keeper.now.current.version, keeper.now.moves.before) == ("v3", "v1")
        assert keeper.now.before is keeper.opened["v1"]
        await heard(pointing, shop)
    assert [entry["event"] for entry in logs] == ["snapshot.opened", "snapshot.overtaken"]
    keeper.moved_on(replace(keeper.now.moves, moved=frozenset(range(4))))
    await heard(pointing, shop)
    assert (sorted(keeper.opened), shop.opened.count("v1")) == (["v2", "v3"], 1)


async def test_where_shards_have_what_is_served_a_start_asks_the_store_nothing(shop: Shop) -> None:
    """It may hang."""
    keeper, pointing = beginning(shop, lambda: cluster(v1=4, v2=4, v3=1), Clock())
    await pointing.begin()
    assert (pointing._pointer, sorted(keeper.opened)) == (None, ["v2", "v3"])


async def test_what_shards_serve_is_opened_later_where_the_store_does_not_give_it_now(shop: Shop) -> None:
    """The start goes on without; whoever asks meanwhile gets what there is."""
    clock = Clock()
    keeper, pointing = beginning(shop, lambda: cluster(v1=4, v3=1), clock)
    shop.wrong["v1"] = StoreUnreachable("not now")
    await pointing.begin()
    assert keeper.now.moves.before == "v2"
    shop.wrong.clear()
    clock.s += 0.6
    await heard(pointing, shop)
    assert keeper.now.moves.before == "v1"


async def test_what_shards_served_is_let_be_once_they_have_all_of_the_current_version(shop: Shop) -> None:
    """Nobody commutes back to it."""
    clock, held = Clock(), [cluster(v1=4, v3=1)]
    keeper, pointing = beginning(shop, lambda: held[-1], clock)
    shop.wrong["v1"] = StoreUnreachable("not now")
    await pointing.begin()
    held.append(cluster(v1=4, v3=4))
    shop.wrong.clear()
    clock.s += 0.6
    await heard(pointing, shop)
    assert (keeper.now.moves.before, sorted(keeper.opened), shop.opened.count("v1")) == ("v2", ["v2", "v3"], 1)
