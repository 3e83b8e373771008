"""The loop closes: what was recorded in a real NATS server is exported, built, and in the snapshot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import datasets
import pytest
from worlds import NatsWorld, opened

from builder.pipeline import BuildSettings, build
from cli.main import run
from router.recording.forgetter import Forgetter, Logs
from trunkshow.eventlog.log import LogMissing
from trunkshow.eventlog.opening import open_log, open_tombstones
from trunkshow.eventlog.settings import READ_ONLY, LogSettings
from trunkshow.eventlog.watermark import Watermark
from trunkshow.events import Event
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.tombstones import following, read_all
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import log_pb2

SMALL = BuildSettings(partitions=2, factors=8)


def shop_events() -> list[Event]:
    """A shop's events as serving would have recorded them, the last one an hour ago."""
    told = sorted(datasets.clustered(users=30, items=24, events_per_user=10).events, key=lambda one: one.time_ms)
    shift = datetime.now(UTC) - timedelta(hours=1) - datetime.fromtimestamp(told[-1].time_ms / 1000, UTC)
    return [
        Event(one.user, one.item, "order", timestamp=datetime.fromtimestamp(one.time_ms / 1000, UTC) + shift)
        for one in told
    ]


async def recorded(world: NatsWorld, events: list[Event]) -> Watermark:
    """Write them, a hundred at a time."""
    log = opened(world)
    watermark = await log.end(10)
    for start in range(0, len(events), 100):
        watermark = await log.append([one.to_message() for one in events[start : start + 100]], 10)
    await log.close()
    return watermark


Saying = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def saying(capsys: pytest.CaptureFixture[str]) -> Saying:
    """What a command says, after its exit code; it runs in a thread, with a loop of its own."""

    async def said(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = await asyncio.wait_for(asyncio.to_thread(run, [*arguments, "--json"]), 60)
        return code, json.loads(capsys.readouterr().out)

    return said


async def exported(saying: Saying, world: NatsWorld, folder: Path) -> dict[str, Any]:
    """Run the command; what it says."""
    code, told = await saying("export-events", "--log", world.url, "--out", str(folder))
    assert code == 0
    return told


def history(store: Path, user: str) -> set[str]:
    """Items that the published snapshot knows of a user."""
    with closing(Snapshot.open(open_store(store))) as snapshot:
        home = snapshot.directory.find(user)
        assert home is not None
        with closing(snapshot.open_partition(home.partition)) as partition:
            record = partition.user(user)
            assert record is not None
            return {snapshot.catalogue.id(row) for row in record.items.tolist()}


async def test_what_was_recorded_is_in_the_next_snapshot(saying: Saying, nats_world: NatsWorld, tmp_path: Path) -> None:
    """In the users' histories; and the manifest says from where on shards replay."""
    events = shop_events()
    half = len(events) // 2
    await recorded(nats_world, events[:half])
    await exported(saying, nats_world, tmp_path / "log")
    watermark = await recorded(nats_world, events[half:])
    await exported(saying, nats_world, tmp_path / "log")

    report = await asyncio.to_thread(build, tmp_path / "log" / "dataset.toml", tmp_path / "store", SMALL)

    assert report.manifest.log_watermark == str(watermark)
    assert [number for number, _ in report.manifest.log_lineage.values()] == list(watermark.counts.values())
    assert report.manifest.counts["events"] == len(events)
    assert history(tmp_path / "store", events[-1].user_id) == {
        one.item_id for one in events if one.user_id == events[-1].user_id
    }


async def test_what_was_exported_is_told(saying: Saying, nats_world: NatsWorld, tmp_path: Path) -> None:
    """As JSON, with the watermark to go on from."""
    watermark = await recorded(nats_world, shop_events()[:150])
    told = await exported(saying, nats_world, tmp_path / "log")
    assert (told["events"], told["watermark"], told["lost"]) == (150, str(watermark), 0)


async def forgotten(saying: Saying, world: NatsWorld, store: Path, user: str) -> dict[str, bool]:
    """What the command says: whether somebody is gone, by place."""
    code, told = await saying("forgotten", user, "--log", world.url, "--store", str(store))
    assert code == (0 if told["forgotten"] else 2)
    return {one["place"]: one["done"] for one in told["places"]}


async def test_a_forgotten_user_is_in_no_next_snapshot(saying: Saying, nats_world: NatsWorld, tmp_path: Path) -> None:
    """Nor in the export; and `forgotten` tells where they still are, and where not."""
    events = shop_events()
    user = events[-1].user_id
    await recorded(nats_world, events)
    await exported(saying, nats_world, tmp_path / "log")
    first = await asyncio.to_thread(build, tmp_path / "log" / "dataset.toml", tmp_path / "store", SMALL)
    assert not any((await forgotten(saying, nats_world, tmp_path / "store", user)).values())

    log, tombstones = opened(nats_world), open_tombstones(nats_world.url, LogSettings(), {})
    logs = Logs(log, tombstones, Forgotten())
    receipt = await Forgetter(logs, 30).forget(user, Deadline.after(2_000, monotonic()))
    await log.close()
    await tombstones.close()
    await exported(saying, nats_world, tmp_path / "log")
    second = await asyncio.to_thread(build, tmp_path / "log" / "dataset.toml", tmp_path / "store", SMALL)

    assert second.manifest.forgotten_watermark == receipt.watermark
    assert await forgotten(saying, nats_world, tmp_path / "store", user) == {
        "tombstone": True,
        "event log": False,
        f"snapshot {first.manifest.version}": False,
        f"snapshot {second.manifest.version}": True,
    }


async def test_who_only_reads_makes_no_log(nats_world: NatsWorld) -> None:
    """Its limits are others' to choose: a log that is not there is an error, tombstones that are not there are none."""
    log, tombstones = open_log(nats_world.url, READ_ONLY, {}), open_tombstones(nats_world.url, READ_ONLY, {})
    forgotten = Forgotten()
    running = asyncio.create_task(following(forgotten, tombstones))
    await asyncio.wait_for(forgotten.whole.wait(), 60)
    for _ in range(2):
        with pytest.raises(LogMissing, match="EVENTS"):
            await log.end(10)
        assert len(await read_all(tombstones)) == 0

    made = open_tombstones(nats_world.url, LogSettings(), {})
    assert await forgotten.reached(await made.forget(log_pb2.Forget(id="t", user_id="ada"), 10), 10)
    assert (await read_all(tombstones)).find("ada") is not None

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    for one in (log, tombstones, made):
        await one.close()
