"""What each shard holds, followed as it happens: one task and one stream per shard.

A shard's life as the router sees it:

    unknown → found    its first report arrived
    found   → found    another report: facts are replaced
    found   → lost     its stream broke or ended, or nothing came for `silence_s`
    lost    → found    the stream was opened again and a report arrived

A report that this router cannot cope with, for whatever unforeseen reason, loses that shard, too: what it said before
may not hold any more, and the others can still be asked. It is not a reason to end: every router hears the same report.

After a loss the stream is opened again, for ever, after a delay with backoff and jitter (`trunkshow.serving.backoff`).
What the facts mean for a request is left to `router.cluster.topology` and `router.asking.selection`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Never

import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from router.cluster.shard_channel import ShardChannel
from router.cluster.topology import Generation, ReplicaView, ShardFacts, Topology
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.serving.backoff import Backoff
from trunkshow.serving.rounds import TOLD_EVERY_S
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import shard_pb2

log = structlog.get_logger()

Sleep = Callable[[float], Awaitable[None]]


BACKOFF = Backoff(first_s=0.05, longest_s=1.0)


class Board:
    """Where the newest topology hangs; whoever decides reads it once, and decides over that value.

    Attributes:
        topology: the newest one.
        everyone_answered: set once each shard was found or lost for the first time.
        listeners: called whenever who is there, or what they hold, has changed.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.listeners: list[Callable[[], None]] = []
        self.everyone_answered = asyncio.Event()
        self._silent = set(topology.replicas)
        self._throttle = Throttle(TOLD_EVERY_S)

    def heard(self, address: str, facts: ShardFacts) -> None:
        """A shard reported."""
        before = self.topology.replicas[address]
        self.topology = self.topology.updated(address, facts)
        if not before.reachable:
            warm = {one.version: len(one.warm) for one in facts.generations}
            log.info("shard.found", shard=address, state=state_name(facts.state), warm=warm)
        elif before.facts is not None and before.facts.state != facts.state:
            log.info("shard.changed", shard=address, state=state_name(facts.state))
        self._answered(address)
        self._compare(before)

    def lost(self, address: str, error: str) -> None:
        """A shard cannot be heard."""
        before = self.topology.replicas[address]
        self.topology = self.topology.lost(address, error)
        if before.reachable or address in self._silent:
            log.warning("shard.lost", shard=address, error=error)
        self._answered(address)
        self._compare(before)

    def members(self, addresses: Sequence[str]) -> None:
        """The membership is this."""
        self._silent |= set(addresses) - self.topology.replicas.keys()
        self.topology = self.topology.with_members(addresses)
        self._silent &= set(addresses)
        self._tell()

    def forget(self, address: str) -> None:
        """A shard is followed no more."""
        self.topology = self.topology.without(address)
        self._tell()

    def _compare(self, before: ReplicaView) -> None:
        after = self.topology.replicas[before.address]
        if (before.stays, before.draining, before.held) != (after.stays, after.draining, after.held):
            self._tell()

    def _tell(self) -> None:
        if not self._silent:
            self.everyone_answered.set()
        for listen in self.listeners:
            try:
                listen()
            except Exception as error:  # no shard's fault, and none of its watch's
                self._throttle.log(log.error, "board.listener_failed", exc_info=error)

    def _answered(self, address: str) -> None:
        self._silent.discard(address)
        if not self._silent:
            self.everyone_answered.set()


async def follow(
    shard: ShardChannel,
    board: Board,
    *,
    silence_s: float,
    backoff: Backoff = BACKOFF,
    sleep: Sleep = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> Never:
    """Keep the board informed of one shard, until cancelled."""
    failures = 0
    while True:
        try:
            async for facts in _reports(shard, silence_s):
                failures = 0
                board.heard(shard.address, facts)
            error = "the shard ended its watch stream"
        except TimeoutError:
            error = f"silent for {silence_s:g} s"
        except grpc.aio.AioRpcError as failed:
            error = f"{failed.code().name}: {failed.details()}"
        except DecodeError:
            error = "its report cannot be read"
        except Exception as unforeseen:
            log.error("watch.failed", shard=shard.address, exc_info=unforeseen)
            error = f"what it said cannot be coped with: {unforeseen!r}"
        board.lost(shard.address, error)
        failures += 1
        await sleep(backoff.after(failures, chance()))


def facts_of(status: shard_pb2.ShardStatus) -> ShardFacts:
    """A report as a value."""
    return ShardFacts(
        name=status.name,
        state=status.state,
        generations=tuple(
            Generation(
                one.snapshot_version,
                frozenset(one.warm),
                frozenset(one.loading),
                frozenset(one.refused),
                frozenset(one.stand_ins),
                frozenset(one.surplus),
                one.why_refused,
                frozenset(one.refused_stand_ins),
                frozenset(one.loading_stand_ins),
            )
            for one in status.generations
        ),
        requests=status.requests,
        rss_bytes=status.rss_bytes,
        cancelled=status.cancelled,
        refused_work=status.refused_work,
        forgotten=status.forgotten,
        trends=Trends.from_message(status.trends) if status.HasField("trends") else NO_TRENDS,
        why_not_ready=status.why_not_ready,
        batch_users_max=status.batch_users_max,
    )


def state_name(state: shard_pb2.ShardState) -> str:
    """A state for the log: READY, or the number of one that a later release has."""
    known = shard_pb2.ShardState.values()
    return shard_pb2.ShardState.Name(state).removeprefix("SHARD_STATE_") if state in known else str(state)


async def _reports(shard: ShardChannel, silence_s: float) -> AsyncIterator[ShardFacts]:
    shard.renewed()
    call = shard.watch(b"")
    try:
        while True:
            async with asyncio.timeout(silence_s):
                data = await call.read()
            if not isinstance(data, bytes):  # the end of the stream
                return
            yield facts_of(shard_pb2.WatchResponse.FromString(data).status)
            if shard.renewed():  # the watch moves over with the other calls; nobody is lost by that
                call.cancel()
                call = shard.watch(b"")
    finally:
        call.cancel()
