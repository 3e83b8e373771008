"""A version that is promoted and taken back while somebody is answered from it. Not a test."""

from __future__ import annotations

import asyncio

from fake_shard import everything
from rehearsal_stage import CANDIDATE, CURRENT, Stage, someone

from router.served.moving import Patience
from trunkshow.v1 import shard_pb2

NEW, OLD = CANDIDATE, CURRENT


class Gate:
    """A shard's script that answers of whichever version it is asked; of some it answers so many, then holds on.

    Attributes:
        holds: by version, how many more it answers before it holds on.
        reached: it holds on.
        opens: it goes on, once this is set.
        answered_all: it has answered as many as it was told to expect.

    Args:
        expected: answers.
    """

    def __init__(self, expected: int = 1) -> None:
        self._expected = expected
        self.holds: dict[str, int] = {}
        self.reached = asyncio.Event()
        self.opens = asyncio.Event()
        self.answered = 0
        self.answered_all = asyncio.Event()

    async def __call__(self, request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        """The script."""
        version = request.snapshot_version
        if self.holds.get(version, 1) == 0:
            self.reached.set()
            await self.opens.wait()
        elif version in self.holds:
            self.holds[version] -= 1
        self.answered += 1
        if self.answered == self._expected:
            self.answered_all.set()
        return await everything(version=version)(request)


def promote(stage: Stage) -> None:
    """The newer version serves everybody."""
    stage.store.pointer = stage.store.pointer.promoted(NEW, someone())
    stage.poll()
    stage.keeper.moved_on(stage.keeper.now.moves.advanced(stage.board.topology, Patience(1, 0), stage.clock.now))
    assert stage.keeper.now.moves.complete


def roll_back(stage: Stage) -> None:
    """The newer version is poisoned, and this router has heard of it."""
    stage.store.pointer = stage.store.pointer.rolled_back(someone())
    stage.poll()
