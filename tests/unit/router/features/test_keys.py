"""Who is asked for whose features: users at home, all others where somebody is asked anyway."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from router.asking.selection import Grouping
from router.cluster.topology import Generation, ShardFacts, Topology
from router.features.keys import KEYS_MAX, Key, check, grouped, keys_of, reachable
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import features_pb2 as pb
from trunkshow.v1 import shard_pb2


@pytest.mark.parametrize(
    ("request_", "field", "reason"),
    [
        (pb.GetFeaturesRequest(), "user_ids", "KEYS_EMPTY"),
        (pb.GetFeaturesRequest(user_ids=["u"] * (KEYS_MAX + 1)), "user_ids", "USER_IDS_TOO_MANY"),
        (pb.GetFeaturesRequest(item_ids=["i"] * (KEYS_MAX + 1)), "item_ids", "ITEM_IDS_TOO_MANY"),
        (pb.GetFeaturesRequest(user_ids=["u", ""]), "user_ids[1]", "USER_ID_EMPTY"),
        (pb.GetFeaturesRequest(item_ids=["é" * 129]), "item_ids[0]", "ITEM_ID_TOO_LONG"),
    ],
)
def test_what_breaks_the_contract_is_refused(request_: pb.GetFeaturesRequest, field: str, reason: str) -> None:
    """The field is named as the contract writes it."""
    with pytest.raises(InvalidArgument) as refused:
        check(request_)
    assert (refused.value.field, refused.value.reason) == (field, reason)


def test_as_many_as_are_allowed_may_be_asked_for() -> None:
    """Of both."""
    check(pb.GetFeaturesRequest(user_ids=["u"] * KEYS_MAX, item_ids=["i" * 256] * KEYS_MAX))


def test_the_same_user_may_be_asked_for_twice() -> None:
    """Each place of the request is answered."""
    keys = keys_of(pb.GetFeaturesRequest(user_ids=["u", "u"], item_ids=["u"]), {"u": 3}.get)
    assert keys == [Key(False, 0, "u", 3), Key(False, 1, "u", 3), Key(True, 0, "u")]
    assert len(set(keys)) == 3


def at_home(partitions: Iterable[int]) -> Grouping:
    """Shard a holds 0, b holds 1, and nobody 2."""
    by_address = {"a": [0], "b": [1]}
    asked = set(partitions)
    return Grouping(
        {address: held for address, held in by_address.items() if asked.intersection(held)}, sorted(asked - {0, 1})
    )


def ids(groups: dict[str, list[Key]]) -> dict[str, list[str]]:
    return {address: [key.id for key in keys] for address, keys in groups.items()}


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        (["c", "b", "a"], {"a": ["ann"], "b": ["bob", "cid", "dan", "hat"]}),
        (["c"], {"a": ["ann"], "b": ["bob"], "c": ["cid", "dan", "hat"]}),
    ],
    ids=["somebody who is asked anyway", "somebody else"],
)
def test_users_are_asked_for_at_home_and_all_others_anywhere(
    able: Sequence[str], expected: dict[str, list[str]]
) -> None:
    """A stranger, a user whose home nobody holds, and items, at one shard."""
    users = [Key(False, place, one, home) for place, (one, home) in enumerate(zip(["ann", "bob"], [0, 1], strict=True))]
    others = [Key(False, 2, "cid", 2), Key(False, 3, "dan"), Key(True, 0, "hat")]
    groups, nobodys = grouped([*users, *others], at_home, lambda: able)
    assert (ids(groups), nobodys) == (expected, [])


def test_what_nobody_can_be_asked_for_is_said() -> None:
    """Those at home are asked for all the same."""
    keys = [Key(False, 0, "ann", 0), Key(True, 0, "hat")]
    groups, nobodys = grouped(keys, at_home, list)
    assert (ids(groups), nobodys) == ({"a": ["ann"]}, keys[1:])


def topology(*up: str, draining: str = "", down: str = "") -> Topology:
    """Shards that say they are well, one that drains, one that is lost."""
    made = Topology.of([*up, *draining, *down])
    for address in up:
        made = made.updated(address, ShardFacts(address, shard_pb2.SHARD_STATE_READY, (Generation("v", frozenset()),)))
    for address in draining:
        made = made.updated(address, ShardFacts(address, shard_pb2.SHARD_STATE_DRAINING))
    for address in down:
        made = made.lost(address, "gone")
    return made


@pytest.mark.parametrize(
    ("seen", "tried", "last", "expected"),
    [
        (topology("a", "b", draining="c", down="d"), (), (), ("b", "a")),
        (topology("a", "b", draining="c"), (), ("b",), ("a", "b")),
        (topology("a", "b", draining="c"), ("a", "b"), (), ("c",)),
        (topology("a", down="b"), ("a",), (), ()),
    ],
    ids=["the least loaded first", "who is unwell last", "who drains where nobody else is left", "nobody"],
)
def test_anybody_is_whoever_is_up_and_was_not_asked(
    seen: Topology, tried: Sequence[str], last: Sequence[str], expected: tuple[str, ...]
) -> None:
    """As for slates."""
    assert reachable(seen, {"a": 2, "b": 1, "c": 0}.__getitem__, 0, tried, last) == expected
