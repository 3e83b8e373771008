"""A partition's traffic moves to a new snapshot once enough replicas have it warm, and stays there."""

from __future__ import annotations

from router.moving import Moves, Patience, wanted
from router.topology import Generation, ShardFacts, Topology
from trunkshow.v1 import shard_pb2

A, B, C = "a:1", "b:1", "c:1"
READY, DRAINING = shard_pb2.SHARD_STATE_READY, shard_pb2.SHARD_STATE_DRAINING
PATIENCE = Patience(replicas=2, patience_s=10)
BEGUN = Moves("v2", before="v1", partitions=2)


def cluster(warm: dict[str, tuple[int, ...]], *, old: tuple[int, ...] = (0, 1), draining: str = "") -> Topology:
    """Three shards that all hold v1, and of v2 what is given."""
    topology = Topology.of([A, B, C])
    for address in (A, B, C):
        state = DRAINING if address == draining else READY
        generations = (Generation("v1", frozenset(old)), Generation("v2", frozenset(warm.get(address, ()))))
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
    waiting = BEGUN.advanced(warm, PATIENCE, now=0)
    assert [waiting.advanced(warm, PATIENCE, now).has(0) for now in (9.9, 10.0)] == [False, True]


def test_the_patience_begins_anew_where_the_one_replica_goes() -> None:
    """Two shards that were warm for five seconds each were never warm for ten."""
    waiting = BEGUN.advanced(cluster({A: (0,)}), PATIENCE, now=0).advanced(cluster({}), PATIENCE, now=5)
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
