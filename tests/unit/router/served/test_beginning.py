"""A router that starts while promotions overtake one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pointing_stage import Clock, Shop, cluster, heard
from structlog.testing import capture_logs

from router.cluster.topology import Topology
from router.served.keeper import Keeper
from router.served.pointing import Pointing
from router.served.views import Views
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import StoreUnreachable


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
