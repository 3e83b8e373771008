"""What is served follows the store's pointer, and no view is closed under a request that looks at it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.topology import Generation, ShardFacts, Topology
from router.served.choosing import chosen, moving_from, overtaken, versions_of
from router.served.keeper import Keeper
from router.served.views import Candidate, View, Views
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State

WHO = Who("2026-01-01T00:00:00Z")


@dataclass(eq=False)
class Named:
    """As much of a snapshot as choosing and closing look at."""

    version: str
    partitions: int = 4
    closed: int = field(default=0)

    def close(self) -> None:
        """Count it."""
        self.closed += 1


def view(version: str) -> View:
    """A view of nothing but a name."""
    return View(cast("Snapshot", Named(version)), cast("object", None), cast("object", None), cast("object", None))  # type: ignore[arg-type]


V1, V2, V3 = view("v1"), view("v2"), view("v3")


def pointer(**states: State) -> Pointer:
    """A pointer with these states."""
    return Pointer(serial=1, states=states)


def names(views: Views | None) -> tuple[str, str]:
    """Current and previous."""
    assert views is not None
    return views.current.version, views.previous.version if views.previous else ""


FIRST = pointer(v1=State.CURRENT)
SECOND = pointer(v1=State.PREVIOUS, v2=State.CURRENT)
ROLLED_BACK = pointer(v1=State.CURRENT, v2=State.POISONED)


def test_the_most_urgent_version_is_opened_first() -> None:
    """A candidate last."""
    named = pointer(v1=State.PREVIOUS, v2=State.CURRENT, v3=State.REHEARSING, v0=State.RETIRED)
    assert versions_of(named) == ("v2", "v1", "v3")


def test_until_the_new_version_is_open_the_old_one_is_served() -> None:
    """The pointer is ahead of us."""
    was = chosen(FIRST, {"v1": V1}, None)
    assert names(chosen(SECOND, {"v1": V1}, was)) == ("v1", "")


def test_once_it_is_open_the_old_one_is_the_previous() -> None:
    """And nothing has moved yet."""
    views = chosen(SECOND, {"v1": V1, "v2": V2}, chosen(FIRST, {"v1": V1}, None))
    assert names(views) == ("v2", "v1")
    assert views is not None
    assert views.before is V1


def test_rolled_back_everything_is_served_from_the_old_one_at_once() -> None:
    """What is poisoned is not even the snapshot before."""
    was = chosen(SECOND, {"v1": V1, "v2": V2}, None)
    views = chosen(ROLLED_BACK, {"v1": V1, "v2": V2}, was)
    assert names(views) == ("v1", "")
    assert views is not None
    assert views.moves.complete


def test_rolled_back_to_one_that_is_not_open_the_previous_is_served_meanwhile() -> None:
    """Not what was poisoned."""
    further = pointer(v1=State.CURRENT, v2=State.PREVIOUS, v3=State.POISONED)
    was = chosen(pointer(v2=State.PREVIOUS, v3=State.CURRENT), {"v2": V2, "v3": V3}, None)
    assert names(chosen(further, {"v2": V2, "v3": V3}, was)) == ("v2", "")


def test_where_nothing_that_is_named_is_open_what_was_served_goes_on() -> None:
    """Even so."""
    was = chosen(FIRST, {"v1": V1}, None)
    assert names(chosen(pointer(v8=State.PREVIOUS, v9=State.CURRENT), {"v1": V1}, was)) == ("v1", "")


def test_a_pointer_that_names_nothing_that_is_open_serves_nothing_at_the_start() -> None:
    """A router that has nothing does not pretend."""
    assert chosen(FIRST, {}, None) is None


ALL = {"v1": V1, "v2": V2, "v3": V3}
TWICE = pointer(v1=State.RETIRED, v2=State.PREVIOUS, v3=State.CURRENT)


def test_of_two_promotions_in_a_row_traffic_comes_from_what_served_it() -> None:
    """The first of the two, which may be warm nowhere, is passed over, whichever opens first."""
    first = chosen(FIRST, ALL, None)
    second = chosen(SECOND, ALL, first)
    for views in (chosen(TWICE, ALL, second), chosen(TWICE, ALL, first)):
        assert views is not None
        assert (names(views), views.before) == (("v3", "v2"), V1)
    views = chosen(TWICE, {"v1": V1, "v2": V2}, first)
    assert views is not None
    assert (names(views), views.before) == (("v2", "v1"), V1)


def test_what_really_served_stands_above_a_version_that_was_overtaken() -> None:
    """Whom the newest one fails gets the snapshot of a moment ago, and not one that nobody may have warm."""
    views = chosen(TWICE, ALL, chosen(SECOND, ALL, chosen(FIRST, ALL, None)))
    assert views is not None
    assert views.earlier == (V1, V2)


def test_once_all_of_it_has_moved_the_pointers_previous_version_is_the_previous() -> None:
    """And what has moved stays moved."""
    views = chosen(TWICE, ALL, chosen(SECOND, ALL, chosen(FIRST, ALL, None)))
    assert views is not None
    half, whole = frozenset({0, 1}), frozenset(range(4))
    before = chosen(TWICE, ALL, views.moved_on(replace(views.moves, moved=half)))
    assert before is not None
    assert (before.before, before.moves.moved) == (V1, half)
    after = chosen(TWICE, ALL, views.moved_on(replace(views.moves, moved=whole)))
    assert after is not None
    assert (names(after), after.before) == (("v3", "v2"), None)


def test_what_is_poisoned_serves_nothing_while_the_next_one_warms() -> None:
    """Rolled back to a version that was retired, from one that everybody had."""
    was = chosen(FIRST, {"v1": V1}, None)
    fled = pointer(v1=State.POISONED, v2=State.CURRENT)
    assert names(chosen(fled, ALL, was)) == ("v2", "")


def test_a_move_that_concerns_neither_forgets_no_traffic_that_moved() -> None:
    """A push of another version."""
    was = chosen(SECOND, {"v1": V1, "v2": V2}, None)
    assert was is not None
    moved = was.moved_on(replace(was.moves, moved=frozenset({0})))
    after = chosen(SECOND.pushed("v3", WHO), {"v1": V1, "v2": V2}, moved)
    assert after is not None
    assert after.moves.moved == {0}


def promoted(*versions: str) -> Pointer:
    """A store in which these were promoted one after the other."""
    made = Pointer()
    for version in versions:
        made = made.pushed(version, WHO).promoted(version, WHO)
    return made


def complete(views: Views | None) -> Views:
    """Once everything has moved."""
    assert views is not None
    return views.moved_on(replace(views.moves, moved=frozenset(range(4))))


def test_what_is_served_stays_when_a_promotion_overtakes_another() -> None:
    """Nobody may have the version in between warm; the first one everybody has."""
    was = chosen(promoted("v1", "v2"), ALL, chosen(promoted("v1"), ALL, None))
    views = chosen(promoted("v1", "v2", "v3"), ALL, was)
    assert names(views) == ("v3", "v2")
    assert views is not None
    assert views.before is V1
    assert (views.moves.version, views.moves.before) == ("v3", "v1")
    assert set(views) == {V1, V2, V3}
    assert chosen(promoted("v1", "v2", "v3"), ALL, views) == replace(views, moves=views.moves)
    assert set(complete(views)) == {V2, V3}


def test_what_is_served_stays_where_the_version_in_between_was_never_open_here() -> None:
    """The router was slower than both promotions."""
    was = chosen(promoted("v1"), ALL, None)
    late = chosen(promoted("v1", "v2", "v3"), {"v1": V1}, was)
    assert names(late) == ("v1", "")
    views = chosen(promoted("v1", "v2", "v3"), {"v1": V1, "v3": V3}, late)
    assert views is not None
    assert (views.current, views.before) == (V3, V1)


def test_rolled_back_to_one_that_was_never_whole_what_is_served_stays() -> None:
    """The version in between is current now; the first one is what everybody has."""
    first = chosen(promoted("v1"), ALL, None)
    overtaken = chosen(promoted("v1", "v2", "v3"), ALL, chosen(promoted("v1", "v2"), ALL, first))
    views = chosen(promoted("v1", "v2", "v3").rolled_back(WHO), ALL, overtaken)
    assert views is not None
    assert (views.current, views.before, set(views)) == (V2, V1, {V1, V2})


def test_a_poisoned_version_is_not_what_traffic_moves_from() -> None:
    """Even though it is what everybody was served from."""
    was = complete(chosen(promoted("v1", "v2"), ALL, chosen(promoted("v1"), ALL, None)))
    back = promoted("v1", "v2").rolled_back(WHO).pushed("v3", WHO).promoted("v3", WHO)
    views = chosen(back, ALL, was)
    assert views is not None
    assert (views.current, views.before) == (V3, V1)


steps = st.lists(st.sampled_from(["promote", "complete", "some", "look"]), max_size=20)


@given(course=steps)
def test_whatever_is_promoted_the_last_version_that_was_whole_is_served(course: list[str]) -> None:
    """And at most the current one, the one before and it are open for that."""
    store, opened = promoted("w0"), {"w0": view("w0")}
    views, whole = chosen(store, opened, None), "w0"
    for number, step in enumerate(course, 1):
        if step == "promote":
            version = f"w{number}"
            store, opened = store.pushed(version, WHO).promoted(version, WHO), {**opened, version: view(version)}
        views = chosen(store, opened, views)
        assert views is not None
        if step == "complete":
            views, whole = complete(views), store.current
        if step == "some" and not views.moves.complete:
            views = views.moved_on(replace(views.moves, moved=frozenset({1})))
        assert views.current.version == store.current
        assert (views.before or views.current).version == whole
        opened = {one: opened[one] for one in {*versions_of(store), *(each.version for each in views)}}
        assert len(opened) <= 3


def test_until_some_traffic_has_moved_everybodys_lists_are_of_what_was_served() -> None:
    """A version that may yet turn out to be spoilt shows nothing."""
    views = chosen(promoted("v1", "v2"), ALL, chosen(promoted("v1"), ALL, None))
    assert views is not None
    assert views.everybodys is V1
    assert views.moved_on(replace(views.moves, moved=frozenset({2}))).everybodys is V2


def test_a_canary_is_shown_to_its_share_of_the_users_always_the_same() -> None:
    """And while it is rehearsed, to nobody."""
    canary = Views.of(V1, candidate=Candidate(V2, State.CANARY, 0.2))
    rehearsed = Views.of(V1, candidate=Candidate(V2, State.REHEARSING, 0.2))
    users = [f"user-{number}" for number in range(1000)]
    shown = [user for user in users if canary.canary_of(user) is V2]
    assert 150 < len(shown) < 250
    assert shown == [user for user in users if canary.canary_of(user) is V2]
    assert not any(rehearsed.canary_of(user) for user in users)


# --- a router that starts ---

ALL_OF_IT = range(4)


def cluster(refused: str = "", **warm: Iterable[int]) -> Topology:
    """A shard that has these partitions warm, by version; of one version it refused the last partition."""
    held = tuple(
        Generation(version, frozenset(numbers), refused=frozenset({3}) if version == refused else frozenset())
        for version, numbers in warm.items()
    )
    return Topology.of(["s:1"]).updated("s:1", ShardFacts("s", generations=held))


def begun(pointer: Pointer) -> Views:
    """What a router serves that has just begun: what the pointer names."""
    views = chosen(pointer, {one: view(one) for one in versions_of(pointer)}, None)
    assert views is not None
    return views


def test_a_router_that_starts_while_promotions_overtake_one_another_moves_from_what_serves() -> None:
    """As the routers do that saw it served; and so it goes on until all has moved."""
    store = promoted("v1", "v2", "v3")
    views = begun(store)
    assert overtaken(store, views, cluster(v1=ALL_OF_IT, v2=[0], v3=[1, 2])) == "v1"
    now = moving_from(views, V1)
    assert (names(now), now.before, now.everybodys) == (("v3", "v2"), V1, V1)
    opened = {one.version: one for one in now}
    after = chosen(store, opened, now)
    assert after is not None
    assert (after.before, after.moves, set(after)) == (V1, now.moves, set(opened.values()))
    assert V1 not in set(complete(after))


def test_where_the_newest_version_alone_opens_traffic_moves_from_what_serves_too() -> None:
    """Nothing was to be moved before."""
    views = chosen(promoted("v1", "v2", "v3"), {"v3": V3}, None)
    assert views is not None
    assert views.moves.complete
    now = moving_from(views, V1)
    assert (now.before, now.previous, now.moves.complete) == (V1, V1, False)


@pytest.mark.parametrize(
    "topology",
    [
        cluster(),
        cluster(v1=ALL_OF_IT, v3=ALL_OF_IT),
        cluster(v1=ALL_OF_IT, v2=ALL_OF_IT),
        cluster(v1=[0, 1], v3=[2, 3]),
        cluster(v3=[0], v9=ALL_OF_IT),
        cluster(refused="v1", v1=[0, 1, 2]),
    ],
    ids=["nothing", "the current one", "the previous one", "as much of it", "one that nobody promoted", "spoilt"],
)
def test_a_router_that_starts_opens_nothing_more_where_it_serves_what_shards_have(topology: Topology) -> None:
    """Or where shards have nothing that may be served."""
    store = promoted("v1", "v2", "v3")
    assert overtaken(store, begun(store), topology) == ""


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [([0, 1, 2, 3], [0, 1, 2], "v0"), ([0, 1, 2, 3], [0, 1, 2, 3], "v1"), ([0], [1, 2], "v1")],
    ids=["the most complete", "of these the newest", "though none is whole"],
)
def test_of_several_that_made_way_the_most_complete_one_is_opened(
    first: list[int], second: list[int], found: str
) -> None:
    """Most users have theirs there."""
    store = promoted("v0", "v1", "v2", "v3")
    assert overtaken(store, begun(store), cluster(v0=first, v1=second, v3=[])) == found


def test_what_is_poisoned_is_not_served_however_much_of_it_shards_still_have() -> None:
    """They heard of the rollback a moment later than the router that begins."""
    store = promoted("v1", "v2").rolled_back(WHO)
    assert overtaken(store, begun(store), cluster(v1=[0], v2=ALL_OF_IT)) == ""


# --- the keeper ---


def snapshot_of(one: View) -> Named:
    """The fake below a view."""
    return cast("Named", one.snapshot)


def test_a_view_is_closed_once_the_last_request_that_looks_at_it_has_ended() -> None:
    """Not under it."""
    old, new = view("v1"), view("v2")
    keeper = Keeper(Views.of(old))
    with keeper.lease() as first, keeper.lease():
        keeper.arrived(new)
        keeper.adopt(Views.of(new), ["v2"])
        assert first.current is old
        assert snapshot_of(old).closed == 0
    assert (snapshot_of(old).closed, snapshot_of(new).closed, list(keeper.opened)) == (1, 0, ["v2"])


def test_who_keeps_copies_is_told_what_was_closed() -> None:
    """Once, and not before the last request has ended; of what stays open nothing."""
    old, new = view("v1"), view("v2")
    told: list[str] = []
    keeper = Keeper(Views.of(old), told.append)
    with keeper.lease():
        keeper.arrived(new)
        keeper.adopt(Views.of(new), ["v2"])
        assert told == []
    keeper.adopt(keeper.now, ["v2"])
    assert told == ["v1"]


def test_of_a_view_that_was_opened_somebody_hears_before_it_can_be_served() -> None:
    """Once: one that is open already is closed again instead."""
    keeper = Keeper(Views.of(view("v1")))
    told: list[View] = []
    keeper.arriving = told.append
    new, again = view("v2"), view("v2")
    keeper.arrived(new)
    keeper.arrived(again)
    assert (told, snapshot_of(again).closed) == ([new], 1)


def test_who_comes_after_the_change_sees_the_new_one() -> None:
    """While others still look at the old one."""
    old, new = view("v1"), view("v2")
    keeper = Keeper(Views.of(old))
    with keeper.lease() as first:
        keeper.arrived(new)
        keeper.adopt(Views.of(new, old), ["v1", "v2"])
        with keeper.lease() as second:
            assert (first.current, second.current) == (old, new)
    assert snapshot_of(old).closed == 0  # it is the previous one now


def test_what_the_pointer_names_stays_open_although_nobody_is_served_from_it() -> None:
    """It will be."""
    old, candidate = view("v1"), view("v2")
    keeper = Keeper(Views.of(old))
    keeper.arrived(candidate)
    keeper.adopt(Views.of(old), ["v1", "v2"])
    assert snapshot_of(candidate).closed == 0


def test_in_the_end_everything_is_closed_once() -> None:
    """Given back."""
    old, new = view("v1"), view("v2")
    keeper = Keeper(Views.of(new, old))
    keeper.close()
    assert (snapshot_of(old).closed, snapshot_of(new).closed) == (1, 1)
