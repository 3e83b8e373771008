"""Shards are told what others hold and stay with, and who leaves; whom the membership drops is followed for a while."""

from __future__ import annotations

import asyncio
from typing import cast

from router.cluster.following import Following, is_forgettable
from router.cluster.observing import observed
from router.cluster.shard_channel import ShardChannels
from router.cluster.topology import Generation, ReplicaView, ShardFacts, Topology
from router.cluster.watch import Board
from trunkshow.v1 import shard_pb2

A, B, C = "a:1", "b:1", "c:1"
READY, DRAINING = shard_pb2.SHARD_STATE_READY, shard_pb2.SHARD_STATE_DRAINING


def facts(address: str, warm: tuple[int, ...], state: shard_pb2.ShardState = READY, surplus: int = -1) -> ShardFacts:
    """A shard that holds these partitions of v1."""
    generation = Generation("v1", frozenset(warm), surplus=frozenset({surplus} & set(warm)))
    return ShardFacts(address, state, (generation,))


def told(topology: Topology, address: str) -> dict[int, int]:
    """How many others hold each partition of v1."""
    (held,) = observed(topology, address).held
    return dict(zip(held.partitions, held.others, strict=True))


def cluster(**of_b: object) -> Topology:
    """A holds 0 and 1, b 1 and 2."""
    topology = Topology.of([A, B, C]).updated(A, facts(A, (0, 1)))
    return topology.updated(B, facts(B, (1, 2), **of_b))  # type: ignore[arg-type]


def test_a_shard_is_told_of_the_others_alone() -> None:
    """What it holds itself it knows."""
    assert (told(cluster(), A), told(cluster(), B), told(cluster(), C)) == (
        {0: 0, 1: 1, 2: 1},
        {0: 1, 1: 1, 2: 0},
        {0: 1, 1: 2, 2: 1},
    )


def test_who_drains_is_not_counted_and_is_named() -> None:
    """It will not be there."""
    topology = cluster(state=DRAINING)
    assert (told(topology, A), list(observed(topology, A).leaving)) == ({0: 0, 1: 0}, [B])


def test_who_drained_and_is_gone_is_still_leaving() -> None:
    """Until it reports anew, or is no member: it would be left partitions that nobody else takes over."""
    gone = cluster(state=DRAINING).lost(B, "the shard ended its watch stream")
    assert list(observed(gone, A).leaving) == [B]
    back = gone.updated(B, ShardFacts(B))
    assert list(observed(back, A).leaving) == []


def test_what_a_shard_would_give_up_is_not_counted() -> None:
    """Or two that both would, would."""
    assert told(cluster(surplus=1), A) == {0: 0, 1: 0, 2: 1}


def test_who_is_lost_or_no_member_is_not_counted() -> None:
    """Neither can be relied on."""
    assert told(cluster().lost(B, "gone"), A) == {0: 0, 1: 0}
    assert told(cluster().with_members([A, C]), A) == {0: 0, 1: 0}


# --- who is followed ---


class Heard:
    """Following shards that never say a word, on a clock that the test drives."""

    def __init__(self) -> None:
        self.now = 0.0
        self.board = Board(Topology.of(()))
        self.begun: list[str] = []
        self.lines: list[object] = []
        self.channels = ShardChannels()
        self.following = Following(self.board, self.channels, self.follow, forget_after_s=60, clock=lambda: self.now)

    def follow(self, shard: object) -> asyncio.Future[object]:
        """Note it."""
        self.begun.append(cast("ReplicaView", shard).address)
        self.lines.append(shard)
        return asyncio.get_running_loop().create_future()


async def test_who_joins_is_followed_once() -> None:
    """However often the membership is read."""
    heard = Heard()
    for members in ([A], [A, B], [A, B]):
        heard.following.renew(members)
    assert heard.begun == [A, B]


async def test_who_was_dropped_is_followed_while_it_holds_something() -> None:
    """And forgotten once it does not."""
    heard = Heard()
    heard.following.renew([A, B])
    heard.board.heard(B, facts(B, (1,)))
    heard.following.renew([A])
    heard.following.tend()
    assert heard.board.topology.holders("v1", 1) == (B,)
    heard.board.heard(B, facts(B, ()))
    heard.following.tend()
    assert list(heard.board.topology.replicas) == [A]


async def test_who_was_dropped_and_is_lost_is_forgotten() -> None:
    """Nobody waits for it."""
    heard = Heard()
    heard.following.renew([A, B])
    heard.board.heard(B, facts(B, (1,)))
    heard.following.renew([A])
    heard.board.lost(B, "gone")
    heard.following.tend()
    assert B not in heard.board.topology.replicas


async def test_who_was_dropped_is_forgotten_in_the_end() -> None:
    """Whatever it still holds."""
    heard = Heard()
    heard.following.renew([A, B])
    heard.board.heard(B, facts(B, (1,)))
    heard.following.renew([A])
    heard.now = 60.0
    heard.following.tend()
    assert B not in heard.board.topology.replicas


async def test_who_is_named_again_in_time_is_not_forgotten() -> None:
    """A flicker."""
    heard = Heard()
    heard.following.renew([A, B])
    heard.following.renew([A])
    heard.following.renew([A, B])
    heard.following.tend()
    assert (list(heard.board.topology.replicas), heard.begun) == ([A, B], [A, B])


async def test_who_is_named_again_just_after_it_was_forgotten_gets_a_line_of_its_own() -> None:
    """And not the one that is about to be cut, over which nothing would ever come again."""
    heard = Heard()
    heard.following.renew([A, B])
    heard.following.renew([A])
    heard.following.tend()
    heard.following.renew([A, B])
    await asyncio.gather(*heard.following._closing)
    assert heard.begun == [A, B, B]
    assert heard.channels.get(B) is heard.lines[-1] is not heard.lines[1]
    await heard.channels.close()


def test_a_shard_with_compact_copies_alone_is_still_of_use() -> None:
    """They are what a rung is made of."""
    copies = ShardFacts(A, READY, (Generation("v1", frozenset(), stand_ins=frozenset({3})),))
    assert not is_forgettable(ReplicaView(A, reachable=True, facts=copies, member=False), 1, 60)


async def test_listeners_hear_of_changes_and_not_of_signs_of_life() -> None:
    """A report a second from every shard is not news."""
    board, changes = Board(Topology.of([A])), []
    board.listeners.append(lambda: changes.append(1))
    for _ in range(3):
        board.heard(A, facts(A, (0,)))
    board.lost(A, "gone")
    assert len(changes) == 2
