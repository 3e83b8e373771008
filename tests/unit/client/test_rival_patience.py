"""For how long a client waits before it asks another router, by what it asks for."""

from __future__ import annotations

import asyncio

import pytest

from trunkshow import channel as wire
from trunkshow.rival_rules import Hedge, hedges
from trunkshow.rivals import raced
from trunkshow.v1 import recommendation_pb2 as pb


def test_nothing_is_hedged_where_there_is_one_router_or_no_time() -> None:
    """Nobody else could answer, or not in time."""
    assert Hedge(lambda: 1).patience_s(1.0) is None
    assert Hedge(lambda: 2).patience_s(0.02) is None
    assert Hedge(lambda: 2).patience_s(1.0) == pytest.approx(0.06)


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(0.1, 0.08), (0.2, 0.16), (2.0, 0.16)])
def test_who_waits_by_their_own_wish_is_waited_for_as_long_as_a_router_may(timeout_s: float, patience_s: float) -> None:
    """Any router would wait for the same events; one that is silent after that stands still."""
    assert Hedge(lambda: 2).patience_s(timeout_s, waits=True) == pytest.approx(patience_s)
    assert Hedge(lambda: 1).patience_s(timeout_s, waits=True) is None
    assert wire.waits(pb.RecommendRequest(user_id="ann", at_least_as_fresh="log/0:7"))
    assert not wire.waits(pb.SimilarItemsRequest(item_id="hat"))


async def test_what_was_waited_for_by_wish_says_nothing_of_routers() -> None:
    """Twenty such answers would make a p99."""
    hedge = Hedge(lambda: 2)
    for _ in range(20):
        await raced(hedge, lambda seconds: asyncio.sleep(0, seconds), 1.0, waits=True)
    assert hedge.patience_s(1.0) == pytest.approx(0.06)


def test_only_what_does_no_harm_twice_is_asked_of_others() -> None:
    """A tombstone or an item that a router wakes up with later would undo what came after it. Streams are sent once."""
    each = hedges(lambda: 2)
    twice = {wire.RECOMMEND, wire.SIMILAR_ITEMS, wire.GET_FEATURES, wire.RECORD_EVENTS, wire.GET_CLUSTER_STATUS}
    assert set(each) == {method.path for method in twice}
    assert each[wire.RECOMMEND.path].patience_s(5.0) == pytest.approx(0.06)


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(1.0, 0.8), (5.0, 1.6)])
def test_events_are_waited_for_as_long_as_a_router_waits_for_its_log(timeout_s: float, patience_s: float) -> None:
    """A log may take its time; a router that is silent then stands still. What it spends no slate lacks."""
    each = hedges(lambda: 2)
    assert each[wire.RECORD_EVENTS.path].patience_s(timeout_s) == pytest.approx(patience_s)
    assert each[wire.RECORD_EVENTS.path] is not each[wire.RECOMMEND.path]


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(0.3, 0.24), (2.0, 0.4)])
def test_of_a_status_others_are_asked_in_time(timeout_s: float, patience_s: float) -> None:
    """Who wants to see a cluster of which one router stands still. What it spends no slate lacks."""
    each = hedges(lambda: 2)
    assert each[wire.GET_CLUSTER_STATUS.path].patience_s(timeout_s) == pytest.approx(patience_s)
    assert each[wire.GET_CLUSTER_STATUS.path] not in (each[wire.RECOMMEND.path], each[wire.RECORD_EVENTS.path])
