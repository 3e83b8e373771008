"""Which shards hold which partitions: a function of the membership, under which little moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from shard.placement import holders, share

PARTITIONS = 64

names = st.text("abcdef0123456789.:-", min_size=1, max_size=12)
memberships = st.sets(names, min_size=1, max_size=8)
replicas = st.integers(1, 4)


@given(shards=memberships, count=replicas, partition=st.integers(0, 10_000))
def test_a_partition_has_as_many_distinct_holders_as_asked_for(shards: set[str], count: int, partition: int) -> None:
    """R different members hold it, or all where there are fewer."""
    held_by = holders(partition, shards, count)
    assert len(set(held_by)) == len(held_by) == min(count, len(shards))
    assert set(held_by) <= shards


@given(shards=memberships, count=replicas)
def test_every_partition_is_held_as_often_as_asked_for(shards: set[str], count: int) -> None:
    """The shares that shards compute for themselves add up to every partition, R times."""
    held = Counter(number for name in shards for number in share(name, shards, PARTITIONS, count))
    assert held == dict.fromkeys(range(PARTITIONS), min(count, len(shards)))


@given(shards=memberships, newcomer=names, count=replicas)
def test_a_newcomer_moves_only_what_it_takes(shards: set[str], newcomer: str, count: int) -> None:
    """A partition's holders change only by the newcomer's taking the place of the last of them."""
    assume(newcomer not in shards)
    for partition in range(PARTITIONS):
        before = holders(partition, shards, count)
        after = holders(partition, shards | {newcomer}, count)
        if newcomer in after:
            assert [name for name in after if name != newcomer] == list(before[: len(after) - 1])
        else:
            assert after == before


@given(shards=st.sets(names, min_size=2, max_size=8), count=replicas, data=st.data())
def test_a_shard_that_leaves_moves_only_what_it_held(shards: set[str], count: int, data: st.DataObject) -> None:
    """Partitions that it did not hold stay where they are; the others keep their remaining holders, in order."""
    leaver = data.draw(st.sampled_from(sorted(shards)))
    for partition in range(PARTITIONS):
        before = holders(partition, shards, count)
        after = holders(partition, shards - {leaver}, count)
        kept = [name for name in before if name != leaver]
        assert list(after[: len(kept)]) == kept
        assert leaver in before or after == before


@given(shards=st.permutations(["a:1", "b:1", "c:1", "d:1"]), count=replicas)
def test_the_order_of_the_membership_does_not_matter(shards: list[str], count: int) -> None:
    """Two shards that were told the same members in different orders agree."""
    assert holders(5, shards, count) == holders(5, sorted(shards), count)


@given(shards=memberships, count=replicas)
def test_a_member_named_twice_counts_once(shards: set[str], count: int) -> None:
    """A repeated address in the membership takes nobody else's place."""
    assert holders(5, [*shards, *shards], count) == holders(5, shards, count)


def test_shares_are_balanced_within_reason() -> None:
    """Of 1,024 partitions on eight shards, none holds more than a third above the mean."""
    shards = [f"shard-{number}.shards:7451" for number in range(8)]
    sizes = [len(share(name, shards, 1024, 2)) for name in shards]
    assert max(sizes) <= 4 / 3 * 1024 * 2 / 8


def test_a_stranger_to_the_membership_holds_nothing() -> None:
    """A shard that its own membership does not name has no share."""
    assert share("z:1", ["a:1", "b:1"], PARTITIONS, 2) == ()
