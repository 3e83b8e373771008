"""`trunkshow bench`: the command."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import grpc.aio
import uvloop

from cli import output
from cli.ask import CONNECT_WITHIN_S
from cli.bench import report, usage, users
from cli.bench.driver import Driver
from cli.bench.judging import Kind
from cli.bench.options import DEFAULTS, BenchOptions
from cli.bench.orders import Orders
from cli.bench.outcome import Outcome
from cli.bench.report import Report
from cli.output import UsageError
from cli.progress import Told, progress
from trunkshow import channel as wire
from trunkshow.async_client import open_channel
from trunkshow.cluster import ClusterStatus
from trunkshow.errors import TrunkshowError
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

PEAK_CALLERS = 16
PEAK_S_MAX = 5.0


def bench(*, options: BenchOptions = DEFAULTS) -> None:
    """Measure how fast a running cluster answers, on which rungs, and whether its slates are what was asked for.

    Exits with 1 where a call failed, or a slate was wrong.
    """
    options.check()
    asked = _users(options)
    requests = users.requests_for(asked, options.wanted, options.seed)
    status = _status(options)
    pids = usage.listening(_addresses(options, status))
    with progress(quiet=options.json, work="bench") as told:
        outcomes = uvloop.run(_measure(options, requests, pids, told))
    version = status.snapshot_version if status else ""
    made = Report(options.target, version, len(asked), options.wanted, outcomes, frozenset(pids), options.again())
    if options.markdown is not None:
        options.markdown.write_text(report.markdown(made), encoding="utf-8")
    if options.json:
        output.show_json(report.to_json(made))
    else:
        output.show(*report.lines(made))
    if not all(outcome.passed for outcome in outcomes.values()):
        sys.exit(1)


def _users(options: BenchOptions) -> list[str]:
    if options.users is not None:
        return users.of_file(options.users)
    if options.store is None:
        raise UsageError("say whom to ask for: --users FILE, one id a line, or --store STORE to take them from")
    with contextlib.closing(Snapshot.open(open_store(options.store))) as snapshot:
        return [one.user for one in users.of_snapshot(snapshot)]


def _status(options: BenchOptions) -> ClusterStatus | None:
    """The cluster as its router sees it; None where the caller may not see it.

    Raises:
        Unavailable: nobody answers.
    """
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        try:
            return client.status()
        except TrunkshowError:
            return None


def _addresses(options: BenchOptions, status: ClusterStatus | None) -> dict[str, str]:
    shards = status.shards if status else ()
    return {"router": options.target, **{f"shard {number}": one.address for number, one in enumerate(shards)}}


async def _measure(
    options: BenchOptions, requests: list[bytes], pids: dict[str, int], told: Told
) -> dict[str, Outcome]:
    """What came of each stretch, by its name."""
    method, kind = _asked(options)
    orders = Orders(method, kind, options.wanted, options.seconds, seed=options.seed, pids=pids)
    async with _connected(options) as channels:

        async def stretch(what: str, **changes: Any) -> Outcome:
            chosen = replace(orders, **changes)
            return await _stretch(options, chosen, requests, channels, _Telling(told, what, chosen.seconds))

        if options.rate:
            return {"open loop": await stretch("open loop", rate=options.rate / options.batch)}
        if options.callers:
            return {"closed loop": await stretch("closed loop", callers=options.callers)}
        peak = await stretch("peak", callers=PEAK_CALLERS, seconds=min(options.seconds, PEAK_S_MAX))
        if not peak.answered:
            return {"peak": peak}
        rate = max(options.load * peak.throughput / options.batch, 1 / options.seconds)
        return {"peak": peak, "open loop": await stretch("open loop", rate=rate)}


def _asked(options: BenchOptions) -> tuple[str, Kind]:
    if options.batch > 1:
        return wire.RECOMMEND_BATCH.path, "batch"
    return wire.RECOMMEND.path, "slate"


async def _stretch(
    options: BenchOptions,
    orders: Orders,
    requests: list[bytes],
    channels: list[grpc.aio.Channel],
    telling: Callable[[float, int], None],
) -> Outcome:
    identity = wire.identify(options.access.api_key, options.access.token)
    outcome = await Driver(orders, requests, channels, identity, telling).run()
    telling(orders.seconds, outcome.answered)
    return outcome


@contextlib.asynccontextmanager
async def _connected(options: BenchOptions) -> AsyncIterator[list[grpc.aio.Channel]]:
    credentials = options.access.credentials()
    async with contextlib.AsyncExitStack() as stack:
        opened = [open_channel(options.target, credentials, wire.OPTIONS) for _ in range(options.connections)]
        for channel in opened:
            await stack.enter_async_context(channel)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await asyncio.gather(*(channel.channel_ready() for channel in opened))
        except TimeoutError:
            raise wire.nobody_answered(options.target, CONNECT_WITHIN_S) from None
        yield opened


class _Telling:
    """The driver's progress as the command line's, in whole seconds."""

    def __init__(self, told: Told, what: str, seconds: float) -> None:
        self._told, self._what, self._of = told, what, max(1, round(seconds))
        self._done = -1

    def __call__(self, seconds: float, calls: int) -> None:
        del calls
        done = min(max(0, round(seconds)), self._of)
        if done > self._done:  # what is done is told once
            self._done = done
            self._told(self._what, done, self._of)
