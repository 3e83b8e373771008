"""What goes the short way, and how long what was said of it is used: decisions, on a clock that tests drive."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from scripted_direct import made_of, placement

from trunkshow.answers import Slate
from trunkshow.direct.following import changed_lines
from trunkshow.direct.routes import Routes
from trunkshow.direct.shards import IN_FLIGHT_MAX, LINES_MAX, OVERTAKEN_MAX, Ending, Shards
from trunkshow.direct.trip import Trip
from trunkshow.direct.ways import BUDGET_MS_MIN, SILENCE_S, Plan, ShortWay, Ways, ending_of
from trunkshow.v1 import direct_pb2
from trunkshow.v1 import recommendation_pb2 as pb

A, B = "10.0.0.1:7451", "10.0.0.2:7451"
LIFE_S = 30.0
BUDGET_MS = 200.0
HEARD_AT = 100.0


def never() -> float:
    return 0.0


def report(*targets: str, **changed: Any) -> direct_pb2.WatchPlacementResponse:
    return direct_pb2.WatchPlacementResponse(placement=placement(*targets, **changed))


def routes(*partitions: int, version: str = "v1", forgotten: str = "") -> direct_pb2.GetRoutesResponse:
    return direct_pb2.GetRoutesResponse(
        snapshot_version=version,
        partitions=[one + 1 for one in partitions],
        life_ms=int(LIFE_S * 1000),
        grant="g",
        forgotten=forgotten,
    )


def open_way(*targets: str, now: float = HEARD_AT) -> ShortWay:
    """With user ada at home in partition 2."""
    way = ShortWay(chance=never)
    way.hear(report(*(targets or (A,))), now)
    way.learn(["ada"], routes(2), now)
    return way


def planned(way: ShortWay, user: str = "ada", now: float = HEARD_AT, **changed: Any) -> Plan | None:
    return way.plan(pb.RecommendRequest(user_id=user, **changed), BUDGET_MS, now)


def test_a_way_that_was_told_of_nobody_is_closed() -> None:
    """Before the first report, and after the last one."""
    way = ShortWay()
    assert (way.open(HEARD_AT), planned(way)) == (False, None)
    way = open_way()
    assert way.open(HEARD_AT)
    way.lost()
    assert (way.open(HEARD_AT), planned(way)) == (False, None)


def test_silence_closes_it_and_a_sign_of_life_opens_it_again() -> None:
    """A report that says nothing new will do."""
    way = open_way()
    later = HEARD_AT + SILENCE_S + 0.1
    assert (planned(way, now=HEARD_AT + SILENCE_S) is not None, planned(way, now=later)) == (True, None)
    way.hear(direct_pb2.WatchPlacementResponse(), later)
    assert planned(way, now=later) is not None


def test_a_route_is_used_for_its_life_and_no_longer() -> None:
    """Reports that keep coming do not prolong it."""
    way = open_way()
    for now, used in ((HEARD_AT + LIFE_S - 0.1, True), (HEARD_AT + LIFE_S, False)):
        way.hear(direct_pb2.WatchPlacementResponse(), now)
        assert (planned(way, now=now) is not None) is used


def test_a_user_who_keeps_coming_is_asked_about_halfway_through_the_route() -> None:
    """And goes the short way meanwhile."""
    known = Routes()
    known.learn(["ada"], routes(2), HEARD_AT)
    assert known.find("ada", "v1", HEARD_AT + LIFE_S / 2 - 0.1) is not None
    assert not known.any_wanted
    assert known.find("ada", "v1", HEARD_AT + LIFE_S / 2) is not None
    assert known.take_wanted(9) == ["ada"]


def test_routes_are_bounded_the_oldest_goes() -> None:
    """And whoever is asked about again is the newest."""
    known = Routes(most=2)
    known.learn(["a", "b"], routes(0, 1), HEARD_AT)
    known.learn(["a", "c"], routes(0, 2), HEARD_AT)
    assert [known.find(user, "v1", HEARD_AT) is not None for user in "abc"] == [True, False, True]


@pytest.mark.parametrize("said", [routes(2, version="v0"), routes(2, forgotten="gone/0:1"), routes(2, version="")])
def test_what_another_router_says_of_another_state_is_not_learned(said: direct_pb2.GetRoutesResponse) -> None:
    """The watched one's word is compared with it."""
    way = ShortWay()
    way.hear(report(A), HEARD_AT)
    way.learn(["ada"], said, HEARD_AT)
    assert planned(way) is None


