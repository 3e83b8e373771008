"""A log on three NATS servers, as on Kubernetes: what is acknowledged outlives whoever leads; most are needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import nats
import nats_servers
import polars as pl
import pytest
from nats.errors import Error as NatsError
from nats_servers import NatsServer
from worlds import WITHIN_S, Following, event, ids

from builder.export.exporting import export
from builder.export.folder import held
from trunkshow.eventlog.log import EventLog, LogUnavailable
from trunkshow.eventlog.opening import open_log, open_tombstones
from trunkshow.eventlog.settings import READ_ONLY, LogSettings

APPEND_S = 2.0
"""As long as a router gives the log."""

SETTINGS = LogSettings(bytes_max=64 << 20, copies=3, connect_s_max=1.0)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Sequence[NatsServer]]:
    """Three of them."""
    running = nats_servers.clustered(tmp_path / "log")
    yield await asyncio.to_thread(running.__enter__)
    await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.fixture
async def url(servers: Sequence[NatsServer]) -> str:
    """Of the log on them."""
    return f"nats://{','.join(server.address for server in servers)}/EVENTS"


@pytest.fixture
async def log(url: str) -> AsyncIterator[EventLog]:
    """It."""
    made = open_log(url, SETTINGS, {})
    yield made
    await made.close()


async def test_the_one_that_leads_is_killed_and_nothing_that_was_acknowledged_is_lost(
    servers: Sequence[NatsServer], url: str, log: EventLog, tmp_path: Path
) -> None:
    """Recording and following go on, each record is heard once, and an export has each event once."""
    acknowledged: list[str] = []
    await record(log, range(40), acknowledged)
    leader, copies = await led(servers)
    assert copies == 3
    following = Following(log)
    recording = asyncio.create_task(record(log, range(40, 120), acknowledged))
    await until(lambda: len(acknowledged) >= 60)
    await asyncio.to_thread(leader.kill)
    assert len(acknowledged) < 120, "it was killed in the middle"
    await recording
    await following.until("user-119")
    await following.end()
    assert set(acknowledged) == {f"user-{number}" for number in range(120)} <= set(ids(following.reads))
    counts = [read.watermark.counts[0] for read in following.reads]
    assert counts == list(range(1, len(counts) + 1))
    tombstones = open_tombstones(url, READ_ONLY, {})
    with held(tmp_path / "exported") as folder:
        await export(log, tombstones, folder, None)
    await tombstones.close()
    written = pl.concat(pl.read_parquet(part) for part in (tmp_path / "exported").glob("events-*.parquet"))
    assert sorted(written["event_id"]) == sorted(acknowledged)


async def test_one_alone_acknowledges_nothing_and_says_so_in_time(servers: Sequence[NatsServer], log: EventLog) -> None:
    """What was acknowledged before is there once most of them are, and recording goes on."""
    acknowledged: list[str] = []
    await record(log, range(20), acknowledged)
    leader, _ = await led(servers)
    others = [server for server in servers if server is not leader]
    for other in others:
        await asyncio.to_thread(other.kill)
    for number in range(20, 22):
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            await log.append([event("user", number)], 0.5)
        assert time.monotonic() - began < 2.0
    await asyncio.to_thread(others[0].start)
    await record(log, range(20, 24), acknowledged)
    end = await log.end(WITHIN_S)
    assert set(ids([read async for read in log.read(None, end)])) == set(acknowledged)


async def record(log: EventLog, numbers: Iterable[int], acknowledged: list[str]) -> None:
    """An event after another, each sent until it was acknowledged."""
    until_s = time.monotonic() + WITHIN_S
    for number in numbers:
        one = event("user", number)
        while one.event_id not in acknowledged:
            try:
                await log.append([one], APPEND_S)
                acknowledged.append(one.event_id)
            except LogUnavailable:
                assert time.monotonic() < until_s, "nothing was acknowledged"


async def led(servers: Sequence[NatsServer]) -> tuple[NatsServer, int]:
    """Who leads the stream now, and how many servers keep it."""
    async with asyncio.timeout(WITHIN_S), await nats.connect([server.address for server in servers]) as client:
        while True:
            with suppress(NatsError):
                found = (await client.jetstream().stream_info("EVENTS")).cluster
                if found is not None and found.leader:
                    return servers[int(found.leader.rpartition("-")[2])], 1 + len(found.replicas or ())
            await asyncio.sleep(0.05)


async def until(true: Callable[[], bool]) -> None:
    """Return once it is."""
    async with asyncio.timeout(WITHIN_S):
        while not true():  # noqa: ASYNC110 - what changes says so to nobody
            await asyncio.sleep(0.005)
