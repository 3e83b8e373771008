"""What no other shard has is told from what routers say; where they say nothing, nobody else has anything."""

from __future__ import annotations

from shard.heard import Word
from shard.holdings import missing_of, planned, sole_of
from shard.placement import holders
from shard.scene import Kind, Limits, Peers, Piece, Plan, Scene, Sizes
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State

FIRST, SECOND = (Piece("v2", Kind.HOME, number) for number in (0, 1))
POINTER = Pointer(2, {"v2": State.CURRENT, "v1": State.PREVIOUS})


MEMBERS = frozenset({"own:1", "other:1"})


def scene(*others: dict[tuple[str, int], int], held: tuple[Piece, ...] = ()) -> Scene:
    """As a shard sees it that hears these words, and holds this."""
    words = tuple(Word(0.0, one) for one in others)
    return Scene(0.0, POINTER, {"v2": Sizes((1, 1))}, Peers("own:1", MEMBERS), held, words, Limits(0, 60.0))


def test_a_partition_is_another_shards_too_where_every_router_says_so() -> None:
    """One that does not know of it would have nobody to ask."""
    both, one = {("v2", 0): 1, ("v2", 1): 1}, {("v2", 0): 1}
    assert sole_of(scene(both, both), [FIRST, SECOND]) == frozenset()
    assert sole_of(scene(both, one), [FIRST, SECOND]) == {SECOND}
    assert sole_of(scene(), [FIRST, SECOND]) == {FIRST, SECOND}


def test_what_is_not_current_need_not_be_served_in_a_hurry() -> None:
    """Nor do stand-ins: they know of no events."""
    assert sole_of(scene(), [Piece("v1", Kind.HOME, 0), Piece("v2", Kind.STAND_IN, 0)]) == frozenset()


def test_what_nobody_has_of_any_version_is_missing() -> None:
    """One router that knows of a copy is enough: somebody is answered."""
    assert set(missing_of(scene(), [FIRST, SECOND])) == {FIRST, SECOND}
    assert missing_of(scene({}, {("v2", 0): 1}), [FIRST, SECOND]) == (SECOND,)
    assert missing_of(scene({("v1", 1): 2}), [FIRST, SECOND]) == (FIRST,)


def test_at_a_swap_nothing_is_missing() -> None:
    """The version before is served meanwhile, by this shard or by others."""
    before = tuple(Piece("v1", Kind.HOME, number) for number in (0, 1))
    assert missing_of(scene(held=before), [FIRST, SECOND, *before]) == ()


def test_the_words_are_gone_through_as_often_as_there_are_partitions_and_no_oftener() -> None:
    """With every piece that made way the same is asked of all partitions: at a swap of 256 that took 48 ms a plan."""

    class Counted(dict[tuple[str, int], int]):
        """What others hold, and how often it was asked for."""

        asked = 0

        def get(self, key: tuple[str, int], default: int = 0) -> int:  # type: ignore[override]
            """Asked for."""
            Counted.asked += 1
            return super().get(key, default)

    partitions = 64
    numbers = range(partitions)
    others = Counted({(version, number): 2 for version in ("v0", "v2") for number in numbers})
    held = tuple(Piece(version, Kind.HOME, number) for version in ("v0", "v2") for number in numbers)
    sizes = {version: Sizes((1,) * partitions) for version in ("v0", "v2")}
    pointer = Pointer(3, {"v2": State.CURRENT, "v0": State.RETIRED})
    seen = Scene(0.0, pointer, sizes, Peers("own:1", MEMBERS), held, (Word(9.0, others),), Limits(0, 60.0))
    plan = planned(seen, Plan())
    assert {piece.version for piece in plan.idle} == {"v0"}
    assert len(plan.idle) == partitions
    assert Counted.asked <= 4 * partitions


def test_shards_that_start_together_begin_with_different_partitions() -> None:
    """Each with those that are its own before anybody else's."""
    wanted = [Piece("v2", Kind.HOME, number) for number in range(16)]
    own = [one for one in wanted if holders(one.number, MEMBERS, 1) == ("own:1",)]
    assert 0 < len(own) < len(wanted)
    assert missing_of(scene(), wanted)[: len(own)] == tuple(own)
