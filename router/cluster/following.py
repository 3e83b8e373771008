"""Which shards this router listens to: those that the membership names, and for a while those that it named.

    named → followed     a line is opened, and what the shard says goes to the board
    dropped → forgotten  it holds nothing warm any more, or is lost, or `forget_after_s` have passed

A shard that the membership drops is still asked for what it holds: others may not have it warm yet. Which shards there
are is looked up by `trunkshow.membership`; how one is listened to is `router.cluster.watch`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from router.cluster.shard_channel import ShardChannel, ShardChannels
from router.cluster.topology import ReplicaView
from router.cluster.watch import Board
from trunkshow.serving.deadline import Clock, monotonic

FORGET_AFTER_S = 120.0

Follow = Callable[[ShardChannel], "asyncio.Future[object]"]

log = structlog.get_logger()


class Following:
    """Follows shards.

    Args:
        board: told of members, and by those who follow of facts.
        channels: opened and closed here.
        follow: starts listening to one shard, until cancelled.
        forget_after_s: a shard that was dropped is followed no longer than that.
        clock: monotonic.

    Attributes:
        members: as they were last renewed.
    """

    def __init__(
        self,
        board: Board,
        channels: ShardChannels,
        follow: Follow,
        *,
        forget_after_s: float = FORGET_AFTER_S,
        clock: Clock = monotonic,
    ) -> None:
        self.members: tuple[str, ...] = ()
        self._board = board
        self._channels = channels
        self._follow = follow
        self._forget_after_s = forget_after_s
        self._clock = clock
        self._tasks: dict[str, asyncio.Future[object]] = {}
        self._dropped: dict[str, float] = {}
        self._closing: set[asyncio.Future[None]] = set()

    def renew(self, members: Sequence[str]) -> None:
        """The membership is this."""
        self._board.members(members)
        for address in members:
            self._dropped.pop(address, None)
            if address not in self._tasks:
                self._tasks[address] = self._follow(self._channels.add(address))
        for address in self._tasks.keys() - set(members):
            self._dropped.setdefault(address, self._clock())
        self.members = tuple(members)

    def tend(self) -> None:
        """Forget whom it is time to forget."""
        now = self._clock()
        for address, since in list(self._dropped.items()):
            view = self._board.topology.replicas[address]
            if is_forgettable(view, now - since, self._forget_after_s):
                self._forget(address)

    async def close(self) -> None:
        """Follow nobody."""
        for task in self._tasks.values():
            task.cancel()
        await self._channels.close()

    def _forget(self, address: str) -> None:
        del self._dropped[address]
        self._tasks.pop(address).cancel()
        self._board.forget(address)
        closing = asyncio.ensure_future(self._channels.remove(address))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        log.info("shard.forgotten", shard=address)


def is_forgettable(view: ReplicaView, dropped_s: float, forget_after_s: float) -> bool:
    """Whether a shard that is no member any more is of no more use."""
    holds = any(generation.warm or generation.stand_ins for generation in view.held)
    return not holds or dropped_s >= forget_after_s
