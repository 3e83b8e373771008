"""Tells each shard what this router sees of the others, so that none gives up what nobody else holds.

Shards do not talk to one another. At every change that matters, gathered for a moment, and every second as a sign of
life, each shard hears how many others hold each partition warm and stay, and who is leaving. What follows from that is
the shard's business; one that cannot be told keeps what it has.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Never

import grpc.aio
import structlog

from router.cluster.shard_channel import ShardChannel, ShardChannels
from router.cluster.topology import ReplicaView, Topology
from router.cluster.watch import Board
from trunkshow.serving.rounds import rounds
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import shard_pb2

EVERY_S = 1.0
GATHERED_S = 0.02
"""Changes come in swarms, one report per shard: they are told once."""

WITHIN_S = 1.0

Counts = Mapping[str, Counter[int]]

log = structlog.get_logger()


def observed(topology: Topology, address: str, counts: Counts | None = None) -> shard_pb2.ObserveRequest:
    """What one shard is told.

    Args:
        topology: as this router sees it.
        address: of the shard.
        counts: `holders_of` this topology, where many shards are told.
    """
    counts = holders_of(topology) if counts is None else counts
    own = {(version, number) for version, number in _counted(topology.replicas[address])}
    held = [
        shard_pb2.Held(
            snapshot_version=version,
            partitions=sorted(numbers),
            others=[numbers[number] - ((version, number) in own) for number in sorted(numbers)],
        )
        for version, numbers in sorted(counts.items())
    ]
    # Who drained and is gone still is: counted in again, it would be meant to take what others wait to hand over.
    leaving = [view.name for view in topology.replicas.values() if view.draining]
    return shard_pb2.ObserveRequest(held=held, leaving=leaving)


def holders_of(topology: Topology) -> Counts:
    """By version and partition, how many hold it and stay."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for view in topology.replicas.values():
        for version, number in _counted(view):
            counts[version][number] += 1
    return counts


def _counted(view: ReplicaView) -> Iterator[tuple[str, int]]:
    """What a shard holds that others may count on."""
    if not view.stays:
        return
    for generation in view.held:
        for number in generation.warm - generation.surplus:
            yield generation.version, number


class Observer:
    """Tells the shards.

    Args:
        board: with the newest topology.
        channels: to the shards.
    """

    def __init__(self, board: Board, channels: ShardChannels) -> None:
        self._board = board
        self._channels = channels
        self._changed = asyncio.Event()
        self._throttle = Throttle(60.0)
        board.listeners.append(self._changed.set)

    async def run(self) -> Never:
        """Tell them until cancelled."""
        await rounds(self._told, GATHERED_S, failed="observer.failed")

    async def _told(self) -> None:
        """Wait for something to tell, or as long as they are kept waiting at most; then tell everybody."""
        waiting = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait({waiting}, timeout=EVERY_S)
        waiting.cancel()
        await asyncio.sleep(GATHERED_S)
        self._changed.clear()
        topology = self._board.topology
        counts = holders_of(topology)
        reachable = (address for address, view in topology.replicas.items() if view.reachable)
        lines = ((address, self._channels.get(address)) for address in reachable)
        told = [self._tell(line, observed(topology, address, counts)) for address, line in lines if line is not None]
        await asyncio.gather(*told)

    async def _tell(self, shard: ShardChannel, request: shard_pb2.ObserveRequest) -> None:
        try:
            await shard.observe(request.SerializeToString(), timeout=WITHIN_S)
        except grpc.aio.AioRpcError as error:
            self._throttle.log(log.warning, "shard.not_told", shard=shard.address, error=error.code().name)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it is we who are told to stop
                raise
            self._throttle.log(log.warning, "shard.not_told", shard=shard.address, error="its line was cut")
