"""One request's askings for several partitions: as few shards as hold them all, each asked once, at the same time.

    partitions → grouped by shard ─┬─ a race over the shard, and those that hold all of the group → answer
                                   └─ nobody answered, in time to ask again → grouped anew, without whoever was tried

Whom to ask is left to `router.asking.replicas`; how the replicas of one group are asked, to `router.asking.race`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from router.asking import selection
from router.asking.attempts import Gathered, reasons_of
from router.asking.race import Race
from router.asking.replicas import Replicas, unheld
from router.asking.terms import Rules, Terms
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb


class Spread(NamedTuple):
    """What all askings of one request have in common.

    Attributes:
        replicas: to choose from.
        rules: of the races.
        version: of the snapshot.
        request_for: the serialised PredictRequest for some of the partitions.
        until: when the answers must be there.
        request_id: for the shards' logs.
        rung: that the askings stand for.
        slow: addresses that disappointed this request before: asked last, and never as a hedge.
    """

    replicas: Replicas
    rules: Rules
    version: str
    request_for: Callable[[Sequence[int]], bytes]
    until: Deadline
    request_id: str
    rung: pb.Rung
    slow: frozenset[str] = frozenset()

    async def ask(self, partitions: Sequence[int], tried: frozenset[str] = frozenset()) -> Gathered:
        """Everybody's answers, and why any is missing.

        Args:
            partitions: in the order of their worth.
            tried: addresses that are not asked again.
        """
        topology, last = self.replicas.topology, self.slow.union(self.replicas.last())
        by_address, homeless = self.replicas.grouped(topology, self.version, partitions, tried, last)

        async def group(address: str, numbers: Sequence[int]) -> Gathered:
            but = {address, *tried, *last}
            candidates = (address, *selection.holding_all(topology, self.version, numbers, but))
            return await self._ask_group(numbers, candidates, tried)

        parts = await asyncio.gather(*(group(*entry) for entry in by_address.items()))
        nobody = unheld(topology, self.version) if homeless and not tried else ()
        return Gathered.sum((*parts, Gathered(reasons=nobody)))

    async def _ask_group(self, numbers: Sequence[int], candidates: tuple[str, ...], tried: frozenset[str]) -> Gathered:
        """Some partitions, of shards that each hold all of them; then, where there is time, of whoever holds some."""
        lines = self.replicas.lines(candidates)
        if not lines:
            return Gathered(reasons=(pb.REASON_NO_REPLICA,))
        why = partial(self.replicas.unheld, self.version)
        terms = Terms(self.request_for(numbers), self.until, self.request_id, self.rung, Kind.SEVERAL, why)
        running = Race(lines, terms, self.rules, again=bool(tried))
        answer = await running.run()
        if answer is not None:
            return Gathered((answer,), len(numbers), running.attempts)
        failed = Gathered(attempts=running.attempts, reasons=reasons_of(running.attempts))
        if pb.REASON_SHARD_LATE in failed.reasons:
            return failed
        again = await self.ask(numbers, tried.union(candidates))
        missed = again.answered < len(numbers)
        return Gathered.sum((failed if missed else Gathered(attempts=failed.attempts), again))
