"""What is served is what is trained on: the same events through a real log and a shard, and through an export.

A router, a shard and a NATS server run for real; the builder counts from the Parquet files that `export-events` wrote.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import datasets
import polars as pl
from datasets import Built
from worlds import NatsWorld

import router.main
import shard.main
from builder import feature_table
from builder.dataset import load_dataset
from builder.export import folder as folders
from builder.export.exporting import export
from cli.addresses import free_address
from router.config import RouterConfig
from shard.config import ShardConfig
from trunkshow.client import AsyncClient, Event, Features, FeaturesAnswer, Interaction
from trunkshow.errors import Unavailable
from trunkshow.eventlog.opening import open_log, open_tombstones
from trunkshow.eventlog.settings import READ_ONLY
from trunkshow.eventlog.watermark import Watermark
from trunkshow.snapshot.store import open_store

DEADLINE_MS = 8000
WITHIN_S = 60.0
USERS = [*(datasets.user_id(number) for number in range(6)), "nobody-knows-me"]
ITEMS = [*(datasets.item_id(number) for number in range(12)), "not-in-the-catalogue"]
NEVER_SEEN = "never-seen"
KINDS = [kind for kind in Interaction if kind is not Interaction.SEARCH]
EVENTS = 600


@asynccontextmanager
async def running(store: Path, log: str, **settings: int) -> AsyncIterator[AsyncClient]:
    """A shard that holds everything, a router, and somebody who asks it."""
    own, target = free_address(), free_address()
    to_hold = ShardConfig(store=str(store), listen=own, name=own, log=log, **settings)
    to_route = RouterConfig(store=str(store), shards=(own,), listen=target, log=log, deadline_ms=DEADLINE_MS)
    servers = [
        asyncio.create_task(shard.main._serve(to_hold, open_store(str(store)))),
        asyncio.create_task(router.main._serve(to_route, open_store(str(store)))),
    ]
    try:
        async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client:
            yield client
    finally:
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until something is so."""
    ends = time.monotonic() + WITHIN_S
    while not await met():
        assert time.monotonic() < ends, "it never came to that"
        await asyncio.sleep(0.05)


async def told(client: AsyncClient, mark: str) -> FeaturesAnswer:
    """Everybody's features, once everything up to a watermark is counted, all of them at one moment."""
    answers: list[FeaturesAnswer] = []

    async def whole() -> bool:
        try:
            answers.append(await client.features([*USERS, NEVER_SEEN], [*ITEMS, NEVER_SEEN]))
        except Unavailable:  # the router is not up yet
            return False
        every = [*answers[-1].users, *answers[-1].items]
        return (
            not any(one.missing for one in every)
            and all(Watermark.parse(one.watermark).covers(Watermark.parse(mark)) for one in every)
            and len({one.moment for one in every}) == 1
        )

    await until(whole)
    return answers[-1]


def events(seed: int) -> list[Event]:
    """A month of a small shop, of every kind, in no order, some at the very same time, some alike, some sent twice."""
    draw = random.Random(seed)
    now = datetime.now(UTC)
    ages_s = [1, 2, 299, 300, 301, 3599, 3600, 3661, 86_400, 6 * 86_400, 8 * 86_400, 29 * 86_400]
    made = [
        Event(
            draw.choice(USERS),
            draw.choice(ITEMS),
            draw.choice(KINDS),
            timestamp=now - timedelta(seconds=draw.choice([draw.choice(ages_s), draw.uniform(0, 29.9 * 86_400)])),
            value=draw.choice([None, round(draw.uniform(1, 90), 2), 9.99]),
        )
        for _ in range(EVENTS)
    ]
    made += [Event(draw.choice(USERS), "", "search", timestamp=now - timedelta(days=draw.random())) for _ in range(20)]
    twins = [replace(one, item_id=draw.choice(ITEMS), event_id=f"twin-{at}") for at, one in enumerate(made[:40])]
    alike = [replace(one, event_id=f"alike-{at}") for at, one in enumerate(made[40:60])]
    again = draw.sample(made, 50)
    everything = [*made, *twins, *alike, *again]
    draw.shuffle(everything)
    return everything


