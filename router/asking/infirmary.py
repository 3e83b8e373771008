"""The replicas' health as it is now: who is to be asked last. The rules are `router.asking.health`'s."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from router.asking import health
from router.asking.attempts import Attempt
from router.asking.health import HEALTHY, LIMITS, Health, Limits, Sign, State
from router.cluster.shard_channel import ShardChannel, ShardChannels
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Clock
from trunkshow.v1 import recommendation_pb2 as pb

NOBODY: frozenset[str] = frozenset()

log = structlog.get_logger()


class Infirmary:
    """Keeps the health of every replica that is not well.

    Args:
        shards: all replicas, with their latencies.
        can_hedge: whether a request that meets a replica that hangs could be saved by a hedge.
        clock: monotonic.
        limits: of the machine.
        asks_for: for whom they are asked, for the log.

    Attributes:
        ejections: since the start.
    """

    def __init__(
        self,
        shards: ShardChannels,
        can_hedge: Callable[[], bool],
        clock: Clock,
        limits: Limits = LIMITS,
        asks_for: str = "shoppers",
    ) -> None:
        self.ejections = 0
        self._shards = shards
        self._can_hedge = can_hedge
        self._clock = clock
        self._limits = limits
        self._asks_for = asks_for
        self._unwell: dict[str, Health] = {}
        self._out = 0

    def of(self, address: str) -> Health:
        """A replica's health."""
        return self._unwell.get(address, HEALTHY)

    def ejected(self, address: str) -> bool:
        """Whether others are asked first."""
        return self.of(address).state(self._clock()) is State.EJECTED

    def last(self) -> frozenset[str]:
        """Who is to be asked last as of now."""
        if not self._out:  # nearly always
            return NOBODY
        for address in [one for one in self._unwell if self._shards.get(one) is None]:
            self.forget(address)
        now = self._clock()
        return frozenset(address for address, of_it in self._unwell.items() if self._waits(address, of_it, now))

    def note(self, shard: ShardChannel, kind: Kind, attempt: Attempt, sign: Sign) -> None:
        """An attempt has ended."""
        before = self._unwell.get(shard.address)
        if sign is Sign.GOOD and before is None:
            if kind is Kind.ONE and attempt.outcome == pb.OUTCOME_ANSWERED and shard.latencies[kind].renewed:
                self._compare(shard)
            return
        now = self._clock()
        well = before or HEALTHY
        self._keep(shard, well, health.after(well, sign, now, self._limits, may_eject=self._room()), attempt.error)

    def forget(self, address: str) -> None:
        """A replica has gone."""
        if self._unwell.pop(address, HEALTHY).ejected:
            self._out -= 1

    def _waits(self, address: str, of_it: Health, now: float) -> bool:
        state = of_it.state(now)
        if state is not State.ON_PROBATION:
            return state is State.EJECTED
        shard = self._shards.get(address)
        return shard is not None and (shard.in_flight > 0 or not self._can_hedge())

    def _compare(self, shard: ShardChannel) -> None:
        """Eject a replica that answers, but far more slowly than its peers."""
        peers = [
            one.latencies[Kind.ONE].median_ms
            for one in self._shards
            if one is not shard and not self.of(one.address).ejected
        ]
        if health.lags(shard.latencies[Kind.ONE].median_ms, peers, self._limits) and self._room():
            self._keep(
                shard, HEALTHY, health.ejected(HEALTHY, self._clock(), self._limits), "far slower than its peers"
            )

    def _room(self) -> bool:
        return health.room(self._unwell, len(self._shards), self._limits)

    def _keep(self, shard: ShardChannel, before: Health, now: Health, why: str) -> None:
        if now is before:
            return
        if now == HEALTHY:
            self._unwell.pop(shard.address, None)
        else:
            self._unwell[shard.address] = now
        if now.ejected and now.ejections != before.ejections:
            self.ejections += 1
            shard.forget_latencies()  # what it was slow with must not eject it again
            out_s = round(now.until - self._clock(), 3)
            told = {"asked_for": self._asks_for, "for_s": out_s, "times": now.ejections, "error": why}
            log.warning("replica.ejected", shard=shard.address, **told)
        elif before.ejected and not now.ejected:
            log.info("replica.recovered", shard=shard.address, asked_for=self._asks_for)
        self._out += now.ejected - before.ejected
