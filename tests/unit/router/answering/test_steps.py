"""What is broken, and which rung each carousel then gets: one row per case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ladder_world import (
    BUDGET_MS,
    FATES,
    HOME,
    OF_MODEL,
    OLD_STAND_IN,
    PREVIOUS,
    SOLD_OUT,
    STAND_IN,
    Place,
    World,
)

from router.answering.counters import Answered
from router.served import route
from router.served.moving import Patience
from router.served.views import Candidate, Views
from router.slates.receipt import Asking
from trunkshow.errors import InvalidArgument, PartialAborted
from trunkshow.serving.deadline import Deadline
from trunkshow.snapshot.states import State
from trunkshow.v1 import recommendation_pb2 as pb

S, P, C, G, T = pb.RUNG_SNAPSHOT, pb.RUNG_PREVIOUS, pb.RUNG_STAND_IN, pb.RUNG_SEGMENT, pb.RUNG_POPULAR
WELL = {HOME: "answers", PREVIOUS: "answers", STAND_IN: "answers", OLD_STAND_IN: "answers"}
GONE = ("nobody", "fails", "is late", "garbles", "says nothing")


def rungs(slate: pb.RecommendResponse) -> list[int]:
    """Of for-you and popular."""
    assert [carousel.id for carousel in slate.carousels] == ["for-you", "popular"]
    return [carousel.rung for carousel in slate.carousels]


MATRIX = [
    ("everything is well", {}, [S, S]),
    *((f"home {fate}", {HOME: fate}, [P, P]) for fate in GONE),
    *((f"home and previous: {fate}", {HOME: fate, PREVIOUS: fate}, [C, C]) for fate in GONE),
    *((f"only the old stand-in is left: {fate}", dict.fromkeys((HOME, PREVIOUS, STAND_IN), fate), [C, C])
      for fate in GONE if fate != "is late"),
    *((f"everybody: {fate}", dict.fromkeys(WELL, fate), [G, T]) for fate in GONE),
    *((f"home's model {fate}", {HOME: fate}, [P, S]) for fate in OF_MODEL if fate != "is empty"),
    *((f"home's and previous's model {fate}", {HOME: fate, PREVIOUS: fate}, [C, S])
      for fate in OF_MODEL if fate != "is empty"),
    *((f"everybody's model {fate}", dict.fromkeys(WELL, fate), [G, S]) for fate in OF_MODEL),
    ("home's carousel is empty", {HOME: "is empty"}, [G, S]),
    ("home fails, and previous's carousel is empty", {HOME: "fails", PREVIOUS: "is empty"}, [G, P]),
    ("home fails, and previous's model raises", {HOME: "fails", PREVIOUS: "raises"}, [C, P]),
    ("home's model raises, and previous has forgotten the user", {HOME: "raises", PREVIOUS: "forgot the user"}, [C, S]),
    ("home's model raises, and previous fails", {HOME: "raises", PREVIOUS: "fails"}, [C, S]),
    ("home's model raises, and nobody else is there",
     {HOME: "raises", PREVIOUS: "nobody", STAND_IN: "nobody", OLD_STAND_IN: "nobody"}, [G, S]),
]  # fmt: skip


@pytest.mark.parametrize(("fates", "expected"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_each_carousel_gets_the_best_rung_that_is_left(fates: dict[Place, str], expected: list[int]) -> None:
    """By itself: the rest of the slate stands. For-you uses up the segment's list."""
    assert rungs(World({**WELL, **fates}).slate()) == expected


