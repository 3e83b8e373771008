"""Whose features are asked for, and which shard is asked for whom. Pure.

Rules:

1. Every shard that follows the log can tell of everybody, and of every item. Where it has no room for all, it keeps
   those who live in what it holds for longest: a user is asked for at home, where somebody holds that.
2. Items, and users whose home nobody holds or knows, are asked of a shard that is asked already, or of the one with the
   least to do.
3. Who failed to tell is not asked again; who is unwell, or leaves, is asked where nobody else is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from router.asking import selection
from router.asking.selection import Grouping, Load
from router.cluster.topology import Topology
from router.slates import validate
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import features_pb2 as pb

KEYS_MAX = 100
"""Users, and items, of one request."""


@dataclass(frozen=True, slots=True)
class Key:
    """A user or an item that is asked for.

    Attributes:
        is_item: or a user.
        place: in the request.
        id: of it.
        partition: a user's home; None for items, and for users whom nobody knows.
    """

    is_item: bool
    place: int
    id: str
    partition: int | None = None


Groups = dict[str, list[Key]]
"""Who is asked for what, by address."""


def check(request: pb.GetFeaturesRequest) -> None:
    """Refuse what cannot be asked for.

    Raises:
        InvalidArgument: naming the first field at fault.
    """
    if not request.user_ids and not request.item_ids:
        message = f"user_ids: neither users nor items given; 1 to {KEYS_MAX} of each are allowed"
        raise InvalidArgument(message, field="user_ids", reason="KEYS_EMPTY")
    for field, reason, ids in (("user_ids", "USER_ID", request.user_ids), ("item_ids", "ITEM_ID", request.item_ids)):
        validate.check_count(field, f"{reason}S", ids, KEYS_MAX)
        for index, one in enumerate(ids):
            validate.check_id(f"{field}[{index}]", reason, one)


def keys_of(request: pb.GetFeaturesRequest, home: Callable[[str], int | None]) -> list[Key]:
    """Everybody that is asked for, in the order of the request.

    Args:
        request: valid.
        home: of a user; None for one whom nobody knows.
    """
    users = [Key(False, place, one, home(one)) for place, one in enumerate(request.user_ids)]
    return users + [Key(True, place, one) for place, one in enumerate(request.item_ids)]


def grouped(
    keys: Sequence[Key],
    at_home: Callable[[Iterable[int]], Grouping],
    anybody: Callable[[], Sequence[str]],
) -> tuple[Groups, list[Key]]:
    """Who is asked for what, and what nobody can be asked for.

    Args:
        keys: to ask for.
        at_home: whom to ask for partitions.
        anybody: who might be asked for anything, best first.
    """
    homes = at_home(sorted({key.partition for key in keys if key.partition is not None}))
    by_home = {number: address for address, numbers in homes.by_address.items() for number in numbers}
    groups: Groups = {}
    others: list[Key] = []
    for key in keys:
        address = by_home.get(key.partition) if key.partition is not None else None
        if address is None:
            others.append(key)
        else:
            groups.setdefault(address, []).append(key)
    if not others:
        return groups, []
    able = anybody()
    chosen = next((address for address in able if address in groups), able[0] if able else None)
    if chosen is None:
        return groups, others
    groups.setdefault(chosen, []).extend(others)
    return groups, []


def reachable(
    topology: Topology, load: Load, tick: int, failed: Collection[str], last: Collection[str]
) -> Sequence[str]:
    """Who might be asked for anything, best first."""
    up = tuple(address for address, view in topology.replicas.items() if view.reachable)
    found = selection.by_load(selection.staying(selection.without(up, failed), topology), load, tick)
    return selection.well_first(found, last)
