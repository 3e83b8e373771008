"""What a router does with a version that it cannot open: refuses it for good, or tries again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from pointing_stage import Clock, Shop, cluster, following, heard
from structlog.testing import capture_logs

from router.served.keeper import Keeper
from router.served.pointing import BACKOFF, REFUSED, Pointing
from router.served.views import View, Views
from router.slates.resident import Resident
from trunkshow.snapshot.manifest import FileSpoilt, SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import DiskFailed, NoSuchSnapshot, StoreUnreachable


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
