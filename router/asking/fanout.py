"""Asking shards: about one partition, several at a time, or a batch; each with a deadline, and what came of it.

Every call carries its own `timeout=`; gRPC's service-config timeouts do not work in Python. Whom to ask is
`router.asking.replicas`' to say; how replicas of one partition are asked, one after the other or against one another,
is `router.asking.race`'s; how several partitions are, `router.asking.spread`'s; what a failure costs the answer,
`router.slates.ladder`'s. What is kept here is what all askings have in common, and what came of them: the replicas'
health, and the counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial

import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from router.asking import endings
from router.asking.attempts import Attempt, Gathered, Outcome, disappointing, reasons_of
from router.asking.failover import Failovers
from router.asking.health import LIMITS, Limits, Sign
from router.asking.infirmary import Infirmary
from router.asking.race import WORTH_ASKING_S, Race
from router.asking.replicas import Replicas, spared, unheld
from router.asking.silence import Silence
from router.asking.spread import Spread
from router.asking.tally import Tally
from router.asking.terms import Observe, Rules, SetTimer, Terms
from router.cluster.shard_channel import ShardChannel, ShardChannels, StreamCall
from router.cluster.watch import Board
from trunkshow.hedging import PATIENCE, Patience, Tokens
from trunkshow.latencies import Kind
from trunkshow.serving.call import REQUEST_ID_KEY
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

CUT = (pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, "its line was cut")
SILENT = (pb.OUTCOME_LATE, pb.REASON_SHARD_LATE, "it fell silent")
"""What became of a call for a batch that was ended on this side."""

log = structlog.get_logger()


def _on_the_loop(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call)


class Fanout:
    """Asks the shards of one cluster.

    Args:
        shards: the lines that are open; others open and close them.
        board: with the newest topology.
        patience: before a second replica is asked.
        tokens: that this costs.
        limits: of replicas' health.
        asks_for: whom, for the log.
        observe: told how long shards took for each slate, without what it waited by its own wish.
        clock: monotonic.
        set_timer: on the same clock.

    Attributes:
        infirmary: the replicas' health.
        tally: how askings ended, since the start.
        failovers: budgets of those who are asked because somebody failed.
        last_asked_until: when an asking for one slate came to its end last; seconds on the clock.
    """

    def __init__(
        self,
        shards: ShardChannels,
        board: Board,
        *,
        patience: Patience = PATIENCE,
        tokens: Tokens | None = None,
        limits: Limits = LIMITS,
        asks_for: str = "shoppers",
        observe: Observe = lambda ms, *, answered: None,
        clock: Clock = monotonic,
        set_timer: SetTimer = _on_the_loop,
    ) -> None:
        self.tally = Tally()
        self.last_asked_until = 0.0
        self._observe = observe
        self._clock = clock
        tokens = tokens or Tokens()
        self.infirmary = Infirmary(shards, lambda: tokens.any, clock, limits, asks_for)
        self._replicas = Replicas(shards, board, self.infirmary)
        self.failovers = Failovers()
        self._rules = Rules(patience, tokens, self.failovers, self._ended, clock, set_timer)
        self._throttle = Throttle(clock=clock)

    def choose(self, version: str, partition: int) -> str | None:
        """Whom to ask for a partition now; None where nobody holds it."""
        found = self._replicas.best(version, partition)
        return found[0].address if found else None

    async def ask(
        self,
        version: str,
        partition: int,
        request: bytes,
        until: Deadline,
        request_id: str,
        *,
        rung: pb.Rung = pb.RUNG_SNAPSHOT,
        stand_in: bool = False,
        waits: bool = False,
        spent: Collection[Attempt] = (),
    ) -> Outcome:
        """Ask the holders of a partition until one answers, all have failed or the time is up.

        Args:
            version: of the snapshot.
            partition: the user's home.
            request: a serialised PredictRequest.
            until: when the answer must be there.
            request_id: for the shards' logs.
            rung: that the asking stands for; it goes into the attempts.
            stand_in: ask those who hold a compact copy of the partition's users, instead of its holders.
            waits: the request may wait there for events, by its own wish; for a compact copy nobody waits.
            spent: earlier attempts for the same slate; who was late or failed in them is asked last, and never as a
                hedge.
        """
        self._rules.tokens.earn()
        replicas = self._replicas.best(version, partition, stand_in=stand_in)
        if not replicas:
            return Outcome(None, (), unheld(self._replicas.topology, version))
        rivals = len(replicas)
        if spent:
            replicas, rivals = spared(replicas, disappointing(spent))
        kind = Kind.STAND_IN if stand_in else Kind.WAITING if waits else Kind.ONE
        why = partial(self._replicas.unheld, version)
        running = Race(replicas, Terms(request, until, request_id, rung, kind, why), self._rules, rivals)
        began = self._clock()
        answer = await running.run()
        self._came_to_an_end(began, answer is not None, answer.waited_ms if answer is not None else 0.0)
        attempts = running.attempts
        if answer is not None and len(attempts) == 1:
            return Outcome(answer, attempts)
        self._report(attempts, request_id)
        return Outcome(answer, attempts, () if answer is not None else reasons_of(attempts))

    async def ask_many(
        self,
        version: str,
        partitions: Sequence[int],
        request_for: Callable[[Sequence[int]], bytes],
        until: Deadline,
        request_id: str,
        *,
        rung: pb.Rung = pb.RUNG_SNAPSHOT,
        spent: Collection[Attempt] = (),
    ) -> Gathered:
        """Ask for several partitions at a time, each shard once for all that it is to look in.

        Args:
            version: of the snapshot.
            partitions: in the order of their worth.
            request_for: the serialised PredictRequest for some of them.
            until: when the answers must be there.
            request_id: for the shards' logs.
            rung: that the asking stands for.
            spent: as in `ask`.
        """
        self._rules.tokens.earn()
        began = self._clock()
        spread = Spread(
            self._replicas, self._rules, version, request_for, until, request_id, rung, disappointing(spent)
        )
        gathered = await spread.ask(partitions)
        self._came_to_an_end(began, bool(gathered.answers))
        self._report(gathered.attempts, request_id)
        return gathered

    async def ask_batch(
        self, version: str, address: str, request: bytes, users: int, until: Deadline, request_id: str
    ) -> AsyncGenerator[shard_pb2.PredictBatchResponse]:
        """One shard's answers to a batch, as they come; they end early where it fails, is late, or falls silent."""
        shard = self._replicas.line(address)
        began = self._clock()
        left = until.remaining_s(began)
        if shard is None or left < WORTH_ASKING_S:
            return
        shard.in_flight += users
        call: StreamCall | None = None
        silence: Silence | None = None
        try:
            call = shard.predict_batch(request, timeout=left, metadata=((REQUEST_ID_KEY, request_id),))
            silence = Silence(call, self._rules.set_timer)
            silence.begins()
            async for data in call:
                silence.ends()
                yield shard_pb2.PredictBatchResponse.FromString(data)
                silence.begins()
        except (grpc.aio.AioRpcError, DecodeError) as error:
            self._batch_failed(shard, *endings.of(error, partial(self._replicas.unheld, version)), began, request_id)
        except (grpc.aio.UsageError, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it is we who are told to stop
                raise
            hung_up = silence is not None and silence.was_too_long
            self._batch_failed(shard, *(SILENT if hung_up else CUT), began, request_id)
        finally:
            if silence is not None:
                silence.ends()
            if call is not None:
                call.cancel()
            shard.in_flight -= users

    def _batch_failed(
        self, shard: ShardChannel, outcome: pb.Outcome, reason: pb.Reason, said: str, began: float, request_id: str
    ) -> None:
        shard.last_error = said
        failed = Attempt(shard.address, outcome, reason, said, (self._clock() - began) * 1000)
        sign = Sign.FAILED if outcome == pb.OUTCOME_FAILED else Sign.NONE  # late was the batch, not the shard
        self.infirmary.note(shard, Kind.SEVERAL, failed, sign)
        self._report((failed,), request_id)

    def _ended(self, shard: ShardChannel, kind: Kind, attempt: Attempt, sign: Sign) -> None:
        """Keep what an attempt tells of its replica."""
        if attempt.outcome == pb.OUTCOME_ANSWERED:
            shard.latencies[kind].add(attempt.ms)
        if attempt.error:
            shard.last_error = attempt.error
        self.infirmary.note(shard, kind, attempt, sign)
        self.tally.note(attempt)

    def _came_to_an_end(self, began: float, answered: bool, waited_ms: float = 0.0) -> None:
        now = self._clock()
        self.last_asked_until = now
        took_ms = (now - began) * 1000
        believed_ms = min(waited_ms, took_ms) if waited_ms >= 0 else 0.0  # a shard may say what is no number
        self._observe(took_ms - believed_ms, answered=answered)

    def _report(self, attempts: Sequence[Attempt], request_id: str) -> None:
        failed = [attempt for attempt in attempts if attempt.failed]
        if failed and (held_back := self._throttle.admit()) is not None:
            told = [
                {"replica": one.replica, "reason": pb.Reason.Name(one.reason), "error": one.error, "ms": round(one.ms)}
                for one in failed
            ]
            log.warning("shard.failed", request_id=request_id, attempts=told, like_these=held_back)