@pytest.mark.parametrize(("fates", "expected"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_no_item_comes_twice_whichever_steps_were_taken(fates: dict[Place, str], expected: list[int]) -> None:
    """The places here show some of the same items, and do not heed what they are told to leave out."""
    del expected
    slate = World({**WELL, **fates}).slate()
    items = [item.item_id for carousel in slate.carousels for item in carousel.items]
    assert len(items) == len(set(items))


@pytest.mark.parametrize(("fates", "expected"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_the_answer_is_there_in_time(fates: dict[Place, str], expected: list[int]) -> None:
    """Whoever hangs."""
    del expected
    assert World({**WELL, **fates}).slate().receipt.elapsed_ms <= BUDGET_MS


def test_only_what_is_missing_is_asked_for_and_what_is_shown_is_ruled_out() -> None:
    """A lower place works for the gap alone."""
    world = World({**WELL, HOME: "raises"})
    world.slate(exclude_item_ids=["i30"])
    place, predict = world.shards.asked[1]
    inner = pb.RecommendRequest.FromString(predict.request)
    assert (place, list(predict.carousels)) == (PREVIOUS, ["for-you"])
    assert list(inner.exclude_item_ids) == ["i30", "i5", "i6", "i7", "i8", "i9"]


def test_an_empty_carousel_is_not_asked_for_elsewhere() -> None:
    """That it is empty is an answer."""
    world = World({**WELL, HOME: "is empty"})
    world.slate()
    assert [place for place, _ in world.shards.asked] == [HOME]


def test_one_who_hangs_leaves_time_for_the_next() -> None:
    """Two thirds of what is left, each."""
    world = World({**WELL, HOME: "is late"})
    receipt = world.slate().receipt
    assert [(stage.name, round(stage.ms)) for stage in receipt.stages] == [("shard", 123), ("previous", 2)]
    assert [round(stage.budget_ms) for stage in receipt.stages] == [123, 41]


def test_where_nobody_else_is_left_the_home_gets_all_the_time() -> None:
    """Nothing is kept for a step that cannot be taken."""
    world = World({HOME: "is late"}, previous=False)
    assert round(world.slate().receipt.stages[0].budget_ms) == BUDGET_MS


def test_the_receipt_tells_the_whole_way_down() -> None:
    """Every asking with its rung and outcome, every model that failed, and why."""
    receipt = World({**WELL, HOME: "raises", PREVIOUS: "fails"}).slate().receipt
    assert [(one.outcome, one.rung) for one in receipt.attempts] == [
        (pb.OUTCOME_ANSWERED, S),
        (pb.OUTCOME_FAILED, P),
        (pb.OUTCOME_ANSWERED, C),
    ]
    assert [(one.carousel, one.model, one.reason) for one in receipt.model_failures] == [
        ("for-you", "ials", pb.REASON_MODEL_FAILED)
    ]
    assert list(receipt.reasons) == [pb.REASON_MODEL_FAILED, pb.REASON_SHARD_FAILED]
    assert (receipt.partitions_asked, receipt.partitions_answered) == (3, 2)
    assert (receipt.snapshot_version, receipt.effort, receipt.budget_ms) == ("v2", pb.EFFORT_FULL, 200)


def test_the_best_place_that_made_anything_is_the_snapshot_that_the_receipt_names() -> None:
    """Whichever carousel it made: what comes from further down has to fit."""
    slate = World({**WELL, HOME: "raises"}).slate()
    assert (rungs(slate), slate.receipt.snapshot_version) == ([P, S], "v2")


def test_the_version_in_the_receipt_is_the_one_that_the_slate_is_from() -> None:
    """Also where it was passed on unread."""
    assert World({**WELL, HOME: "fails"}).slate().receipt.snapshot_version == "v1"


# --- while traffic moves ---


def test_before_it_has_moved_a_partition_is_served_from_the_snapshot_before() -> None:
    """That is no step down: nobody was promised the new one yet."""
    slate = World(WELL, moved=False).slate()
    assert (rungs(slate), slate.receipt.snapshot_version) == ([S, S], "v1")


def test_before_it_has_moved_the_new_snapshot_stands_in_for_the_old() -> None:
    """Where nobody answers for the old one, and somebody has the new one warm."""
    slate = World({**WELL, PREVIOUS: "fails"}, moved=False).slate()
    assert (rungs(slate), slate.receipt.snapshot_version) == ([S, S], "v2")


@pytest.mark.parametrize("fate", FATES)
def test_nothing_is_asked_of_a_new_snapshot_before_it_is_whole(fate: str) -> None:
    """What nobody has looked at yet may be spoilt: neither its partitions nor its users' copies stand in."""
    world = World({**WELL, PREVIOUS: fate, OLD_STAND_IN: fate}, moved=False, whole=False)
    slate = world.slate()
    assert {version for (version, _), _ in world.shards.asked} <= {"v1"}
    assert slate.receipt.snapshot_version == "v1"


def test_a_new_snapshot_stands_in_where_nobody_has_anything_of_the_one_before() -> None:
    """As after a restart of everything: there is nothing else to serve."""
    world = World({HOME: "answers"}, moved=False, whole=False)
    world.views = world.views.moved_on(world.views.moves.advanced(world.board.topology, Patience(), world.now()))
    assert rungs(world.slate()) == [S, S]


def test_a_filter_that_the_snapshot_before_does_not_know_is_asked_of_the_new_one() -> None:
    """A request is valid by the current snapshot."""
    world = World(WELL, moved=False)
    known = world.views.previous
    assert known is not None
    slate = world.slate(carousels=["for-you"])
    assert slate.receipt.snapshot_version == "v1"
    object.__setattr__(known, "known", type(known.known)(frozenset({"popular"}), ()))
    try:
        slate = world.slate(carousels=["for-you"])
    finally:
        object.__setattr__(known, "known", world.views.current.known)
    assert slate.receipt.snapshot_version == "v2"


@pytest.mark.parametrize("user", [{}, {"user_id": "stranger", "context_item_ids": ["i38"]}], ids=["known", "stranger"])
def test_a_previous_snapshot_that_turned_out_to_be_spoilt_is_not_asked_from_its_other_partitions(
    user: dict[str, object],
) -> None:
    """It was overtaken before anybody took it back: neither its partitions nor its users' copies are asked."""
    elsewhere = 3  # u0 lives in partition 0, and i38 is nearest to 2
    world = World({**WELL, HOME: "fails", STAND_IN: "fails"}, refused=[elsewhere])
    world.slate(**user)
    assert {version for (version, _), _ in world.shards.asked} == {"v2"}


def test_what_really_serves_is_asked_although_a_shard_refused_some_of_it() -> None:
    """A disk that fails is no reason to give the rest up."""
    slate = World(WELL, moved=False, refused=[3]).slate()
    assert (rungs(slate), slate.receipt.snapshot_version) == ([S, S], "v1")
    lower = World({**WELL, PREVIOUS: "fails", HOME: "fails", STAND_IN: "fails"}, moved=False, refused=[3]).slate()
    assert (rungs(lower), lower.receipt.snapshot_version) == ([C, C], "v1")


# --- an answer is of one snapshot ---


def shown(slate: pb.RecommendResponse) -> list[int]:
    """Rows of all items."""
    return [int(item.item_id.removeprefix("i")) for carousel in slate.carousels for item in carousel.items]


@pytest.mark.parametrize("user", [{}, {"user_id": "stranger", "context_item_ids": ["i38"]}], ids=["known", "stranger"])
@pytest.mark.parametrize("moved", [True, False], ids=["moved", "moving"])
@pytest.mark.parametrize("previous", FATES)
@pytest.mark.parametrize("home", FATES)
def test_every_item_is_available_in_the_snapshot_that_the_receipt_names(
    home: str, previous: str, moved: bool, user: dict[str, object]
) -> None:
    """Whichever snapshots the carousels were made from: each place shows what is available in its own."""
    slate = World({**WELL, HOME: home, PREVIOUS: previous}, moved=moved, restocked=True).slate(**user)
    assert shown(slate)
    assert not set(shown(slate)) & set(SOLD_OUT[slate.receipt.snapshot_version])


def test_what_stands_in_for_a_carousel_while_traffic_moves_is_narrowed_to_what_the_rest_is_from() -> None:
    """v1 makes popular and not for-you, v2 for-you: 1 and 6 are sold out in v1, 3 in v2."""
    slate = World({**WELL, PREVIOUS: "is short"}, moved=False, restocked=True).slate()
    assert (rungs(slate), slate.receipt.snapshot_version) == ([S, S], "v1")
    assert [item.item_id for item in slate.carousels[0].items] == ["i0", "i2", "i4"]


def test_what_the_previous_snapshot_stands_in_with_is_narrowed_to_the_current_one() -> None:
    """v2 makes popular and not for-you, v1 for-you, of which popular shows 5 and 7, and 3 is sold out in v2."""
    slate = World({**WELL, HOME: "raises"}, restocked=True).slate()
    assert (rungs(slate), slate.receipt.snapshot_version) == ([P, S], "v2")
    assert [item.item_id for item in slate.carousels[0].items] == ["i4"]


def test_a_carousel_of_which_nothing_is_left_steps_down_to_the_routers_own() -> None:
    """It is not empty, and not left out."""
    world = World({**WELL, HOME: "raises"}, restocked=True)
    slate = world.slate(filters=pb.Filters(categories=["hats"]))
    assert rungs(slate) == [T, S]
    assert all(row % 2 for row in shown(slate)[:3])


# --- strangers ---


def test_a_stranger_is_folded_in_to_the_previous_snapshot_where_the_current_fails() -> None:
    """With a rung for it."""
    slate = World({**WELL, HOME: "fails"}).slate(user_id="stranger", context_item_ids=["i1"])
    assert rungs(slate) == [P, P]
    assert {pb.REASON_FOLDED_IN, pb.REASON_SHARD_FAILED} <= set(slate.receipt.reasons)
    assert [attempt.rung for attempt in slate.receipt.attempts] == [S, P]


def test_a_shard_that_hangs_leaves_a_stranger_time_for_the_previous_snapshot() -> None:
    """As it leaves a known user."""
    slate = World({**WELL, HOME: "is late"}).slate(user_id="stranger", context_item_ids=["i1"])
    assert rungs(slate) == [P, P]


def test_while_traffic_moves_strangers_get_the_snapshot_before() -> None:
    """As everybody near them."""
    slate = World(WELL, moved=False).slate(user_id="stranger", context_item_ids=["i1"])
    assert (rungs(slate), slate.receipt.snapshot_version) == ([S, S], "v1")


# --- partial: ABORT ---

ABORT = [
    (pb.RUNG_FRESH, {}, False),
    (S, {}, True),
    (S, {HOME: "fails"}, False),
    (P, {HOME: "fails"}, True),
    (P, {HOME: "fails", PREVIOUS: "fails"}, False),
    (C, {HOME: "fails", PREVIOUS: "fails"}, True),
    (pb.RUNG_UNSPECIFIED, {HOME: "raises"}, False),
    (P, {HOME: "raises"}, True),
    (C, dict.fromkeys(WELL, "fails"), False),
    (T, dict.fromkeys(WELL, "fails"), True),
    (S, {HOME: "is empty"}, False),
]


@pytest.mark.parametrize(("worst", "fates", "answered"), ABORT)
def test_a_request_may_rather_have_an_error(worst: pb.Rung, fates: dict[Place, str], answered: bool) -> None:
    """Where any carousel would be of a rung below the one that it names; SNAPSHOT where it names none."""
    world = World({**WELL, **fates})
    try:
        slate = world.slate(partial=pb.PARTIAL_ABORT, worst_rung=worst)
    except PartialAborted as error:
        assert (answered, error.reason, world.counters.aborted) == (False, "PARTIAL_ABORTED", 1)
    else:
        assert answered
        assert max(rungs(slate)) <= (worst or S)


def test_what_would_be_refused_is_not_asked_for() -> None:
    """A rung below the worst one costs nobody any work."""
    world = World({**WELL, HOME: "fails"})
    with pytest.raises(PartialAborted):
        world.slate(partial=pb.PARTIAL_ABORT)
    assert [place for place, _ in world.shards.asked] == [HOME]


def test_without_abort_the_worst_rung_means_nothing() -> None:
    """As the contract has it."""
    assert rungs(World({**WELL, HOME: "fails"}).slate(worst_rung=S)) == [P, P]


def test_a_strangers_next_step_knows_who_was_late_in_the_first() -> None:
    """As a known user's does: the previous snapshot is not asked of that replica, nor hedged to it."""
    world = World({**WELL, HOME: "is late"})
    world.slate(user_id="stranger", context_item_ids=["i1"])
    assert [[one.replica for one in spent] for spent in world.shards.spent] == [[], ["v2:1"]]


def test_while_traffic_moves_what_only_the_version_before_knows_can_be_asked_for() -> None:
    """By those whom that one still serves, known or not; the others are told that it is gone."""
    world = World(WELL, moved=False)
    world.lose_attributes()
    red = pb.Filters(attributes=[pb.AttributeFilter(name="colour", values=["red"])])

    def served(user: str) -> str:
        request = pb.RecommendRequest(user_id=user, context_item_ids=["i1"], filters=red)
        route.check(request, world.views)
        return world.slate(user_id=user, context_item_ids=["i1"], filters=red).receipt.snapshot_version

    assert {served("u0"), served("u1"), served("stranger")} == {"v1"}
    world.views = world.views.moved_on(replace(world.views.moves, moved=frozenset({0}), whole=True))
    assert {served("u1"), served("stranger")} == {"v1"}
    with pytest.raises(InvalidArgument, match="no attribute 'colour'"):
        route.check(pb.RecommendRequest(user_id="u0", filters=red), world.views)
    asking = Asking("r", world.now(), Deadline.after(200, world.now()))
    at_once = world.recommender.at_once(pb.RecommendRequest(user_id="u1", filters=red), asking, world.views, ())
    assert pb.RecommendResponse.FromString(at_once).receipt.snapshot_version == "v1"


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("user", ["u0", "stranger"])
def test_what_only_a_new_snapshot_knows_is_answered_by_it_before_it_is_whole_and_a_lower_rung_says_why(
    fate: str, user: str
) -> None:
    """Nobody else understands the request; it is no error, and never a page without a word, whatever becomes of it."""
    world = World(dict.fromkeys((HOME, STAND_IN), fate) | {PREVIOUS: "answers"}, moved=False, whole=False)
    world.lack_attributes_before()
    red = pb.Filters(attributes=[pb.AttributeFilter(name="colour", values=["red"])])
    request = pb.RecommendRequest(user_id=user, filters=red)
    route.check(request, world.views)
    slate = world.slate(user_id=user, filters=red, context_item_ids=["i1"])
    assert slate.receipt.snapshot_version == "v2"
    assert {place for place, _ in world.shards.asked} <= {HOME}
    assert all(carousel.items for carousel in slate.carousels)
    lower = [carousel for carousel in slate.carousels if carousel.rung != S]
    told = set(slate.receipt.reasons) - {pb.REASON_FOLDED_IN}
    assert told or not lower


def test_a_request_that_may_wait_for_its_events_is_asked_as_such() -> None:
    """Others are not; what it waited must not be held against a shard."""
    world = World(WELL)
    world.slate(at_least_as_fresh="log/0:7")
    world.slate()
    assert world.shards.waits == [True, False]


@pytest.mark.parametrize(
    ("candidate_is", "meant", "made"),
    [("held", "v2", "v2"), ("nobody's", "v2", "v1"), ("without the user", "v2", "v1")],
)
def test_an_answer_to_a_canarys_user_counts_for_the_canary_whoever_had_to_make_it(
    candidate_is: str, meant: str, made: str
) -> None:
    """Also where nobody holds the candidate's partition, or its shard does not know the user: never for the control."""
    fates = {"held": "answers", "nobody's": "nobody", "without the user": "forgot the user"}
    world = World({HOME: fates[candidate_is], PREVIOUS: "answers"})
    current, candidate = world.views.earlier[0], world.views.current
    world.views = Views.of(current, candidate=Candidate(candidate, State.CANARY, 0.95))
    told: list[Answered] = []
    world.counters.listeners.append(told.append)
    users = [user for user in ("u0", "u1", "u2") if world.views.canary_of(user)]
    for user in users:
        world.slate(user_id=user, context_item_ids=["i1"])
    assert users
    assert {(one.meant, one.made) for one in told} == {(meant, made)}
    assert len(told) == len(users)
