"""The cluster's view is a value, and its index follows the facts."""

from __future__ import annotations

from router.cluster.topology import Generation, ShardFacts, Topology
from trunkshow.v1 import shard_pb2

A, B = "a:1", "b:1"


def holding(*warm: int, version: str = "v1", requests: int = 0) -> ShardFacts:
    """A ready shard with these partitions."""
    return ShardFacts("s", shard_pb2.SHARD_STATE_READY, (Generation(version, frozenset(warm)),), requests)


def test_nobody_holds_anything_before_the_first_report() -> None:
    """A membership is not yet a cluster."""
    assert Topology.of([A, B]).holders("v1", 0) == ()


def test_who_reports_a_partition_warm_holds_it() -> None:
    """Holders come in the order of the membership."""
    topology = Topology.of([A, B]).updated(B, holding(1, 2)).updated(A, holding(0, 1))
    assert [topology.holders("v1", partition) for partition in range(3)] == [(A,), (A, B), (B,)]


def test_a_lost_shard_holds_nothing() -> None:
    """What cannot be reached cannot be asked."""
    topology = Topology.of([A, B]).updated(A, holding(0)).updated(B, holding(0)).lost(A, "gone")
    assert topology.holders("v1", 0) == (B,)


def test_a_lost_shard_keeps_its_last_facts_and_its_error() -> None:
    """A person wants to know what it was, and why it went."""
    view = Topology.of([A]).updated(A, holding(0)).lost(A, "silent for 3 s").replicas[A]
    assert (view.reachable, view.facts, view.last_error) == (False, holding(0), "silent for 3 s")


def test_a_shard_that_comes_back_has_no_error() -> None:
    """The error belongs to the loss."""
    view = Topology.of([A]).lost(A, "refused").updated(A, holding(0)).replicas[A]
    assert (view.reachable, view.last_error) == (True, "")


def test_an_update_leaves_the_value_before_it_alone() -> None:
    """Who decides over a topology sees it unchanged to the end."""
    before = Topology.of([A]).updated(A, holding(0))
    before.lost(A, "gone")
    assert before.holders("v1", 0) == (A,)


def test_a_sign_of_life_does_not_rebuild_the_index() -> None:
    """Only facts about partitions cost anything."""
    before = Topology.of([A]).updated(A, holding(0, requests=1))
    after = before.updated(A, holding(0, requests=2))
    assert after._indexes is before._indexes


def test_another_version_is_no_holder_but_is_noticed() -> None:
    """A cluster on another snapshot explains why nobody answers."""
    topology = Topology.of([A]).updated(A, holding(0, version="v2"))
    assert (topology.holders("v1", 0), topology.serves_other_than("v1")) == ((), True)


def test_a_previous_version_beside_this_one_is_no_mismatch() -> None:
    """A partition that nobody holds is missed because its holders are gone, not because of a snapshot."""
    generations = tuple(Generation(version, frozenset({0})) for version in ("v0", "v1"))
    facts = ShardFacts("s", shard_pb2.SHARD_STATE_READY, generations)
    topology = Topology.of([A, B]).updated(A, facts)
    assert (topology.holders("v1", 1), topology.serves_other_than("v1")) == ((), False)


def test_coverage_counts_partitions_once() -> None:
    """Two replicas of a partition cover it once."""
    topology = Topology.of([A, B]).updated(A, holding(0, 1)).updated(B, holding(1, 2))
    assert topology.covered("v1") == 3


def standing_in(*homes: int, version: str = "v1") -> ShardFacts:
    """A ready shard with compact copies of these homes' users."""
    generation = Generation(version, frozenset(), stand_ins=frozenset(homes))
    return ShardFacts("s", shard_pb2.SHARD_STATE_READY, (generation,))


def test_who_has_a_compact_copy_is_found_by_home() -> None:
    """Apart from those who hold the home itself."""
    topology = Topology.of([A, B]).updated(A, holding(0)).updated(B, standing_in(0, 1))
    assert (topology.stand_ins("v1", 0), topology.stand_ins("v1", 2), topology.holders("v1", 1)) == ((B,), (), ())


def test_a_shard_that_joins_is_known_before_it_was_heard() -> None:
    """And the others' facts stand."""
    topology = Topology.of([A]).updated(A, holding(0)).with_members([A, B])
    assert (topology.holders("v1", 0), topology.replicas[B].reachable) == ((A,), False)


def test_who_is_no_member_any_more_is_still_asked_until_it_is_forgotten() -> None:
    """A shard that the membership dropped may be the last to hold a partition."""
    dropped = Topology.of([A, B]).updated(A, holding(0)).with_members([B])
    assert (dropped.holders("v1", 0), dropped.replicas[A].stays) == ((A,), False)
    assert dropped.without(A).holders("v1", 0) == ()


def test_who_is_named_again_is_a_member_again() -> None:
    """Membership lists flicker."""
    topology = Topology.of([A]).updated(A, holding(0)).with_members([B]).with_members([A, B])
    assert topology.replicas[A].stays
