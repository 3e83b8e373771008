"""Whom to ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.asking import selection
from router.cluster.topology import Generation, ShardFacts, Topology
from trunkshow.v1 import shard_pb2

A, B, C = "a:1", "b:1", "c:1"


def facts(*warm: int, state: shard_pb2.ShardState = shard_pb2.SHARD_STATE_READY) -> ShardFacts:
    """A shard with these partitions."""
    return ShardFacts("s", state, (Generation("v1", frozenset(warm)),))


def topology(**shards: ShardFacts) -> Topology:
    """Shards a, b, c by their letters."""
    made = Topology.of([A, B, C])
    for letter, of_shard in shards.items():
        made = made.updated(f"{letter}:1", of_shard)
    return made


def idle(address: str) -> int:
    """Nothing in flight to anybody."""
    del address
    return 0


def test_only_holders_are_asked() -> None:
    """A shard without the partition is never asked for it."""
    assert selection.preferred(topology(a=facts(0), b=facts(1)), "v1", 0, idle, 0) == (A,)


def test_equals_take_turns() -> None:
    """The tick rotates who comes first."""
    both = topology(a=facts(0), b=facts(0))
    assert [selection.preferred(both, "v1", 0, idle, tick)[0] for tick in range(4)] == [A, B, A, B]


def test_the_less_loaded_comes_first() -> None:
    """Requests in flight outweigh turns."""
    both = topology(a=facts(0), b=facts(0))
    assert selection.preferred(both, "v1", 0, {A: 3, B: 1}.__getitem__, 0) == (B, A)


def test_who_drains_is_not_asked() -> None:
    """A shard on its way out gets nothing new."""
    two = topology(a=facts(0, state=shard_pb2.SHARD_STATE_DRAINING), b=facts(0))
    assert selection.preferred(two, "v1", 0, idle, 0) == (B,)


def test_who_drains_is_asked_where_nobody_else_is_left() -> None:
    """There is always something to try."""
    one = topology(a=facts(0, state=shard_pb2.SHARD_STATE_DRAINING))
    assert selection.preferred(one, "v1", 0, idle, 0) == (A,)


def test_a_warm_partition_of_a_loading_shard_can_be_asked_for() -> None:
    """A shard that brings up more partitions goes on serving those that it has."""
    assert selection.preferred(topology(a=facts(0, state=shard_pb2.SHARD_STATE_LOADING)), "v1", 0, idle, 0) == (A,)


def test_who_was_tried_is_not_asked_again() -> None:
    """The next attempt goes elsewhere."""
    both = topology(a=facts(0), b=facts(0))
    assert selection.preferred(both, "v1", 0, idle, 0, tried={A}) == (B,)


def test_several_partitions_go_to_few_shards() -> None:
    """One that is asked already is asked for one more."""
    three = topology(a=facts(0, 1), b=facts(1, 2), c=facts(0, 1, 2))
    grouping = selection.grouped(three, "v1", [2, 0, 1], {A: 1, B: 1, C: 0}.__getitem__, 0)
    assert grouping == selection.Grouping({C: [2, 0, 1]}, [])


def test_partitions_that_nobody_holds_are_named() -> None:
    """What cannot be asked is not lost from sight."""
    grouping = selection.grouped(topology(a=facts(0)), "v1", [0, 7], idle, 0)
    assert grouping == selection.Grouping({A: [0]}, [7])


def test_a_group_has_a_rival_where_one_shard_holds_all_of_it() -> None:
    """Holding a part is not enough, nor is leaving."""
    three = topology(a=facts(0, 1), b=facts(0, 1), c=facts(1))
    leaving = topology(a=facts(0, 1), b=facts(0, 1, state=shard_pb2.SHARD_STATE_DRAINING))
    assert selection.holding_all(three, "v1", [0, 1], {A}) == (B,)
    assert selection.holding_all(leaving, "v1", [0, 1], {A}) == ()


def test_who_is_unwell_comes_last() -> None:
    """However little it has to do, and in groups too; but before nobody."""
    both = topology(a=facts(0, 1), b=facts(0))
    assert selection.preferred(both, "v1", 0, idle, 0, last={A}) == (B, A)
    assert selection.grouped(both, "v1", [1, 0], idle, 0, last={A}).by_address == {A: [1], B: [0]}


READY, DRAINING = shard_pb2.SHARD_STATE_READY, shard_pb2.SHARD_STATE_DRAINING
some = st.frozensets(st.sampled_from((A, B, C)))


@given(
    holding=some,
    draining=some,
    lost=some,
    struck_off=some,
    tried=some,
    last=some,
    loads=st.fixed_dictionaries({one: st.integers(0, 2) for one in (A, B, C)}),
    tick=st.integers(0, 9),
)
def test_the_order_is_that_of_the_rules(
    holding: frozenset[str],
    draining: frozenset[str],
    lost: frozenset[str],
    struck_off: frozenset[str],
    tried: frozenset[str],
    last: frozenset[str],
    loads: dict[str, int],
    tick: int,
) -> None:
    """Said once more, plainly: filter, filter unless nobody is left, rotate, sort by load, sort by health."""
    made = Topology.of([A, B, C])
    for one in (A, B, C):
        made = made.updated(one, facts(*([0] if one in holding else []), state=DRAINING if one in draining else READY))
    for one in lost:
        made = made.lost(one, "gone")
    made = made.with_members([one for one in (A, B, C) if one not in struck_off])

    found = [one for one in made.replicas if one in holding - lost and one not in tried]
    found = [one for one in found if one not in draining | struck_off] or found
    turned = tick % len(found) if found else 0
    expected = sorted(sorted(found[turned:] + found[:turned], key=loads.__getitem__), key=last.__contains__)

    assert selection.preferred(made, "v1", 0, loads.__getitem__, tick, tried, last) == tuple(expected)
