"""What one request has learned of replicas holds for all that it asks: who disappointed it is asked last."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import grpc
import pytest
from scripted import Clock, Replica, settled

from router.asking.attempts import Attempt
from router.asking.fanout import Fanout
from router.cluster.shard_channel import ShardChannel, ShardChannels
from router.cluster.topology import Generation, ShardFacts, Topology
from router.cluster.watch import Board
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

LATE = Attempt("a", pb.OUTCOME_LATE, pb.REASON_SHARD_LATE)


class Cluster:
    """Shards a and b, which hold everything, and a fan-out to them."""

    def __init__(self) -> None:
        topology = Topology.of("ab")
        for address in "ab":
            held = Generation("v1", frozenset(range(4)))
            topology = topology.updated(address, ShardFacts(address, shard_pb2.SHARD_STATE_READY, (held,)))
        self.clock = Clock()
        self.replicas = {address: Replica(address) for address in "ab"}
        channels = ShardChannels("ab", lambda address: cast("ShardChannel", self.replicas[address]))
        self.observed: list[tuple[float, bool]] = []
        self.fanout = Fanout(
            channels,
            Board(topology),
            observe=lambda ms, *, answered: self.observed.append((ms, answered)),
            clock=self.clock,
            set_timer=self.clock.set_timer,
        )

    async def asked(self, **how: Any) -> list[str]:
        """Begin to ask for three partitions, out-wait everybody's patience; who was asked."""
        before = {address: len(replica.calls) for address, replica in self.replicas.items()}
        until = Deadline.after(10_000, self.clock())
        running = asyncio.ensure_future(self.fanout.ask_many("v1", [0, 1, 2], lambda _: b"", until, "id", **how))
        await settled(running)
        self.clock.pass_ms(100)
        await settled(running)
        running.cancel()
        return [address for address, replica in self.replicas.items() if len(replica.calls) > before[address]]


@pytest.mark.parametrize("turn", range(3))
async def test_who_was_late_in_an_earlier_step_is_neither_asked_nor_a_hedge(turn: int) -> None:
    """While somebody else holds what is asked for, whoever's turn it is."""
    cluster = Cluster()
    for _ in range(turn):
        assert await cluster.asked() == ["a", "b"]
    assert await cluster.asked(spent=(LATE,)) == ["b"]


async def test_who_was_late_is_asked_where_nobody_else_holds_it() -> None:
    """There is always something to try."""
    cluster = Cluster()
    late = (LATE, LATE._replace(replica="b"))
    assert len(await cluster.asked(spent=late)) == 1


@pytest.mark.parametrize(("waited_ms", "counted_ms"), [(0, 25), (20, 5), (30, 0), (math.nan, 25), (-5, 25)])
async def test_time_that_was_waited_by_wish_is_no_load(waited_ms: float, counted_ms: float) -> None:
    """What the shard says that a request waited for its events is left out of what the limit is told."""
    cluster = Cluster()
    asking = cluster.fanout.ask("v1", 0, b"", Deadline.after(200, cluster.clock()), "id")
    running = asyncio.ensure_future(asking)
    await settled(running)
    cluster.clock.now += 0.025
    (asked,) = [replica for replica in cluster.replicas.values() if replica.calls]
    asked.call.answer(shard_pb2.PredictResponse(slate=b"\x0a\x00", waited_ms=waited_ms))
    await running
    assert cluster.observed == [(pytest.approx(counted_ms), True)]


@pytest.mark.parametrize(("waits", "kind"), [(True, Kind.WAITING), (False, Kind.ONE)])
async def test_requests_that_may_wait_are_compared_with_one_another(waits: bool, kind: Kind) -> None:
    """A user's events that took long to come must not make others' patience longer, or a replica look slow."""
    cluster = Cluster()
    until = Deadline.after(200, cluster.clock())
    running = asyncio.ensure_future(cluster.fanout.ask("v1", 0, b"", until, "id", waits=waits))
    await settled(running)
    (asked,) = [replica for replica in cluster.replicas.values() if replica.calls]
    asked.call.answer()
    await running
    assert [one for one, latencies in asked.latencies.items() if latencies.answers] == [kind]


async def test_an_asking_that_came_to_nothing_is_told_apart() -> None:
    """Nobody answered."""
    cluster = Cluster()
    running = asyncio.ensure_future(cluster.fanout.ask("v1", 0, b"", Deadline.after(200, cluster.clock()), "id"))
    await settled(running)
    for _ in cluster.replicas:
        for replica in cluster.replicas.values():
            if replica.calls and not replica.call.over:
                replica.call.fail(grpc.StatusCode.UNAVAILABLE)
        await settled(running)
    await running
    assert [answered for _, answered in cluster.observed] == [False]
