"""Shards are found, lost and found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from fake_shard import FakeShard, everything, status

from router.cluster.shard_channel import ShardChannel
from router.cluster.topology import ShardFacts, Topology
from router.cluster.watch import Board, follow


class TellingBoard(Board):
    """A board that tells of every change."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        self.changed = asyncio.Event()
        self.broken = False

    def heard(self, address: str, facts: ShardFacts) -> None:
        if self.broken:
            raise RuntimeError("scripted")
        super().heard(address, facts)
        self.changed.set()

    def lost(self, address: str, error: str) -> None:
        super().lost(address, error)
        self.changed.set()


class Following:
    """A board, and a task that keeps it informed of one shard."""

    def __init__(self, address: str, silence_s: float) -> None:
        self.address = address
        self.board = TellingBoard(Topology.of([address]))
        self.delays: list[float] = []
        self._channel = ShardChannel(address)
        self._task = asyncio.ensure_future(
            follow(self._channel, self.board, silence_s=silence_s, sleep=self._sleep, chance=lambda: 0.0)
        )

    async def _sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        await asyncio.sleep(0)

    async def until(self, true: Callable[[Topology], bool]) -> Topology:
        """The first topology of which this is true."""
        async with asyncio.timeout(60):
            while not true(self.board.topology):
                self.board.changed.clear()
                await self.board.changed.wait()
        return self.board.topology

    async def close(self) -> None:
        """Follow no longer."""
        self._task.cancel()
        await self._channel.close()


Follow = Callable[..., Following]


@pytest.fixture
async def following() -> AsyncIterator[Follow]:
    """Starts to follow an address."""
    started: list[Following] = []

    def start(address: str, silence_s: float = 30) -> Following:
        started.append(Following(address, silence_s))
        return started[-1]

    yield start
    for one in started:
        await one.close()


@pytest.fixture
async def shard() -> AsyncIterator[FakeShard]:
    """A shard that was not started."""
    made = FakeShard(everything())
    yield made
    await made.stop()


async def test_a_shard_is_found_by_its_first_report(shard: FakeShard, following: Follow) -> None:
    """What it holds can be asked for."""
    address = await shard.start()
    topology = await following(address).until(lambda now: now.replicas[address].reachable)
    assert topology.holders("v1", 3) == (address,)


async def test_a_later_report_replaces_the_facts(shard: FakeShard, following: Follow) -> None:
    """A partition given up is not asked for any more."""
    address = await shard.start()
    watched = following(address)
    await watched.until(lambda now: now.covered("v1") == 4)
    shard.report(status("v1", [0]))
    topology = await watched.until(lambda now: now.covered("v1") == 1)
    assert topology.holders("v1", 3) == ()


async def test_a_report_that_cannot_be_coped_with_loses_that_shard_until_one_that_can(
    shard: FakeShard, following: Follow
) -> None:
    """What it said before may not hold any more; it is listened to again, and nobody's task ends."""
    address = await shard.start()
    watched = following(address)
    await watched.until(lambda now: now.replicas[address].reachable)
    watched.board.broken = True
    shard.report(status("v1", [0]))
    lost = await watched.until(lambda now: not now.replicas[address].reachable)
    assert (lost.holders("v1", 0), "RuntimeError" in lost.replicas[address].last_error) == ((), True)
    watched.board.broken = False
    await watched.until(lambda now: now.holders("v1", 0) == (address,))


async def test_a_listener_that_fails_costs_no_shard_and_no_other_listener(shard: FakeShard, following: Follow) -> None:
    """Who is there, and what they hold, is kept all the same."""
    address = await shard.start()
    watched, told = following(address), asyncio.Event()
    watched.board.listeners = [lambda: 1 // 0, told.set]
    await watched.until(lambda now: now.replicas[address].reachable)
    assert told.is_set()


async def test_a_killed_shard_is_lost_and_found_again(shard: FakeShard, following: Follow) -> None:
    """The same address, another process."""
    address = await shard.start()
    watched = following(address)
    await watched.until(lambda now: now.replicas[address].reachable)
    await shard.stop()
    lost = await watched.until(lambda now: not now.replicas[address].reachable)
    await shard.start(address)
    found = await watched.until(lambda now: now.replicas[address].reachable)
    assert (lost.holders("v1", 0), found.holders("v1", 0)) == ((), (address,))


async def test_a_stream_that_ends_is_opened_again(shard: FakeShard, following: Follow) -> None:
    """A shard that hangs up politely is gone all the same, until it answers."""
    address = await shard.start()
    watched = following(address)
    await watched.until(lambda now: now.replicas[address].reachable)
    shard.hang_up()
    lost = await watched.until(lambda now: not now.replicas[address].reachable)
    await watched.until(lambda now: now.replicas[address].reachable)
    assert (lost.replicas[address].last_error, shard.watches) == ("the shard ended its watch stream", 2)


async def test_a_silent_shard_is_lost(shard: FakeShard, following: Follow) -> None:
    """A process that hangs keeps its connection open; its silence gives it away."""
    address = await shard.start()
    watched = following(address, silence_s=0.05)
    topology = await watched.until(lambda now: now.replicas[address].last_error != "")
    assert topology.replicas[address].last_error == "silent for 0.05 s"


async def test_a_shard_that_never_was_there_says_why(following: Follow) -> None:
    """The error of the connection is kept for whoever looks."""
    watched = following("127.0.0.1:1")
    topology = await watched.until(lambda now: now.replicas["127.0.0.1:1"].last_error != "")
    assert "UNAVAILABLE" in topology.replicas["127.0.0.1:1"].last_error


async def test_the_board_knows_when_everyone_answered(following: Follow) -> None:
    """A loss is an answer too: a router need not wait for shards that are not there."""
    await asyncio.wait_for(following("127.0.0.1:1").board.everyone_answered.wait(), 60)


async def test_delays_grow_while_nobody_answers(following: Follow) -> None:
    """Whoever is not there is not asked as fast as possible."""
    watched = following("127.0.0.1:1")
    await watched.until(lambda now: len(watched.delays) >= 4)
    assert watched.delays[:4] == [0.05, 0.1, 0.2, 0.4]
