"""Whatever fails, in whatever combination: a valid request gets a slate, the best that could be had, and the truth."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "router"))

from ladder_world import (
    BUDGET_MS,
    FATES,
    HOME,
    OF_MODEL,
    OLD_STAND_IN,
    PREVIOUS,
    RUNG,
    SOLD_OUT,
    STAND_IN,
    Place,
    World,
)

from router.answering.recommend import WORTH_A_STEP_MS
from router.slates.descent import STEP_SHARE
from trunkshow.v1 import recommendation_pb2 as pb

WORLDS = st.fixed_dictionaries({place: st.sampled_from(FATES) for place in RUNG})
ORDER = {True: (HOME, PREVIOUS, STAND_IN, OLD_STAND_IN), False: (PREVIOUS, HOME, STAND_IN, OLD_STAND_IN)}
NOT_MADE = frozenset({"nobody", "fails", "is late", "garbles", "says nothing", "forgot the user"})


def expected(fates: Mapping[Place, str], *, moved: bool) -> tuple[list[pb.Rung], str]:
    """The rungs of for-you and popular, and the version of the answer, by the rules as a person would apply them."""
    found: dict[str, tuple[pb.Rung, str]] = {}
    left_ms, empty = float(BUDGET_MS), False
    places = [place for place in ORDER[moved] if fates[place] != "nobody" or place == ORDER[moved][0]]
    for place in places:
        fate, rung = fates[place], RUNG[place]
        if not moved and not place[1]:
            rung = pb.RUNG_SNAPSHOT
        needed = {"for-you", "popular"} - found.keys() - ({"for-you"} if empty else set())
        if not needed or (left_ms < WORTH_A_STEP_MS and place != places[0]):
            break
        if fate == "is late":
            left_ms *= 0 if place[1] else 1 - STEP_SHARE
        elif fate != "nobody":
            left_ms -= 2
        if fate not in NOT_MADE:
            found.setdefault("popular", (rung, place[0]))
            if fate == "is empty":
                empty = True
            elif fate not in OF_MODEL and not empty:
                found.setdefault("for-you", (rung, place[0]))
    best = next((version for _, version in found.values()), ORDER[moved][0][0])
    for_you, _ = found.get("for-you", (pb.RUNG_SEGMENT, best))
    popular, _ = found.get("popular", (pb.RUNG_POPULAR if "for-you" not in found else pb.RUNG_SEGMENT, best))
    return [for_you, popular], best


@settings(max_examples=400, deadline=None)
@given(fates=WORLDS, moved=st.booleans())
def test_a_known_user_gets_the_best_slate_that_is_left(fates: dict[Place, str], moved: bool) -> None:
    """Never empty, no item twice, each carousel of the best rung, in time; and the receipt's story holds together."""
    world = World(fates, moved=moved)
    slate = world.slate()
    receipt = slate.receipt
    forgotten_at_home = fates[ORDER[moved][0]] == "forgot the user"

    assert [carousel.id for carousel in slate.carousels] == (["for-you", "popular"])
    items = [item.item_id for carousel in slate.carousels for item in carousel.items]
    assert all(carousel.items for carousel in slate.carousels)
    assert len(items) == len(set(items))
    assert receipt.elapsed_ms <= BUDGET_MS + 0.001
    assert receipt.rung == slate.carousels[0].rung
    if not forgotten_at_home:
        rungs, version = expected(fates, moved=moved)
        assert [carousel.rung for carousel in slate.carousels] == rungs
        assert receipt.snapshot_version == version
    told_of(world, slate)


def told_of(world: World, slate: pb.RecommendResponse) -> None:
    """Every asking is in the receipt, and nothing but what is; every step down has a reason."""
    receipt = slate.receipt
    assert len(receipt.attempts) == len(world.shards.asked)
    assert [attempt.rung for attempt in receipt.attempts] == [predict.rung for _, predict in world.shards.asked]
    blamed = {
        OF_MODEL[world.fates[place]]
        for place, predict in world.shards.asked
        if world.fates[place] in OF_MODEL and world.fates[place] != "is empty" and "for-you" in predict.carousels
    }
    assert {failure.reason for failure in receipt.model_failures} == blamed
    assert blamed <= set(receipt.reasons)
    if any(carousel.rung != pb.RUNG_SNAPSHOT for carousel in slate.carousels):
        assert receipt.reasons
    assert receipt.partitions_answered <= receipt.partitions_asked


@settings(max_examples=300, deadline=None)
@given(fates=WORLDS, moved=st.booleans(), whole=st.booleans(), stranger=st.booleans())
def test_every_item_is_available_in_the_one_snapshot_that_the_receipt_names(
    fates: dict[Place, str], moved: bool, whole: bool, stranger: bool
) -> None:
    """Where others are sold out in the new snapshot than in the old one; nothing comes from it until it is whole."""
    world = World(fates, moved=moved, whole=whole or moved, restocked=True)
    slate = world.slate(**({"user_id": "stranger", "context_item_ids": ["i38"]} if stranger else {}))
    rows = {int(item.item_id.removeprefix("i")) for carousel in slate.carousels for item in carousel.items}
    assert rows
    assert rows.isdisjoint(SOLD_OUT[slate.receipt.snapshot_version])
    if not (whole or moved):
        assert {version for (version, _), _ in world.shards.asked} <= {"v1"}


@settings(max_examples=150, deadline=None)
@given(fates=WORLDS, moved=st.booleans(), worst=st.sampled_from([0, *sorted(set(RUNG.values())), pb.RUNG_POPULAR]))
def test_who_would_rather_have_an_error_gets_one_exactly_where_the_slate_would_be_too_low(
    fates: dict[Place, str], moved: bool, worst: pb.Rung
) -> None:
    """And no slate is ever below what was accepted."""
    from trunkshow.errors import PartialAborted

    floor = worst or pb.RUNG_SNAPSHOT
    lowest = max(carousel.rung for carousel in World(fates, moved=moved).slate().carousels)
    try:
        got = World(fates, moved=moved).slate(partial=pb.PARTIAL_ABORT, worst_rung=worst)
    except PartialAborted:
        assert lowest > floor
    else:
        assert max(carousel.rung for carousel in got.carousels) <= floor
