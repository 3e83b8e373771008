"""Whatever replicas do, a race ends in time, with an answer or reasons, and its whole story is told."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple, cast

import grpc
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "router"))

from scripted import Call, Clock, Replica, settled

from router.asking.attempts import reasons_of
from router.asking.failover import Failovers
from router.asking.race import Race
from router.asking.terms import Rules, Terms
from router.cluster.shard_channel import ShardChannel
from trunkshow.hedging import Patience, Tokens
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb

BUDGET_MS = 200


class Behaviour(NamedTuple):
    """What a replica does with a call: answer or fail after some time."""

    ms: int
    code: grpc.StatusCode | None


class Behaving(Replica):
    """A replica that behaves so; a call that outlives its deadline ends as gRPC ends it."""

    def __init__(self, address: str, behaviour: Behaviour, clock: Clock) -> None:
        super().__init__(address)
        self._behaviour = behaviour
        self._clock = clock

    def predict(self, request: bytes, *, timeout: float, metadata: object) -> Call:
        """Begin a call, and set the time of its end."""
        call = super().predict(request, timeout=timeout, metadata=metadata)
        ms, code = self._behaviour
        if ms / 1000 >= timeout:
            ms, code = timeout * 1000, grpc.StatusCode.DEADLINE_EXCEEDED

        def end() -> None:
            if not call.was_cancelled:
                call.answer() if code is None else call.fail(code)

        self._clock.set_timer(ms / 1000, end)
        return call


CODES = st.sampled_from(
    [
        None,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ]
)
BEHAVIOURS = st.lists(st.builds(Behaviour, st.integers(0, 300), CODES), min_size=1, max_size=4)


@given(BEHAVIOURS, st.integers(0, 3))
def test_a_race_ends_in_time_and_tells_everything(behaviours: list[Behaviour], tokens: int) -> None:
    """In time, an attempt per call, nothing left in flight, no more hedges than tokens, an answer if one was had."""
    asyncio.run(_run(behaviours, tokens))


async def _run(behaviours: list[Behaviour], tokens: int) -> None:
    clock = Clock()
    replicas = [Behaving(f"r{number}", one, clock) for number, one in enumerate(behaviours)]
    rules = Rules(Patience(), Tokens(0.0, tokens), Failovers(), lambda *_: None, clock, clock.set_timer)
    began = clock()
    terms = Terms(b"", Deadline.after(BUDGET_MS, began), "id", pb.RUNG_SNAPSHOT, Kind.ONE, lambda: pb.REASON_NO_REPLICA)
    race = Race(cast("list[ShardChannel]", replicas), terms, rules)
    running = asyncio.ensure_future(race.run())
    while True:
        await settled(running)
        if running.done():
            break
        clock.pass_ms(1)
    answer, attempts = running.result(), race.attempts
    assert (clock() - began) * 1000 <= BUDGET_MS + 1
    assert [one.replica for one in attempts] == [one.address for one in replicas if one.calls]
    assert all(len(one.calls) <= 1 and one.in_flight == 0 for one in replicas)
    assert sum(one.hedge for one in attempts) <= tokens
    assert [one.outcome for one in attempts].count(pb.OUTCOME_ANSWERED) == (answer is not None)
    assert answer is not None or reasons_of(attempts)
    assert all(call.over for one in replicas for call in one.calls)
    if behaviours[0].code is None and behaviours[0].ms < BUDGET_MS:
        assert answer is not None
