"""Asking shards: about one partition, several at a time, or a batch; each with a deadline, and what came of it.

Every call carries its own `timeout=`; gRPC's service-config timeouts do not work in Python. Whom to ask is
`router.selection`'s to say; how replicas of one partition are asked, one after the other or against one another, is
`router.race`'s; what a failure costs the answer, `router.ladder`'s.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial

import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from router import race, selection
from router.attempts import Attempt, Gathered, Outcome, reasons_of
from router.health import LIMITS, Limits, Sign
from router.hedging import PATIENCE, Kind, Patience, Tokens
from router.infirmary import Infirmary
from router.race import WORTH_ASKING_S, Race, Rules, SetTimer, Terms
from router.shard_channel import ShardChannel, ShardChannels
from router.topology import Topology
from router.watch import Board
from trunkshow.serving.call import REQUEST_ID_KEY
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

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
        observe: told how many milliseconds shards took for each slate, answered or not.
        clock: monotonic.
        set_timer: on the same clock.

    Attributes:
        infirmary: the replicas' health.
        hedges: sent, since the start.
        hedges_won: of these, the answers that were there first.
        cancelled: askings that another one outran, or whose caller left.
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
        observe: Callable[[float], None] = lambda ms: None,
        clock: Clock = monotonic,
        set_timer: SetTimer = _on_the_loop,
    ) -> None:
        self.hedges = 0
        self.hedges_won = 0
        self.cancelled = 0
        self.last_asked_until = 0.0
        self._observe = observe
        self._shards = shards
        self._board = board
        self._clock = clock
        tokens = tokens or Tokens()
        self.infirmary = Infirmary(shards, lambda: tokens.any, clock, limits)
        self._rules = Rules(patience, tokens, self._ended, clock, set_timer)
        self._ticks = itertools.count()
        self._throttle = Throttle(clock=clock)

    def load(self, address: str) -> int:
        """Requests in flight to a shard."""
        shard = self._shards.get(address)
        return shard.in_flight if shard is not None else 0

    def choose(self, version: str, partition: int) -> str | None:
        """Whom to ask for a partition now; None where nobody holds it."""
        found = self._replicas(version, partition)
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
            spent: earlier attempts for the same slate; who was late or failed in them is asked last, and never as a
                hedge.
        """
        self._rules.tokens.earn()
        replicas = self._replicas(version, partition, stand_in=stand_in)
        if not replicas:
            return Outcome(None, (), unheld(self._board.topology, version))
        rivals = len(replicas)
        if spent:
            replicas, rivals = _spared(replicas, spent)
        kind = Kind.STAND_IN if stand_in else Kind.ONE
        why = partial(self._why_unheld, version)
        running = Race(replicas, Terms(request, until, request_id, rung, kind, why), self._rules, rivals)
        began = self._clock()
        answer = await running.run()
        self._came_to_an_end(began)
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
    ) -> Gathered:
        """Ask for several partitions at a time, each shard once for all that it is to look in.

        Args:
            version: of the snapshot.
            partitions: in the order of their worth.
            request_for: the serialised PredictRequest for some of them.
            until: when the answers must be there.
            request_id: for the shards' logs.
            rung: that the asking stands for.
        """
        self._rules.tokens.earn()
        began = self._clock()
        gathered = await self._spread(version, partitions, request_for, until, request_id, frozenset(), rung)
        self._came_to_an_end(began)
        self._report(gathered.attempts, request_id)
        return gathered

    async def ask_batch(
        self, version: str, address: str, request: bytes, users: int, until: Deadline, request_id: str
    ) -> AsyncGenerator[shard_pb2.PredictBatchResponse]:
        """One shard's answers to a batch, as they come; they end early where it fails or is late."""
        shard = self._shards.get(address)
        began = self._clock()
        left = until.remaining_s(began)
        if shard is None or left < WORTH_ASKING_S:
            return
        shard.in_flight += users
        call = shard.predict_batch(request, timeout=left, metadata=((REQUEST_ID_KEY, request_id),))
        try:
            async for data in call:
                yield shard_pb2.PredictBatchResponse.FromString(data)
        except (grpc.aio.AioRpcError, DecodeError) as error:
            outcome, reason, said = race.verdict(error, partial(self._why_unheld, version))
            shard.last_error = said
            failed = Attempt(address, outcome, reason, said, (self._clock() - began) * 1000)
            sign = Sign.FAILED if outcome == pb.OUTCOME_FAILED else Sign.NONE  # late was the batch, not the shard
            self.infirmary.note(shard, Kind.SEVERAL, failed, sign)
            self._report((failed,), request_id)
        finally:
            call.cancel()
            shard.in_flight -= users

    def _replicas(self, version: str, partition: int, *, stand_in: bool = False) -> list[ShardChannel]:
        """Whom to ask for a partition, best first."""
        found = selection.preferred(
            self._board.topology,
            version,
            partition,
            self.load,
            next(self._ticks),
            last=self.infirmary.last(),
            stand_in=stand_in,
        )
        return [shard for address in found if (shard := self._shards.get(address)) is not None]

    async def _spread(
        self,
        version: str,
        partitions: Sequence[int],
        request_for: Callable[[Sequence[int]], bytes],
        until: Deadline,
        request_id: str,
        tried: frozenset[str],
        rung: pb.Rung,
    ) -> Gathered:
        topology, last = self._board.topology, self.infirmary.last()
        by_address, homeless = selection.grouped(
            topology, version, partitions, self.load, next(self._ticks), tried, last
        )
        why = partial(self._why_unheld, version)

        async def group(address: str, numbers: Sequence[int]) -> Gathered:
            candidates = (address, *selection.holding_all(topology, version, numbers, {address, *tried, *last}))
            replicas = [shard for one in candidates if (shard := self._shards.get(one)) is not None]
            if not replicas:
                return Gathered(reasons=(pb.REASON_NO_REPLICA,))
            terms = Terms(request_for(numbers), until, request_id, rung, Kind.SEVERAL, why)
            running = Race(replicas, terms, self._rules)
            answer = await running.run()
            if answer is not None:
                return Gathered((answer,), len(numbers), running.attempts)
            failed = Gathered(attempts=running.attempts, reasons=reasons_of(running.attempts))
            if pb.REASON_SHARD_LATE in failed.reasons:
                return failed
            again = await self._spread(version, numbers, request_for, until, request_id, tried.union(candidates), rung)
            missed = again.answered < len(numbers)
            return Gathered.sum((failed if missed else Gathered(attempts=failed.attempts), again))

        parts = await asyncio.gather(*(group(*entry) for entry in by_address.items()))
        nobody = unheld(topology, version) if homeless and not tried else ()
        return Gathered.sum((*parts, Gathered(reasons=nobody)))

    def _ended(self, shard: ShardChannel, kind: Kind, attempt: Attempt, sign: Sign) -> None:
        """Keep what an attempt tells of its replica."""
        answered = attempt.outcome == pb.OUTCOME_ANSWERED
        if answered:
            shard.latencies[kind].add(attempt.ms)
        if attempt.error:
            shard.last_error = attempt.error
        self.infirmary.note(shard, kind, attempt, sign)
        self.hedges += attempt.hedge
        self.hedges_won += attempt.hedge and answered
        self.cancelled += attempt.outcome == pb.OUTCOME_CANCELLED

    def _came_to_an_end(self, began: float) -> None:
        now = self._clock()
        self.last_asked_until = now
        self._observe((now - began) * 1000)

    def _why_unheld(self, version: str) -> pb.Reason:
        return unheld(self._board.topology, version)[-1]

    def _report(self, attempts: Sequence[Attempt], request_id: str) -> None:
        failed = [attempt for attempt in attempts if attempt.failed]
        if failed and (held_back := self._throttle.admit()) is not None:
            told = [
                {"replica": one.replica, "reason": pb.Reason.Name(one.reason), "error": one.error, "ms": round(one.ms)}
                for one in failed
            ]
            log.warning("shard.failed", request_id=request_id, attempts=told, like_these=held_back)


def unheld(topology: Topology, version: str) -> tuple[pb.Reason, ...]:
    """Why nobody holds a partition of a snapshot."""
    if topology.serves_other_than(version):
        return (pb.REASON_NO_REPLICA, pb.REASON_SNAPSHOT_MISMATCH)
    return (pb.REASON_NO_REPLICA,)


def _spared(replicas: list[ShardChannel], spent: Collection[Attempt]) -> tuple[list[ShardChannel], int]:
    """The replicas with those last that were a disappointment already, and how many come before these."""
    slow = {attempt.replica for attempt in spent if attempt.outcome != pb.OUTCOME_ANSWERED}
    fresh = [shard for shard in replicas if shard.address not in slow]
    return fresh + [shard for shard in replicas if shard.address in slow], len(fresh)