def test_tombstones_end_every_route_and_nothing_else_does() -> None:
    """A shard that comes or goes leaves them as they are."""
    way = open_way()
    way.hear(report(A, B), HEARD_AT)
    assert planned(way) is not None
    way.hear(report(A, B, forgotten="gone/0:1"), HEARD_AT)
    assert planned(way) is None


def test_the_shard_with_the_fewest_of_our_requests_is_asked() -> None:
    """And at its limit nobody is."""
    way = open_way(A, B)
    asked = [planned(way) for _ in range(2 * IN_FLIGHT_MAX + 1)]
    assert {one.address for one in asked[:2] if one} == {A, B}
    assert [one is None for one in asked] == [False] * (2 * IN_FLIGHT_MAX) + [True]


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.LATE, Ending.OVERLOADED, Ending.NOT_HELD])
def test_a_shard_that_fails_rests_longer_each_time(ending: Ending) -> None:
    """Up to a limit, and what answers is well again."""
    shards, now, rests = Shards(never), 0.0, []
    shards.keep([A])
    for _ in range(8):
        shards.began(A)
        shards.ended(A, ending, 5, now)
        began = now
        while shards.choose([A], now) is None:
            now += 0.125
        rests.append(now - began)
    assert rests == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    shards.ended(A, Ending.ANSWERED, 5, now)
    shards.ended(A, ending, 5, now)
    assert shards.choose([A], now + 0.25) == A


def test_requests_that_fail_together_are_one_failure() -> None:
    """A shard that dies with many of ours under way does not rest for long."""
    shards = Shards(never)
    shards.keep([A])
    for _ in range(50):
        shards.ended(A, Ending.FAILED, 5, 0.0)
    assert shards.choose([A], 0.25) == A


def test_a_shard_that_is_overtaken_again_and_again_rests() -> None:
    """Once is chance, and a slate that is not whole no fault of its."""
    shards = Shards(never)
    shards.keep([A])
    for _ in range(OVERTAKEN_MAX - 1):
        shards.ended(A, Ending.OVERTAKEN, 5, 0.0)
    assert shards.choose([A], 0.0) == A
    shards.ended(A, Ending.UNFIT, 5, 0.0)
    for _ in range(OVERTAKEN_MAX):
        assert shards.choose([A], 0.0) == A
        shards.ended(A, Ending.OVERTAKEN, 5, 0.0)
    assert shards.choose([A], 0.0) is None


def test_all_of_the_contracts_limits_are_left_to_the_router_to_refuse() -> None:
    """What it would refuse no shard is asked."""
    way = open_way()
    long = "x" * 257
    way.learn([long, ""], routes(1, 1), HEARD_AT)
    for user, changed in (
        (long, {}),
        ("", {}),
        ("ada", {"exclude_item_ids": ["i"] * 1001}),
        ("ada", {"carousels": ["for-you"] * 21}),
        ("ada", {"items_per_carousel": 101}),
        ("ada", {"surface": "moon"}),
        ("ada", {"partial": pb.PARTIAL_ABORT}),
    ):
        assert planned(way, user, **changed) is None
    assert planned(way, exclude_item_ids=["i"] * 1000, items_per_carousel=100, include_seen=True) is not None


def trip(way: ShortWay, budget_ms: float = BUDGET_MS) -> Trip:
    plan = planned(way)
    assert plan is not None
    return Trip(way, plan, HEARD_AT, budget_ms, "mine")


def test_the_router_is_asked_once_the_patience_is_over() -> None:
    """30 ms where nothing is known of the shard; and only once."""
    going = trip(open_way())
    assert going.wait_s(HEARD_AT) == pytest.approx(0.03)
    assert not going.asks_router(HEARD_AT + 0.029)
    assert going.asks_router(HEARD_AT + 0.031)
    assert (going.hedged, going.wait_s(HEARD_AT + 0.031)) == (True, None)


