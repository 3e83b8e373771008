"""How many users one call to a shard carries in a batch: as many as this router was told, or as that shard takes.

A shard refuses a larger call as a whole. It says in its status what it takes; one of an earlier release, which does
not, is sent what this router was told. Who is asked together is left to `router.answering.chunks`.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from router.cluster.topology import Topology
from router.cluster.watch import Board

log = structlog.get_logger()


class ChunkUsers:
    """Of each shard, as it says now. One that takes fewer than this router was told is logged once it is found.

    Args:
        board: with the newest topology.
        most: that this router was told.
    """

    def __init__(self, board: Board, most: int) -> None:
        self._board = board
        self._most = most
        self._fewer: Mapping[str, int] = {}
        board.listeners.append(self._look)
        self._look()

    def __call__(self, address: str) -> int:
        """Users in one call to a shard, at most."""
        return self._fewer.get(address, self._most)

    def _look(self) -> None:
        before, self._fewer = self._fewer, fewer(self._board.topology, self._most)
        for address, users in self._fewer.items():
            if before.get(address) != users:
                log.warning("batch.chunks_cut", shard=address, batch_users_max=users, batch_chunk_users=self._most)


def fewer(topology: Topology, most: int) -> Mapping[str, int]:
    """The shards that take fewer users than this in one call, and how many each of them takes."""
    said = {one.address: one.facts.batch_users_max for one in topology.replicas.values() if one.facts is not None}
    return {address: users for address, users in said.items() if 0 < users < most}
