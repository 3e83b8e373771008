"""A promoted version of which something is spoilt is taken back, and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal_stage import Clock, MemoryStore, someone

from router.cluster.topology import Generation, ShardFacts, Topology
from router.cluster.watch import Board
from router.served.choosing import chosen, versions_of
from router.served.keeper import Keeper
from router.served.views import View, Views
from router.trials.looking import RETRY_S
from router.trials.recall import Recall, taken_back
from router.trials.suspicion import PATIENCE_S, held_against
from trunkshow.snapshot.lifecycle import LifecycleError, Pointer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State

REFUSED = Generation(
    "v2", frozenset({0, 2, 3}), refused=frozenset({1}), why_refused="partitions/00001/items.npy: short"
)
WHOLE = Generation("v2", frozenset({0, 1, 2, 3}))
LOADING = Generation("v2", frozenset({0, 2, 3}), loading=frozenset({1}))
NOT_OPEN = Generation("v1", frozenset({0, 1, 2, 3}))


@dataclass(eq=False)
class Named:
    """As much of a snapshot as is looked at."""

    version: str
    partitions: int = 4

    def close(self) -> None:
        """Nothing to give back."""


def view(version: str) -> View:
    """A view of nothing but a name."""
    return View(cast("Snapshot", Named(version)), cast("object", None), cast("object", None), cast("object", None))  # type: ignore[arg-type]


def cluster(*held: Generation) -> Topology:
    """One shard for each."""
    topology = Topology.of(f"{number}:1" for number in range(len(held)))
    for number, generation in enumerate(held):
        topology = topology.updated(f"{number}:1", ShardFacts(f"shard-{number}", generations=(generation,)))
    return topology


def promoted(*versions: str) -> Pointer:
    """A store in which these were promoted one after the other."""
    made = Pointer()
    for version in versions:
        made = made.pushed(version, someone()).promoted(version, someone())
    return made


class Stage:
    """A recall over a store in memory, on a clock that the test drives."""

    def __init__(self, *versions: str) -> None:
        self.clock = Clock()
        self.store = MemoryStore(promoted(*versions))
        self.board = Board(Topology.of(()))
        opened = {version: view(version) for version in versions}
        views: Views | None = None
        for number in range(1, len(versions) + 1):
            views = chosen(promoted(*versions[:number]), opened, views)
        assert views is not None
        self.keeper = Keeper(views)
        self.keeper.opened.update(opened)
        self.recall = Recall(
            self.keeper, self.board, self.store.move, someone, clock=self.clock, sleep=self.clock.sleep
        )

    async def look_twice(self, *held: Generation) -> Pointer:
        """Before its patience ends, and after."""
        self.board.topology = cluster(*held)
        await self.recall.look()
        assert not self.store.moves
        self.clock.now += PATIENCE_S + RETRY_S
        await self.recall.look()
        return self.store.pointer


async def test_a_version_whose_partition_every_shard_refuses_is_taken_back() -> None:
    """Poisoned; and the history names partition, shard and file."""
    pointer = await Stage("v1", "v2").look_twice(REFUSED, REFUSED)
    assert dict(pointer.states) == {"v1": State.CURRENT, "v2": State.POISONED}
    assert "partition 1" in pointer.history[-1].why
    assert "shard-0: partitions/00001/items.npy: short" in pointer.history[-1].why


async def test_a_version_whose_copies_of_users_are_refused_is_taken_back() -> None:
    """Although everything else of it is warm: nobody would stand in when a home is lost."""
    copies = replace(WHOLE, refused_stand_ins=frozenset({3}), why_refused="partitions/00003/standins.lmdb: short")
    pointer = await Stage("v1", "v2").look_twice(WHOLE, copies)
    assert dict(pointer.states) == {"v1": State.CURRENT, "v2": State.POISONED}
    assert "users of partition 3" in pointer.history[-1].why
    assert "shard-1: partitions/00003/standins.lmdb: short" in pointer.history[-1].why


@pytest.mark.parametrize("there", ["stand_ins", "loading_stand_ins"])
async def test_copies_that_somebody_has_or_brings_are_no_bad_version(there: str) -> None:
    """The shard that refused them has a bad disk."""
    bad = replace(WHOLE, refused_stand_ins=frozenset({3}))
    good = replace(WHOLE, **{there: frozenset({3})})
    assert (await Stage("v1", "v2").look_twice(bad, good)).current == "v2"


@pytest.mark.parametrize("other", [WHOLE, LOADING, NOT_OPEN], ids=["warm", "loading", "not open yet"])
async def test_one_bad_copy_is_no_bad_version(other: Generation) -> None:
    """Another shard has it, or may yet."""
    pointer = await Stage("v1", "v2").look_twice(REFUSED, other)
    assert pointer.current == "v2"


async def test_a_partition_that_is_good_again_within_the_patience_begins_it_anew() -> None:
    """A copy was fetched again."""
    on = Stage("v1", "v2")
    for held in (REFUSED, WHOLE, REFUSED):
        on.board.topology = cluster(held)
        await on.recall.look()
        on.clock.now += 0.9 * PATIENCE_S
    await on.recall.look()
    assert not on.store.moves


async def test_without_a_version_before_it_is_kept() -> None:
    """It is all there is."""
    on = Stage("v2")
    await on.look_twice(REFUSED)
    assert (on.store.pointer.current, on.store.moves) == ("v2", 0)


async def test_a_pin_keeps_it_waiting() -> None:
    """Whoever pinned it wants no machine to change it."""
    on = Stage("v1", "v2")
    on.store.pointer = on.store.pointer.with_pin(someone())
    assert (await on.look_twice(REFUSED)).current == "v2"
    on.store.pointer = on.store.pointer.without_pin(someone())
    on.clock.now += RETRY_S
    await on.recall.look()
    assert on.store.pointer.current == "v1"


async def test_a_store_that_is_gone_is_told_later() -> None:
    """And not at every look."""
    on = Stage("v1", "v2")
    on.store.gone = True
    await on.look_twice(REFUSED)
    on.store.gone = False
    await on.recall.look()
    assert not on.store.moves
    on.clock.now += RETRY_S
    await on.recall.look()
    assert on.store.pointer.current == "v1"


async def test_another_router_that_was_faster_wins() -> None:
    """What it returned to is not rolled back in turn."""
    on = Stage("v1", "v2")

    def other_router() -> None:
        if on.store.pointer.current == "v2":
            on.store.pointer = on.store.pointer.rolled_back(someone())

    on.store.before_move = other_router
    assert (await on.look_twice(REFUSED)).current == "v1"
    assert on.store.moves == 0


async def test_where_the_version_before_it_is_spoilt_too_what_is_served_is_returned_to() -> None:
    """Two bad promotions in a row: both are poisoned, and nobody was served from either."""
    on = Stage("v1", "v2", "v3")
    assert on.keeper.now.before is not None
    assert on.keeper.now.before.version == "v1"
    bad_third = Generation("v3", frozenset(), refused=frozenset({0}))
    assert (await on.look_twice(bad_third)).current == "v2"
    views = chosen(on.store.pointer, on.keeper.opened, on.keeper.now)
    assert views is not None
    on.keeper.adopt(views, versions_of(on.store.pointer))
    on.board.topology = cluster(REFUSED)
    await on.recall.look()
    on.clock.now += PATIENCE_S + RETRY_S
    await on.recall.look()
    assert dict(on.store.pointer.states) == {"v1": State.CURRENT, "v2": State.POISONED, "v3": State.POISONED}


parts = st.frozensets(st.integers(0, 3))
generations = st.builds(lambda warm, loading, bad: Generation("v2", warm, loading, bad), parts, parts, parts)


@given(held=st.lists(generations, min_size=1, max_size=4))
def test_nothing_is_held_against_a_version_of_which_everything_is_somewhere(held: list[Generation]) -> None:
    """Whatever else is refused; and what is refused and nowhere always is."""
    refused = frozenset().union(*(one.refused for one in held))
    hoped = frozenset().union(*(one.warm | one.loading for one in held))
    assert bool(held_against(cluster(*held), "v2")) == bool(refused - hoped)


def test_only_the_version_that_was_looked_at_is_taken_back() -> None:
    """The pointer may be elsewhere by now, or have nothing to return to."""
    with pytest.raises(LifecycleError, match="v2 is previous by now"):
        taken_back(promoted("v1", "v2", "v3"), version="v2", serving="", who=someone())
    with pytest.raises(LifecycleError, match="no previous version"):
        taken_back(promoted("v1"), version="v1", serving="v1", who=someone())
