"""Carousels whose models are plugged in: asked on threads of their own, while what they read from is kept open.

Somebody may close a partition at any time between two steps of the event loop, while the answer of a model is waited
for, or while a thread goes on working for an answer that nobody waits for any more. So the partitions are lent, to the
request and to each thread, and closed for good with the last of them.

How threads are limited is left to `shard.isolation`, what a model is asked to `trunkshow.proposals`, what becomes of
its candidates to `trunkshow.slate`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import cast

from shard.isolation import Lane
from trunkshow.proposals import Asking, Proposals, Proposed
from trunkshow.slate import SlateMaker
from trunkshow.snapshot.partition import Partition


class Apart:
    """Asks the models of one snapshot that must not be asked on the event loop.

    Args:
        maker: of slates.
    """

    def __init__(self, maker: SlateMaker) -> None:
        self._maker = maker
        self._lanes: dict[str, Lane] = {}

    @asynccontextmanager
    async def asked(
        self, apart: Sequence[str], asking: Asking, seconds: float
    ) -> AsyncIterator[tuple[Asking, Proposals]]:
        """What the models proposed, and the same asking, of partitions that stay open for as long as this is.

        Args:
            apart: which of the carousels wanted are asked for apart, all at the same time.
            asking: for what.
            seconds: after which a model is late.
        """
        with _lent(asking) as own:
            askings = [self._lane(carousel).ask(self._work(carousel, own), seconds) for carousel in apart]
            answers = await asyncio.gather(*askings, return_exceptions=True)
            yield own, {one: _ordinary(answer) for one, answer in zip(apart, answers, strict=True)}

    def proposals_blocking(self, apart: Sequence[str], asking: Asking, seconds: float) -> Proposals:
        """What the models propose, one after the other, for a caller that is a thread itself."""
        proposals: dict[str, Sequence[Proposed] | Exception] = {}
        for carousel in apart:
            try:
                proposals[carousel] = self._lane(carousel).ask_blocking(self._work(carousel, asking), seconds)
            except Exception as error:  # a model may raise anything; it costs its carousel a rung
                proposals[carousel] = error
        return proposals

    def _work(self, carousel: str, asking: Asking) -> Callable[[], list[Proposed]]:
        """What a model's thread does, however long it takes."""

        def propose() -> list[Proposed]:
            with _lent(asking) as own:
                return self._maker.proposer.propose(carousel, own)

        return propose

    def _lane(self, carousel: str) -> Lane:
        source = self._maker.proposer.source(carousel)
        # In one step: what is opened is warmed up by a thread of its own, while the event loop asks.
        return self._lanes.get(source) or self._lanes.setdefault(source, Lane(source))


@contextmanager
def _lent(asking: Asking) -> Iterator[Asking]:
    """The same asking, of partitions that stay open until it is done with."""
    lent: list[Partition] = []
    try:
        for shelf in cast("Sequence[Partition]", asking.shelves):
            lent.append(shelf.lend())  # noqa: PERF401 one that fails must leave the others to be closed
        yield asking._replace(shelves=lent)
    finally:
        for shelf in lent:
            shelf.close()


def _ordinary(answer: list[Proposed] | BaseException) -> Sequence[Proposed] | Exception:
    """A model's answer; what would end a process, such as SystemExit, ends nothing here."""
    if isinstance(answer, BaseException) and not isinstance(answer, Exception):
        return RuntimeError(repr(answer))
    return answer
