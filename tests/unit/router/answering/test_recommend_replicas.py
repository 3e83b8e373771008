"""Recommend beside several replicas: whichever of them is broken, gone, draining or hung, nobody loses a rung."""

from __future__ import annotations

import asyncio

import pytest
from fake_shard import FakeShard, everything, failing, late, status
from router_caller import TWO, Start

from trunkshow.serving import metrics
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


async def test_replicas_take_turns(start: Start) -> None:
    """Two idle holders share the work."""
    first, second = FakeShard(everything()), FakeShard(everything())
    caller = await start(first, second)
    for _ in range(4):
        await caller.recommend()
    assert (len(first.asked), len(second.asked)) == (2, 2)


async def test_another_replica_is_asked_at_once(start: Start) -> None:
    """One broken replica of two costs nobody a rung."""
    broken, well = FakeShard(failing()), FakeShard(everything())
    caller = await start(broken, well)
    got = [(await caller.recommend(carousels=TWO)).receipt for _ in range(4)]
    assert {(receipt.rung, tuple(receipt.reasons)) for receipt in got} == {(pb.RUNG_SNAPSHOT, ())}
    assert broken.asked


async def test_a_replica_that_died_is_not_waited_for(start: Start) -> None:
    """A killed process costs nobody a rung while another one holds the partition."""
    gone, well = FakeShard(everything()), FakeShard(everything())
    caller = await start(gone, well)
    await gone.stop()
    got = [(await caller.recommend(carousels=TWO)).receipt.rung for _ in range(4)]
    assert set(got) == {pb.RUNG_SNAPSHOT}


async def test_a_draining_replica_is_left_alone(start: Start) -> None:
    """What takes nothing new is asked nothing new, as soon as the router hears of it."""
    leaving, staying = FakeShard(everything()), FakeShard(everything())
    caller = await start(leaving, staying)
    leaving.report(status("v1", range(4), shard_pb2.SHARD_STATE_DRAINING))
    while (await caller.status()).shards[0].status.state != shard_pb2.SHARD_STATE_DRAINING:
        pass
    for _ in range(4):
        await caller.recommend()
    assert (len(leaving.asked), len(staying.asked)) == (0, 4)


async def test_a_hung_replica_costs_a_hedge_and_no_rung(start: Start) -> None:
    """The other one is asked as well, wins, and the hung one is told that nobody waits any more."""
    hung, well = FakeShard(late), FakeShard(everything())
    caller = await start(hung, well)
    receipts = [(await caller.recommend(carousels=TWO)).receipt for _ in range(2)]
    assert [one.rung for one in receipts] == [pb.RUNG_SNAPSHOT] * 2
    hedged = next(one for one in receipts if one.hedged)
    assert [(one.outcome, one.hedge) for one in hedged.attempts] == [
        (pb.OUTCOME_CANCELLED, False),
        (pb.OUTCOME_ANSWERED, True),
    ]
    async with asyncio.timeout(60):
        while not hung.cancelled:
            await caller.status()
    assert (ended("CANCELLED", "no"), ended("ANSWERED", "yes"), ended("CANCELLED", "yes")) == (1, 1, 0)


def ended(outcome: str, hedge: str) -> float | None:
    """Attempts of the router under test, as Prometheus reads them."""
    return metrics.REGISTRY.get_sample_value("trunkshow_router_attempts_total", {"outcome": outcome, "hedge": hedge})


async def test_every_attempt_is_in_the_receipt(start: Start) -> None:
    """Of a slate that was passed on unread too: who failed, who answered, in this order, with what time was given."""
    broken, well = FakeShard(failing()), FakeShard(everything())
    caller = await start(broken, well, deadline_ms=1000)
    receipts = [(await caller.recommend(carousels=TWO)).receipt for _ in range(2)]
    told = max(receipts, key=lambda receipt: len(receipt.attempts))
    assert [one.outcome for one in told.attempts] == [pb.OUTCOME_FAILED, pb.OUTCOME_ANSWERED]
    assert len({one.replica for one in told.attempts}) == 2
    assert (told.budget_ms, told.stages[-1].name) == (pytest.approx(1000, abs=5), "shard")
    assert told.attempts[1].ms <= told.stages[-1].ms < told.stages[-1].budget_ms < told.budget_ms
