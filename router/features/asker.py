"""Asks shards for features, in rounds: of whom one did not tell others are asked, while there is time.

Whom to ask is decided in `router.features.keys`; what the end of an asking means, in `router.asking.endings`. No
rival is asked, and no shard's health judged by what becomes of it: that is about slates.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from router.asking import endings
from router.asking.attempts import Attempt
from router.asking.race import NO_TIME, WORTH_ASKING_S
from router.asking.replicas import Replicas
from router.asking.selection import Grouping
from router.cluster.shard_channel import ShardChannel
from router.features.keys import Groups, Key, grouped, reachable
from trunkshow.serving.call import REQUEST_ID_KEY
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import features_pb2 as fpb
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

SHARE = 0.5
"""Of the time left that shards get while there are others to ask: those that hang leave them as much."""

log = structlog.get_logger()


class Told(NamedTuple):
    """What came of asking.

    Attributes:
        features: of each key, those that are missing among them.
        attempts: round by round.
    """

    features: dict[Key, fpb.Features]
    attempts: list[Attempt]


class FeatureAsker:
    """Asks the shards of one cluster.

    Args:
        replicas: to choose from.
        clock: monotonic.
    """

    def __init__(self, replicas: Replicas, clock: Clock = monotonic) -> None:
        self._replicas = replicas
        self._clock = clock
        self._turns = itertools.count()
        self._throttle = Throttle(clock=clock)

    async def ask(self, keys: Sequence[Key], version: str, until: Deadline, request_id: str) -> Told:
        """Everybody's features, or why they are missing.

        Args:
            keys: whose.
            version: of the snapshot that their homes are of.
            until: when answers must be there.
            request_id: for the shards' logs.
        """
        told = Told({}, [])
        missing: dict[Key, pb.Reason] = {}
        left, failed = list(keys), frozenset[str]()
        while left:  # each round has fewer shards to ask
            groups, nobodys = self._grouped(left, version, failed)
            others = len(groups) > 1 or self._anybody(failed | groups.keys())
            within_s = until.remaining_s(self._clock()) * (SHARE if others else 1)
            askings = (self._ask(address, of, within_s, request_id) for address, of in groups.items())
            left = []
            for of, (attempt, answer) in zip(groups.values(), await asyncio.gather(*askings), strict=True):
                told.attempts.append(attempt)
                if answer is not None:
                    told.features.update(_by_key(of, answer, attempt.replica))
                else:
                    left += of
                    failed |= {attempt.replica}
                    _blame(missing, of, attempt.reason)
            _blame(missing, nobodys, pb.REASON_NO_REPLICA)
        untold = {key: fpb.Features(id=key.id, missing=why) for key, why in missing.items()}
        return Told(untold | told.features, told.attempts)

    def _grouped(self, keys: Sequence[Key], version: str, failed: frozenset[str]) -> tuple[Groups, list[Key]]:
        def at_home(partitions: Iterable[int]) -> Grouping:
            return self._replicas.grouped(self._replicas.topology, version, partitions, failed, self._replicas.last())

        return grouped(keys, at_home, lambda: self._anybody(failed))

    def _anybody(self, failed: frozenset[str]) -> Sequence[str]:
        topology, last = self._replicas.topology, self._replicas.last()
        return reachable(topology, self._replicas.load, next(self._turns), failed, last)

    async def _ask(
        self, address: str, keys: Sequence[Key], within_s: float, request_id: str
    ) -> tuple[Attempt, shard_pb2.ReadFeaturesResponse | None]:
        shard, began = self._replicas.line(address), self._clock()

        def attempt(outcome: pb.Outcome, reason: pb.Reason = pb.REASON_UNSPECIFIED, said: str = "") -> Attempt:
            ms = (self._clock() - began) * 1000
            return Attempt(address, outcome, reason, said, ms, rung=pb.RUNG_UNSPECIFIED)

        if within_s < WORTH_ASKING_S:
            return attempt(pb.OUTCOME_LATE, pb.REASON_SHARD_LATE, NO_TIME), None
        try:
            answer = await self._answer(shard, keys, within_s, request_id)
        except (grpc.aio.AioRpcError, DecodeError) as error:
            outcome, reason, said = endings.of(error, lambda: pb.REASON_NO_REPLICA)
            if outcome != pb.OUTCOME_NOT_HELD:
                told = {"shard": address, "reason": pb.Reason.Name(reason), "error": said}
                self._throttle.log(log.warning, "features.failed", request_id=request_id, **told)
            return attempt(outcome, reason, said), None
        if answer is None:
            return attempt(pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED, "its line was cut"), None
        return attempt(pb.OUTCOME_ANSWERED), answer

    async def _answer(
        self, shard: ShardChannel | None, keys: Sequence[Key], within_s: float, request_id: str
    ) -> shard_pb2.ReadFeaturesResponse | None:
        """What a shard tells; None where the line to it was cut before it could."""
        if shard is None:
            return None
        shard.in_flight += 1
        try:
            call = shard.read_features(_request(keys), timeout=within_s, metadata=((REQUEST_ID_KEY, request_id),))
            return _read(await call, keys)
        except grpc.aio.UsageError:
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # it is we who are told to stop
                raise
            return None
        finally:
            shard.in_flight -= 1


def _blame(missing: dict[Key, pb.Reason], keys: Iterable[Key], reason: pb.Reason) -> None:
    """That a shard keeps nothing says less than that one failed to tell."""
    for key in keys:
        if missing.get(key, pb.REASON_NO_REPLICA) == pb.REASON_NO_REPLICA:
            missing[key] = reason


def _of(keys: Iterable[Key], *, items: bool) -> list[Key]:
    return [key for key in keys if key.is_item is items]


def _request(keys: Sequence[Key]) -> bytes:
    users, items = ([key.id for key in _of(keys, items=items)] for items in (False, True))
    return shard_pb2.ReadFeaturesRequest(user_ids=users, item_ids=items).SerializeToString()


def _read(data: bytes, keys: Sequence[Key]) -> shard_pb2.ReadFeaturesResponse:
    """A shard's answer.

    Raises:
        DecodeError: it cannot be read, or tells of others than it was asked for.
    """
    answer = shard_pb2.ReadFeaturesResponse.FromString(data)
    for items, told in ((False, answer.users), (True, answer.items)):
        if [one.id for one in told] != [key.id for key in _of(keys, items=items)]:
            raise DecodeError
    return answer


def _by_key(
    keys: Sequence[Key], answer: shard_pb2.ReadFeaturesResponse, replica: str
) -> Iterable[tuple[Key, fpb.Features]]:
    for items, told in ((False, answer.users), (True, answer.items)):
        for key, one in zip(_of(keys, items=items), told, strict=True):
            one.replica = replica
            yield key, one