async def record(client: AsyncClient, several: list[Event]) -> str:
    """Record them; the watermark with the last of them."""
    mark = ""
    for start in range(0, len(several), 97):
        some = several[start : start + 97]
        recorded = await client.record(some)
        assert recorded.recorded == len(some)
        mark = recorded.watermark
    return mark


async def exported(url: str, path: Path) -> None:
    """What `trunkshow export-events` does."""
    log, tombstones = open_log(url, READ_ONLY), open_tombstones(url, READ_ONLY)
    with folders.held(path) as folder:
        await export(log, tombstones, folder, None)
    await log.close()
    await tombstones.close()


def of_builder(dataset: Path, answer: FeaturesAnswer) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the builder counts for the same users and items, at the moment at which they were told."""
    history = feature_table.read(load_dataset(dataset))
    tables = []
    for of, told in (("user", answer.users), ("item", answer.items)):
        rows = pl.DataFrame({of: [one.id for one in told], "timestamp": [one.moment for one in told]})
        tables.append(feature_table.of_rows(history, rows))
    return tables[0], tables[1]


def flat(of: str, told: Iterable[Features]) -> list[dict[str, object]]:
    """Features as the builder's columns name them."""
    rows: list[dict[str, object]] = []
    for one in told:
        row: dict[str, object] = {of: one.id, "timestamp": one.moment}
        for window in one.windows.values():
            for name in feature_table.NAMES:
                row[f"{of}_{window.window}_{name}"] = window.counts.get(name.replace("_", "-"), 0)
        row[f"{of}_last_price"], row[f"{of}_last_category"] = one.last_price, one.last_category or None
        rows.append(row)
    return rows


def dataset_file(folder: Path, shop: Path) -> Path:
    """The export's data set, with the items table that the snapshot was built with."""
    path = folder / "dataset.toml"
    own = shop.read_text(encoding="utf-8")
    items = own[own.index("[items]") :].split("\n[", 1)[0]
    items = items.replace('path = "', f'path = "{shop.parent}/')
    path.write_text(path.read_text(encoding="utf-8") + "\n" + items + "\n", encoding="utf-8")
    return path


def assert_agree(answer: FeaturesAnswer, dataset: Path) -> pl.DataFrame:
    """Every count, price and category; the users' table."""
    users, items = of_builder(dataset, answer)
    assert flat("user", answer.users) == users.to_dicts()
    assert flat("item", answer.items) == items.to_dicts()
    return users


async def test_what_is_served_is_what_the_builder_counts(built: Built, nats_world: NatsWorld, tmp_path: Path) -> None:
    """And again by a shard that was started anew, without a person who was forgotten meanwhile."""
    folder, gone = tmp_path / "log", USERS[0]
    async with running(built.store, nats_world.url) as client:
        await until(lambda: is_up(client))
        mark = await record(client, events(seed=17))
        answer = await told(client, mark)
        await exported(nats_world.url, folder)
        dataset = dataset_file(folder, built.dataset)
        table = assert_agree(answer, dataset)
        assert sum(table["user_30d_view"]) > 20
        assert table["user_last_category"].drop_nulls().n_unique() > 1
        assert answer.users[0].known
        await client.forget(gone)
        await until(lambda: is_unknown(client, gone))
    await exported(nats_world.url, folder)
    async with running(built.store, nats_world.url) as client:
        again = await told(client, mark)
    assert_agree(again, dataset)
    assert [one.known for one in again.users] == [one.known and one.id != gone for one in answer.users]


async def is_unknown(client: AsyncClient, user: str) -> bool:
    """Whether nothing is told of somebody any more."""
    return not (await client.features([user])).users[0].known


async def is_up(client: AsyncClient) -> bool:
    """Whether there is a router to record with."""
    try:
        return (await client.status()).event_log is not None
    except Unavailable:
        return False
