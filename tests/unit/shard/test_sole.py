"""What no other shard has is told from what routers say; where they say nothing, nobody else has anything."""

from __future__ import annotations

from shard.heard import Word
from shard.holdings import sole_of
from shard.scene import Kind, Limits, Peers, Piece, Scene, Sizes
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State

FIRST, SECOND = (Piece("v2", Kind.HOME, number) for number in (0, 1))
POINTER = Pointer(2, {"v2": State.CURRENT, "v1": State.PREVIOUS})


def scene(*others: dict[tuple[str, int], int]) -> Scene:
    """As a shard sees it that hears these words."""
    words = tuple(Word(0.0, one) for one in others)
    peers = Peers("own:1", frozenset({"own:1", "other:1"}))
    return Scene(0.0, POINTER, {"v2": Sizes((1, 1))}, peers, (), words, Limits(0, 60.0))


def test_a_partition_is_another_shards_too_where_every_router_says_so() -> None:
    """One that does not know of it would have nobody to ask."""
    both, one = {("v2", 0): 1, ("v2", 1): 1}, {("v2", 0): 1}
    assert sole_of(scene(both, both), [FIRST, SECOND]) == frozenset()
    assert sole_of(scene(both, one), [FIRST, SECOND]) == {SECOND}
    assert sole_of(scene(), [FIRST, SECOND]) == {FIRST, SECOND}


def test_what_is_not_current_need_not_be_served_in_a_hurry() -> None:
    """Nor do stand-ins: they know of no events."""
    assert sole_of(scene(), [Piece("v1", Kind.HOME, 0), Piece("v2", Kind.STAND_IN, 0)]) == frozenset()
