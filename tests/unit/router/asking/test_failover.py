"""A budget for asking somebody else after a failure: bounded where it is in vain, and free where it is not."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from scripted import Replica, settled
from test_fanout import Cluster

from router.asking.failover import Failovers
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb

REFUSES = grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_failover_that_helps_costs_nothing() -> None:
    """However many."""
    failovers = Failovers(burst=1)
    for _ in range(100):
        assert failovers.affords("a")
        failovers.ended("a", pb.OUTCOME_ANSWERED, failover=True)
    assert failovers.affords("a")


def test_only_failovers_spend() -> None:
    """What a replica fails at when it is asked first, or when it is called off, is not counted."""
    failovers = Failovers(burst=1)
    for _ in range(100):
        failovers.ended("a", pb.OUTCOME_FAILED, failover=False)
        failovers.ended("a", pb.OUTCOME_CANCELLED, failover=True)
    assert failovers.affords("a")


@pytest.mark.parametrize("outcome", [pb.OUTCOME_FAILED, pb.OUTCOME_OVERLOADED, pb.OUTCOME_LATE, pb.OUTCOME_NOT_HELD])
def test_in_vain_is_what_brings_no_answer(outcome: pb.Outcome) -> None:
    """And it is one replica's matter, not the others'."""
    failovers = Failovers(burst=2)
    for _ in range(2):
        assert failovers.affords("a")
        failovers.ended("a", outcome, failover=True)
    assert (failovers.affords("a"), failovers.affords("b")) == (False, True)


def test_good_answers_earn_it_back() -> None:
    """Ten for each."""
    failovers = Failovers(share=0.125, burst=1)
    failovers.ended("a", pb.OUTCOME_FAILED, failover=True)
    for number in range(8):
        assert not failovers.affords("a"), number
        failovers.ended("a", pb.OUTCOME_ANSWERED, failover=False)
    assert failovers.affords("a")


class Refusing(Cluster):
    """Shards a and b, of which some refuse whatever they are asked, at once."""

    def __init__(self, refusing: str) -> None:
        super().__init__()
        self._refusing = refusing

    async def ask(self) -> bool:
        """One request; whether it was answered."""
        running = asyncio.ensure_future(self.fanout.ask("v1", 0, b"", Deadline.after(200, self.clock()), "id"))
        await settled(running)
        while not running.done():
            for replica in self.replicas.values():
                if replica.calls and not replica.call.over:
                    self._end(replica)
            await settled(running)
        return running.result().answer is not None

    def _end(self, replica: Replica) -> None:
        replica.call.fail(REFUSES) if replica.address in self._refusing else replica.call.answer()

    @property
    def calls(self) -> int:
        """That were made."""
        return sum(len(replica.calls) for replica in self.replicas.values())


async def test_shards_that_all_refuse_are_soon_asked_once_for_a_request() -> None:
    """Two hundred requests cost two hundred askings, and a burst for each shard."""
    cluster = Refusing("ab")
    answered = [await cluster.ask() for _ in range(200)]
    assert not any(answered)
    assert cluster.calls == 200 + 2 * 10
    assert cluster.fanout.failovers.refused == 200 - 2 * 10


@pytest.mark.parametrize("refusing", ["a", "b"])
async def test_a_healthy_replica_answers_everybody_whatever_the_other_does(refusing: str) -> None:
    """No budget stands in the way of who answers."""
    cluster = Refusing(refusing)
    assert all([await cluster.ask() for _ in range(200)])
    assert cluster.fanout.failovers.refused == 0


async def test_who_recovers_is_asked_after_failures_again() -> None:
    """Once they have answered those whose first choice they were."""
    cluster = Refusing("ab")
    for _ in range(100):
        await cluster.ask()
    cluster._refusing = ""
    for _ in range(50):
        assert await cluster.ask()
    cluster._refusing = "a"
    assert all([await cluster.ask() for _ in range(100)])
