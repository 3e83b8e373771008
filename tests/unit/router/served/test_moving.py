"""A partition's traffic moves to a new snapshot once enough replicas have it warm, and stays there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from router.cluster.topology import Generation, ShardFacts, Topology
from router.served.moving import Moves, Patience, spoilt, wanted
from trunkshow.v1 import shard_pb2

A, B, C = "a:1", "b:1", "c:1"
READY, DRAINING = shard_pb2.SHARD_STATE_READY, shard_pb2.SHARD_STATE_DRAINING
PATIENCE = Patience(replicas=2, patience_s=10)
BEGUN = Moves("v2", before="v1", partitions=2)
WHOLE = Moves("v2", before="v1", partitions=2, whole=True)


def cluster(
    warm: dict[str, tuple[int, ...]],
    *,
    old: tuple[int, ...] = (0, 1),
    draining: str = "",
    refused: dict[str, tuple[int, ...]] | None = None,
) -> Topology:
    """Three shards that all hold v1, and of v2 what is given."""
    topology = Topology.of([A, B, C])
    for address in (A, B, C):
        state = DRAINING if address == draining else READY
        bad = frozenset((refused or {}).get(address, ()))
        new = Generation("v2", frozenset(warm.get(address, ())), refused=bad)
        generations = (Generation("v1", frozenset(old)), new) if old else (new,)
        topology = topology.updated(address, ShardFacts(address, state, generations))
    return topology


def test_nothing_moves_before_it_is_warm() -> None:
    """The snapshot before goes on."""
    assert BEGUN.advanced(cluster({}), PATIENCE, now=0).moved == frozenset()


def test_a_partition_moves_once_enough_replicas_have_it_warm() -> None:
    """Partition by partition."""
    moves = BEGUN.advanced(cluster({A: (0, 1), B: (0,)}), PATIENCE, now=0)
    assert (moves.has(0), moves.has(1), moves.complete) == (True, False, False)


def test_one_replica_is_enough_after_a_while() -> None:
    """A shard that never comes up holds nobody back for ever."""
    warm = cluster({A: (0,)})
    waiting = WHOLE.advanced(warm, PATIENCE, now=0)
    assert [waiting.advanced(warm, PATIENCE, now).has(0) for now in (9.9, 10.0)] == [False, True]


def test_nothing_moves_before_every_partition_is_warm_somewhere() -> None:
    """It may be spoilt: one that is refused is refused whole."""
    moves = BEGUN.advanced(cluster({A: (0,), B: (0,)}), PATIENCE, now=0)
    assert (moves.whole, moves.count) == (False, 0)
    assert moves.advanced(cluster({A: (0, 1), B: (0,)}), PATIENCE, now=1).moved == {0}


def test_a_partition_that_nobody_brings_holds_the_others_up_for_a_while_only() -> None:
    """Its shards may be dead."""
    warm = cluster({A: (0,), B: (0,)})
    waiting = BEGUN.advanced(warm, PATIENCE, now=0)
    assert [waiting.advanced(warm, PATIENCE, now).moved for now in (9.9, 10.0)] == [frozenset(), {0}]


def with_copies(address: str, **held: frozenset[int]) -> Topology:
    """Everything of v2 is warm on A and B, and a shard says something of the copies of its users."""
    topology = cluster({A: (0, 1), B: (0, 1)})
    facts = topology.replicas[address].facts
    assert facts is not None
    old, new = facts.generations
    return topology.updated(address, replace(facts, generations=(old, replace(new, **held))))


def test_copies_of_users_that_are_on_their_way_are_waited_for() -> None:
    """They may turn out to be spoilt; a shard that never brings them holds nobody up for ever."""
    coming = with_copies(C, loading_stand_ins=frozenset({1}))
    waiting = BEGUN.advanced(coming, PATIENCE, now=0)
    assert [waiting.advanced(coming, PATIENCE, now).count for now in (0, 9.9, 10.0)] == [0, 0, 2]
    there = with_copies(C, stand_ins=frozenset({1}))
    assert waiting.advanced(there, PATIENCE, now=1).complete


def test_copies_that_no_shard_brings_any_more_are_missed_all_the_same() -> None:
    """A shard whose first try failed may have seen a rollback before this router did."""
    waiting = BEGUN.advanced(with_copies(C, loading_stand_ins=frozenset({1})), PATIENCE, now=0)
    silent, there = with_copies(C), with_copies(C, stand_ins=frozenset({1}))
    assert [waiting.advanced(silent, PATIENCE, now).count for now in (1, 9.9, 10.0)] == [0, 0, 2]
    assert waiting.advanced(there, PATIENCE, now=1).complete


def test_a_shard_that_has_not_opened_the_version_may_have_copies_to_bring() -> None:
    """It has not said so yet; nor does it hold anybody up for ever."""
    topology = cluster({A: (0, 1), B: (0, 1)})
    facts = topology.replicas[C].facts
    assert facts is not None
    silent = topology.updated(C, replace(facts, generations=facts.generations[:1]))
    waiting = BEGUN.advanced(silent, PATIENCE, now=0)
    assert [waiting.advanced(silent, PATIENCE, now).count for now in (0, 9.9, 10.0)] == [0, 0, 2]
    assert waiting.advanced(topology, PATIENCE, now=1).complete


def test_copies_of_users_that_are_refused_hold_everything_up_for_good() -> None:
    """The version is refused whole."""
    bad = with_copies(C, refused_stand_ins=frozenset({1}))
    waiting = BEGUN.advanced(bad, PATIENCE, now=0).advanced(bad, PATIENCE, now=1000)
    assert (waiting.whole, waiting.count) == (False, 0)


def test_copies_that_were_refused_are_missed_until_somebody_has_them() -> None:
    """A shard that has heard of a recall before this router did has nothing more to say of them."""
    waiting = BEGUN.advanced(with_copies(C, refused_stand_ins=frozenset({1})), PATIENCE, now=0)
    silent, there = with_copies(C), with_copies(C, stand_ins=frozenset({1}))
    assert (waiting.advanced(silent, PATIENCE, now=1).count, waiting.advanced(silent, PATIENCE, now=1000).count) == (
        0,
        0,
    )
    assert waiting.advanced(silent, PATIENCE, now=1).advanced(there, PATIENCE, now=2).complete


def test_a_partition_that_is_refused_holds_the_others_up_for_good() -> None:
    """Unless another shard has it warm: then it was a bad copy."""
    bad = cluster({A: (0,), B: (0,)}, refused={C: (1,)})
    waiting = BEGUN.advanced(bad, PATIENCE, now=0).advanced(bad, PATIENCE, now=1000)
    assert waiting.moved == frozenset()
    other = cluster({A: (0, 1), B: (0,)}, refused={C: (1,)})
    assert waiting.advanced(other, PATIENCE, now=1000).moved == {0}


def test_what_was_whole_once_stays_so() -> None:
    """A shard that dies in the middle of a swap holds nobody up."""
    whole = BEGUN.advanced(cluster({A: (0, 1)}), PATIENCE, now=0)
    assert whole.advanced(cluster({A: (0,), B: (0,)}), PATIENCE, now=1).moved == {0}


def test_where_the_snapshot_before_is_gone_everything_has_moved_after_a_while() -> None:
    """There is nothing to wait with; a shard that has something of it again begins the time anew."""
    gone, back = cluster({A: (0,)}, old=(), refused={B: (1,)}), cluster({A: (0,)}, old=(1,), refused={B: (1,)})
    waiting = BEGUN.advanced(gone, PATIENCE, now=0)
    assert [waiting.advanced(gone, PATIENCE, now).complete for now in (9.9, 10.0)] == [False, True]
    assert not waiting.advanced(back, PATIENCE, now=9).advanced(gone, PATIENCE, now=12).complete


def test_shards_that_are_not_reached_have_lost_nothing() -> None:
    """A router that is cut off does not take that for a swap that is done."""
    nobody = Topology.of([A, B, C])
    assert not BEGUN.advanced(nobody, PATIENCE, now=0).advanced(nobody, PATIENCE, now=1000).complete


@given(
    looks=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from([A, B, C]), st.sets(st.integers(0, 1))),
            st.dictionaries(st.sampled_from([A, B, C]), st.sets(st.integers(0, 1))),
        ),
        max_size=8,
    )
)
def test_no_user_is_moved_to_a_version_of_which_something_was_only_ever_refused(
    looks: list[tuple[dict[str, set[int]], dict[str, set[int]]]],
) -> None:
    """Whatever shards report, and however long it takes."""
    moves, at_once = BEGUN, False
    for number, (warm, refused) in enumerate(looks):
        seen = cluster(
            {one: tuple(held) for one, held in warm.items()},
            refused={one: tuple(held) for one, held in refused.items()},
        )
        moves = moves.advanced(seen, PATIENCE, now=20.0 * number)
        at_once = at_once or not spoilt(seen, "v2")
        assert at_once or not moves.moved


def test_the_patience_begins_anew_where_the_one_replica_goes() -> None:
    """Two shards that were warm for five seconds each were never warm for ten."""
    waiting = WHOLE.advanced(cluster({A: (0,)}), PATIENCE, now=0).advanced(cluster({}), PATIENCE, now=5)
    again = waiting.advanced(cluster({B: (0,)}), PATIENCE, now=6)
    assert not again.advanced(cluster({B: (0,)}), PATIENCE, now=11).has(0)


def test_what_has_moved_stays_moved() -> None:
    """Users do not commute between snapshots when replicas die."""
    moved = BEGUN.advanced(cluster({A: (0, 1), B: (0, 1)}), PATIENCE, now=0)
    assert moved.advanced(cluster({}), PATIENCE, now=1).complete


def test_a_shard_that_leaves_does_not_count() -> None:
    """It will not be there to answer."""
    leaving = cluster({A: (0,), B: (0,)}, draining=B)
    assert not BEGUN.advanced(leaving, PATIENCE, now=0).has(0)


def test_without_a_snapshot_before_everything_has_moved() -> None:
    """There is nothing else to serve."""
    moves = Moves("v1", partitions=2).advanced(cluster({}), PATIENCE, now=0)
    assert (moves.complete, moves.has(1), moves.count) == (True, True, 2)


def test_a_look_that_changes_nothing_makes_no_new_value() -> None:
    """It is taken four times a second."""
    waiting = BEGUN.advanced(cluster({A: (0,)}), PATIENCE, now=0)
    assert waiting.advanced(cluster({A: (0,)}), PATIENCE, now=1) is waiting


def test_no_more_replicas_are_wanted_than_this_cluster_keeps() -> None:
    """One that holds everything once cannot be asked for two."""
    alone = Topology.of([A]).updated(A, ShardFacts(A, READY, (Generation("v1", frozenset({0})),)))
    single = Topology.of([A, B])
    for address, number in ((A, 0), (B, 1)):
        single = single.updated(address, ShardFacts(address, READY, (Generation("v1", frozenset({number})),)))
    assert [wanted(topology, "v1", 2) for topology in (alone, single, cluster({}))] == [1, 1, 2]
