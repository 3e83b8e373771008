"""One request's askings of the replicas of one partition: the first good answer wins.

Rules:

1. The first replica is asked at once.
2. A good answer ends the race, whoever gave it. What is still on its way is cancelled, so that the shard sees it.
3. After an error the next replica is asked at once, of those whose budget for that allows it
   (`router.asking.failover`). That wins nothing over an asking that is still on its way.
4. After its patience the replica asked last gets a rival, where there is one and the budget allows
   (`trunkshow.hedging`).
5. Who let the time run out has used it up: after that nobody is asked, and nobody with less than a millisecond left.
6. A request that may wait in the shard for its user's events (`Kind.WAITING`) is compared with others that may: most of
   them find the events there, and one in twenty gets a rival, who may have read further in the log, or be well where
   the first one hangs. Which of the two it was nobody can tell, so that being outrun is no sign against a replica
   then. One that hangs lets the time run out, or is found out by requests that wait for nothing.

Every step is taken synchronously, when a call has ended or a timer has run; the coroutine waits and does nothing else.
On the common path, one answer in time, that costs a future and a timer that is cancelled. What an error means, for the
answer and for the replica, is `router.asking.endings`'s to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from router.asking import endings
from router.asking.attempts import Attempt
from router.asking.terms import Rules, Terms, Timer
from router.cluster.shard_channel import ShardChannel
from trunkshow.calling_off import call_off
from trunkshow.latencies import Kind
from trunkshow.serving.call import REQUEST_ID_KEY
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

WORTH_ASKING_S = 0.001
"""With less time left, no shard is asked: no answer could be back in time."""

NO_TIME = "no time left to ask"


class _Flight:
    """An asking: on its way until it has become an attempt."""

    __slots__ = ("attempt", "began", "call", "failover", "hedge", "patience_ms", "shard")

    def __init__(self, shard: ShardChannel, began: float, patience_ms: float, *, hedge: bool, failover: bool) -> None:
        self.shard = shard
        self.began = began
        self.patience_ms = patience_ms
        self.hedge = hedge
        self.failover = failover
        self.call: grpc.aio.UnaryUnaryCall[bytes, bytes] | None = None
        self.attempt: Attempt | None = None


class Race:
    """Asks until somebody answers, all have failed, or the time is up.

    Args:
        replicas: in the order in which they are to be asked; at least one.
        terms: of this race.
        rules: of all races.
        rivals: of the replicas, counted from the front, those that may be asked as a hedge.
        again: others failed at the same before; the first replica is a failover, too.
    """

    def __init__(
        self,
        replicas: Sequence[ShardChannel],
        terms: Terms,
        rules: Rules,
        rivals: int | None = None,
        *,
        again: bool = False,
    ) -> None:
        self._waiting = list(replicas)
        self._rivals = len(replicas) if rivals is None else rivals
        self._again = again
        self._terms = terms
        self._rules = rules
        self._flights: list[_Flight] = []
        self._on_their_way = 0
        self._landed: list[_Flight] = []
        self._woken: asyncio.Future[None] | None = None
        self._timer: Timer | None = None
        self._late = False
        self._won = False

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All that have ended, in the order in which they began; after `run`, all."""
        return tuple(flight.attempt for flight in self._flights if flight.attempt is not None)

    async def run(self) -> shard_pb2.PredictResponse | None:
        """The first good answer; None where there is none."""
        try:
            self._ask_next(failover=self._again)
            while self._on_their_way:
                if not self._landed:
                    await self._somebody()
                while self._landed:
                    answer = await self._land(self._landed.pop(0))
                    if answer is not None:
                        return answer
                    if not self._late:
                        self._ask_next(failover=True)
            return None
        finally:
            self._call_off()

    def _ask_next(self, *, hedge: bool = False, failover: bool = False) -> None:
        """Ask the next replica, where there is one and time for it."""
        shard = self._next(failover=failover)
        if shard is None:
            return
        now = self._rules.clock()
        left = self._terms.until.remaining_s(now)
        patience_ms = self._rules.patience.of(shard.latencies[self._terms.kind].tail_ms)
        if left < WORTH_ASKING_S:
            if not self._flights:
                self._flights.append(_Flight(shard, now, patience_ms, hedge=False, failover=False))
                self._ended(self._flights[0], pb.OUTCOME_LATE, pb.REASON_SHARD_LATE, NO_TIME)
            return
        flight = _Flight(shard, now, patience_ms, hedge=hedge, failover=failover)
        self._flights.append(flight)
        try:
            flight.call = shard.predict(
                self._terms.request, timeout=left, metadata=((REQUEST_ID_KEY, self._terms.request_id),)
            )
        except grpc.aio.UsageError as error:  # the line was cut between choosing and asking
            self._ended(flight, pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, str(error))
            self._ask_next(hedge=hedge, failover=failover)
            return
        shard.in_flight += 1
        self._on_their_way += 1
        flight.call.add_done_callback(lambda _: self._wake(flight))
        self._set_timer(patience_ms)

    def _next(self, *, failover: bool) -> ShardChannel | None:
        """Whose turn it is, out of those who wait for theirs."""
        for place, shard in enumerate(self._waiting):
            if not failover or self._rules.failovers.affords(shard.address):
                del self._waiting[place]
                self._rivals -= place < self._rivals
                return shard
        self._rules.failovers.refused += bool(self._waiting)
        return None

    def _set_timer(self, patience_ms: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rivals:
            self._timer = self._rules.set_timer(patience_ms / 1000, self._out_of_patience)

    def _out_of_patience(self) -> None:
        if not self._on_their_way or self._landed:  # whoever has landed is seen to first
            return
        if self._rules.tokens.spend():
            self._ask_next(hedge=True)
        else:
            self._set_timer(self._flights[-1].patience_ms)

    def _somebody(self) -> asyncio.Future[None]:
        """Done once a call has ended."""
        self._woken = asyncio.get_running_loop().create_future()
        return self._woken

    def _wake(self, flight: _Flight) -> None:
        if flight.attempt is None:
            self._landed.append(flight)
            if self._woken is not None and not self._woken.done():
                self._woken.set_result(None)

    async def _land(self, flight: _Flight) -> shard_pb2.PredictResponse | None:
        """What a call that has ended gave."""
        assert flight.call is not None
        try:
            answer = shard_pb2.PredictResponse.FromString(await flight.call)
        except (grpc.aio.AioRpcError, DecodeError) as error:
            self._ended(flight, *endings.of(error, self._terms.why_unheld))
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it is we who are told to stop
                raise
            self._ended(flight, pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, "its line was cut")
            return None
        self._won = True
        self._ended(flight, pb.OUTCOME_ANSWERED)
        return answer

    def _ended(
        self,
        flight: _Flight,
        outcome: pb.Outcome,
        reason: pb.Reason = pb.REASON_UNSPECIFIED,
        error: str = "",
    ) -> None:
        if flight.call is not None:
            flight.shard.in_flight -= 1
            self._on_their_way -= 1
        ms = (self._rules.clock() - flight.began) * 1000
        flight.attempt = Attempt(flight.shard.address, outcome, reason, error, ms, self._terms.rung, flight.hedge)
        if outcome == pb.OUTCOME_LATE:
            self._late = True
        outrun = self._won and self._terms.kind is not Kind.WAITING
        sign = endings.sign(outcome, patient=ms >= flight.patience_ms, outrun=outrun)
        self._rules.ended(flight.shard, self._terms.kind, flight.attempt, sign)
        if flight.call is not None:
            self._rules.failovers.ended(flight.shard.address, outcome, failover=flight.failover)

    def _call_off(self) -> None:
        """Whatever is still on its way is not needed any more."""
        if self._timer is not None:
            self._timer.cancel()
        for flight in self._flights:
            if flight.attempt is None:
                self._ended(flight, pb.OUTCOME_CANCELLED)
                if flight.call is not None:
                    call_off(flight.call)
