"""Asking shards: one call or several at a time, each with a deadline, and another replica where one fails at once.

Every call carries its own `timeout=`; gRPC's service-config timeouts do not work in Python. A replica that answers
with an error is followed by the next one while time is left; one that is late has used the time up. Whom to ask is
`router.selection`'s to say; what a failure costs the answer, `router.ladder`'s.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from router import ladder, selection
from router.shard_channel import ShardChannel
from router.topology import Topology
from router.watch import Board
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

WORTH_ASKING_S = 0.001
"""With less time left, no shard is asked: no answer could be back in time."""

log = structlog.get_logger()


class Attempt(NamedTuple):
    """One call that failed.

    Attributes:
        replica: its address.
        reason: what that means for the answer.
        error: what it said.
        ms: how long it took.
    """

    replica: str
    reason: pb.Reason
    error: str
    ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking for one partition.

    Attributes:
        answer: the first one; None where nobody gave one.
        attempts: that failed, newest first.
        reasons: why there is no answer, each once; empty where there is one.
    """

    answer: shard_pb2.PredictResponse | None
    attempts: tuple[Attempt, ...] = ()
    reasons: tuple[pb.Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of asking for several partitions.

    Attributes:
        answers: one per call that succeeded.
        answered: partitions that these stand for.
        attempts: that failed, newest first.
        reasons: why partitions are missing, each once.
    """

    answers: tuple[shard_pb2.PredictResponse, ...] = ()
    answered: int = 0
    attempts: tuple[Attempt, ...] = ()
    reasons: tuple[pb.Reason, ...] = ()

    @classmethod
    def sum(cls, parts: Iterable[Gathered]) -> Gathered:
        """All parts as one."""
        listed = list(parts)
        return cls(
            tuple(answer for part in listed for answer in part.answers),
            sum(part.answered for part in listed),
            tuple(attempt for part in listed for attempt in part.attempts),
            tuple(ladder.once(reason for part in listed for reason in part.reasons)),
        )


class Fanout:
    """Asks the shards of one cluster about one snapshot.

    Args:
        shards: channels by address.
        board: with the newest topology.
        version: of the snapshot that is asked for.
        clock: monotonic.
    """

    def __init__(
        self, shards: Mapping[str, ShardChannel], board: Board, version: str, clock: Clock = monotonic
    ) -> None:
        self._shards = shards
        self._board = board
        self._version = version
        self._clock = clock
        self._ticks = itertools.count()
        self._throttle = Throttle(clock=clock)

    def load(self, address: str) -> int:
        """Requests in flight to a shard."""
        return self._shards[address].in_flight

    def choose(self, partition: int) -> str | None:
        """Whom to ask for a partition now; None where nobody holds it."""
        topology = self._board.topology
        found = selection.preferred(topology, self._version, partition, self.load, next(self._ticks))
        return found[0] if found else None

    async def ask(self, partition: int, request: bytes, until: Deadline, request_id: str) -> Outcome:
        """Ask the holders of a partition, one after the other, until one answers or the time is up."""
        topology = self._board.topology
        holders = selection.preferred(topology, self._version, partition, self.load, next(self._ticks))
        attempts: tuple[Attempt, ...] = ()
        for address in holders:
            answer = await self._call(address, request, until, request_id)
            if not isinstance(answer, Attempt):
                self._report(attempts, request_id)
                return Outcome(answer, attempts)
            attempts = (answer, *attempts)
            if answer.reason == pb.REASON_SHARD_LATE:
                break
        self._report(attempts, request_id)
        reasons = _reasons(attempts) if attempts else unheld(topology, self._version)
        return Outcome(None, attempts, reasons)

    async def ask_many(
        self, partitions: Sequence[int], request_for: Callable[[Sequence[int]], bytes], until: Deadline, request_id: str
    ) -> Gathered:
        """Ask for several partitions at a time, each shard once for all that it is to look in.

        Args:
            partitions: in the order of their worth.
            request_for: the serialised PredictRequest for some of them.
            until: when the answers must be there.
            request_id: for the shards' logs.
        """
        gathered = await self._spread(partitions, request_for, until, request_id, frozenset())
        self._report(gathered.attempts, request_id)
        return gathered

    async def ask_batch(
        self, address: str, request: bytes, users: int, until: Deadline, request_id: str
    ) -> AsyncGenerator[shard_pb2.PredictBatchResponse]:
        """One shard's answers to a batch, as they come; they end early where it fails or is late."""
        shard = self._shards[address]
        began = self._clock()
        left = until.remaining_s(began)
        if left < WORTH_ASKING_S:
            return
        shard.in_flight += users
        call = shard.predict_batch(request, timeout=left, metadata=(("x-request-id", request_id),))
        try:
            async for data in call:
                yield shard_pb2.PredictBatchResponse.FromString(data)
        except (grpc.aio.AioRpcError, DecodeError) as error:
            self._report((self._failed(address, error, began),), request_id)
        finally:
            call.cancel()
            shard.in_flight -= users

    async def _spread(
        self,
        partitions: Sequence[int],
        request_for: Callable[[Sequence[int]], bytes],
        until: Deadline,
        request_id: str,
        tried: frozenset[str],
    ) -> Gathered:
        topology = self._board.topology
        by_address, homeless = selection.grouped(
            topology, self._version, partitions, self.load, next(self._ticks), tried
        )

        async def group(address: str, numbers: Sequence[int]) -> Gathered:
            answer = await self._call(address, request_for(numbers), until, request_id)
            if not isinstance(answer, Attempt):
                return Gathered((answer,), len(numbers))
            failed = Gathered(attempts=(answer,), reasons=(answer.reason,))
            if answer.reason == pb.REASON_SHARD_LATE:
                return failed
            again = await self._spread(numbers, request_for, until, request_id, tried | {address})
            missed = again.answered < len(numbers)
            return Gathered.sum((again, failed if missed else Gathered(attempts=failed.attempts)))

        parts = await asyncio.gather(*(group(*entry) for entry in by_address.items()))
        nobody = unheld(topology, self._version) if homeless and not tried else ()
        return Gathered.sum((*parts, Gathered(reasons=nobody)))

    async def _call(
        self, address: str, request: bytes, until: Deadline, request_id: str
    ) -> shard_pb2.PredictResponse | Attempt:
        shard = self._shards[address]
        began = self._clock()
        left = until.remaining_s(began)
        if left < WORTH_ASKING_S:
            return Attempt(address, pb.REASON_SHARD_LATE, "no time left to ask", 0.0)
        shard.in_flight += 1
        try:
            data = await shard.predict(request, timeout=left, metadata=(("x-request-id", request_id),))
            return shard_pb2.PredictResponse.FromString(data)
        except (grpc.aio.AioRpcError, DecodeError) as error:
            return self._failed(address, error, began)
        finally:
            shard.in_flight -= 1

    def _failed(self, address: str, error: grpc.aio.AioRpcError | DecodeError, began: float) -> Attempt:
        if isinstance(error, DecodeError):
            reason, said = pb.REASON_SHARD_FAILED, "its answer cannot be read"
        else:
            reason = self._reason_of(error.code())
            said = f"{error.code().name}: {error.details()}"
        self._shards[address].last_error = said
        return Attempt(address, reason, said, (self._clock() - began) * 1000)

    def _reason_of(self, code: grpc.StatusCode) -> pb.Reason:
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return pb.REASON_SHARD_LATE
        if code == grpc.StatusCode.FAILED_PRECONDITION:  # it does not hold that partition, or that snapshot
            return unheld(self._board.topology, self._version)[-1]
        return pb.REASON_SHARD_FAILED

    def _report(self, attempts: Sequence[Attempt], request_id: str) -> None:
        if attempts and (held_back := self._throttle.admit()) is not None:
            told = [
                {"replica": one.replica, "reason": pb.Reason.Name(one.reason), "error": one.error, "ms": round(one.ms)}
                for one in attempts
            ]
            log.warning("shard.failed", request_id=request_id, attempts=told, like_these=held_back)


def unheld(topology: Topology, version: str) -> tuple[pb.Reason, ...]:
    """Why nobody holds a partition of a snapshot."""
    if topology.serves_other_than(version):
        return (pb.REASON_NO_REPLICA, pb.REASON_SNAPSHOT_MISMATCH)
    return (pb.REASON_NO_REPLICA,)


def _reasons(attempts: Sequence[Attempt]) -> tuple[pb.Reason, ...]:
    return tuple(ladder.once(attempt.reason for attempt in reversed(attempts)))
