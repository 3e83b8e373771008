"""Whom to ask now: `router.asking.selection` over the newest topology, as open lines.

What is put together here changes from moment to moment: what the shards say of themselves, how many requests each has
in flight, how each does (`router.asking.infirmary`), and whose turn it is. Asking is left to `router.asking.fanout`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

from router.asking import selection
from router.asking.infirmary import Infirmary
from router.cluster.shard_channel import ShardChannel, ShardChannels
from router.cluster.topology import Topology
from router.cluster.watch import Board
from trunkshow.v1 import recommendation_pb2 as pb


class Replicas:
    """The shards of one cluster, as those that can be asked.

    Args:
        shards: the lines that are open; others open and close them.
        board: with the newest topology.
        infirmary: the replicas' health.
    """

    def __init__(self, shards: ShardChannels, board: Board, infirmary: Infirmary) -> None:
        self._shards = shards
        self._board = board
        self._infirmary = infirmary
        self._turns = itertools.count()

    @property
    def topology(self) -> Topology:
        """The newest."""
        return self._board.topology

    def load(self, address: str) -> int:
        """Requests in flight to a shard."""
        shard = self._shards.get(address)
        return shard.in_flight if shard is not None else 0

    def line(self, address: str) -> ShardChannel | None:
        """The line to a shard; None where none is open any more."""
        return self._shards.get(address)

    def lines(self, addresses: Iterable[str]) -> list[ShardChannel]:
        """Those of the lines that are open."""
        return [shard for address in addresses if (shard := self._shards.get(address)) is not None]

    def last(self) -> Collection[str]:
        """Who is to be asked after everybody else."""
        return self._infirmary.last()

    def best(self, version: str, partition: int, *, stand_in: bool = False) -> list[ShardChannel]:
        """Whom to ask for one partition, or for the copies of its users, best first."""
        found = selection.preferred(
            self.topology, version, partition, self.load, next(self._turns), last=self.last(), stand_in=stand_in
        )
        return self.lines(found)

    def grouped(
        self, topology: Topology, version: str, partitions: Iterable[int], tried: Collection[str], last: Collection[str]
    ) -> selection.Grouping:
        """Each partition with one address to ask, on few addresses, none of them tried before."""
        return selection.grouped(topology, version, partitions, self.load, next(self._turns), tried, last)

    def unheld(self, version: str) -> pb.Reason:
        """Why somebody does not hold what he was asked for of a snapshot."""
        return unheld(self.topology, version)[-1]


def unheld(topology: Topology, version: str) -> tuple[pb.Reason, ...]:
    """Why nobody holds a partition of a snapshot."""
    if topology.serves_other_than(version):
        return (pb.REASON_NO_REPLICA, pb.REASON_SNAPSHOT_MISMATCH)
    return (pb.REASON_NO_REPLICA,)


def spared(replicas: list[ShardChannel], slow: Collection[str]) -> tuple[list[ShardChannel], int]:
    """The replicas with those last that were a disappointment already, and how many come before these."""
    fresh = [shard for shard in replicas if shard.address not in slow]
    return fresh + [shard for shard in replicas if shard.address in slow], len(fresh)