def test_without_a_token_the_router_is_asked_when_half_of_the_time_is_over() -> None:
    """However many are waiting, each gets the router's answer in time."""
    way = open_way()
    way._tokens._left = 0.0
    going = trip(way)
    way._tokens._left = 0.0
    asked_at = next(ms for ms in range(1, 200) if going.asks_router(HEARD_AT + ms / 1e3))
    assert asked_at == pytest.approx(BUDGET_MS / 2, abs=1)
    assert going.left_ms(HEARD_AT + asked_at / 1e3) == pytest.approx(BUDGET_MS / 2, abs=1)


def test_hedges_keep_to_their_budget() -> None:
    """A tenth of the requests, beyond the burst of 32."""
    way = open_way()
    hedged = 0
    for _ in range(1000):
        going = trip(way)
        hedged += going.asks_router(HEARD_AT + 0.031)
        going.called_off(HEARD_AT)
    assert hedged <= 32 + 100


def test_after_a_failure_the_router_is_asked_at_once() -> None:
    """Without a token: that is no hedge."""
    way = open_way()
    going = trip(way)
    way._tokens._left = 0.0
    going.failed(grpc.StatusCode.UNAVAILABLE, HEARD_AT + 0.001)
    assert (going.asks_router(HEARD_AT + 0.001), going.hedged) == (True, False)


def test_the_ways_are_counted() -> None:
    """Each request once."""
    way = open_way(A, B)
    going = trip(way)
    assert going.answered(made_of(["for-you"]).SerializeToString(), HEARD_AT + 0.004) is not None
    mending = trip(way)
    mending.failed(None, HEARD_AT)
    mending.mended(Slate.from_message(pb.RecommendResponse(receipt=pb.Receipt())), HEARD_AT)
    way.went("router")
    assert way.ways == Ways(direct=1, router=1, mended=1)


def test_bytes_that_are_no_answer_are_the_shards_failure() -> None:
    """It rests, and the router answers."""
    way = open_way()
    assert trip(way).answered(b"\xff\xff", HEARD_AT) is None
    assert planned(way) is None


def test_statuses_are_endings() -> None:
    """Whatever a release to come may send is a failure."""
    code = grpc.StatusCode
    assert ending_of(code.FAILED_PRECONDITION) is Ending.NOT_HELD
    assert ending_of(code.DEADLINE_EXCEEDED) is Ending.LATE
    assert ending_of(code.RESOURCE_EXHAUSTED) is Ending.OVERLOADED
    assert {ending_of(one) for one in (None, code.UNAUTHENTICATED, code.INTERNAL)} == {Ending.FAILED}


def test_lines_follow_the_placement_and_stay_while_nobody_may_be_asked() -> None:
    """A swap cuts none; there is a limit to them."""
    assert changed_lines([A], report(A, B)) == ([B], [])
    assert changed_lines([A, B], report(B)) == ([], [A])
    assert changed_lines([A], report(version="")) == ((), ())
    assert changed_lines([A], direct_pb2.WatchPlacementResponse()) == ((), ())
    many = [f"h:{number}" for number in range(LINES_MAX + 50)]
    assert len(changed_lines([], report(*many))[0]) == LINES_MAX


def test_whoever_there_is_no_line_to_is_not_asked() -> None:
    """What only they hold is the router's."""
    way = open_way(*(f"h:{number}" for number in range(LINES_MAX + 50)))
    asked = {one.address for _ in range(2 * LINES_MAX) if (one := planned(way))}
    assert len(asked) == LINES_MAX


def test_little_time_is_the_routers() -> None:
    """Whether the caller gives so little, or the router itself."""
    way = open_way()
    asking = pb.RecommendRequest(user_id="ada")
    assert way.plan(asking, BUDGET_MS_MIN - 1, HEARD_AT) is None
    assert way.plan(asking, BUDGET_MS_MIN, HEARD_AT) is not None
    way.hear(report(A, deadline_ms=BUDGET_MS_MIN - 1), HEARD_AT)
    assert way.plan(asking, BUDGET_MS, HEARD_AT) is None
