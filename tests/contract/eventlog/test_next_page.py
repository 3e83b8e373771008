"""What a shopper does is in the next page: a real router and a real shard, in this process, on a real NATS server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import datasets
from datasets import Built
from worlds import NatsWorld

import router.main
import shard.main
from cli.addresses import free_address
from router.config import RouterConfig
from shard.config import ShardConfig
from trunkshow.client import AsyncClient, Event, Reason, Rung, Slate
from trunkshow.errors import TrunkshowError
from trunkshow.snapshot.store import open_store

USER, NEW = datasets.user_id(17), "nobody-knows-me"
LIKED = (datasets.taste_of_user(USER) + 1) % datasets.TASTES
DEADLINE_MS = 8000
WITHIN_S = 60.0


@asynccontextmanager
async def running(store: Path, log: str) -> AsyncIterator[AsyncClient]:
    """A shard that holds everything, a router, and somebody who asks it; until it serves FRESH slates."""
    own, target = free_address(), free_address()
    to_hold = ShardConfig(store=str(store), listen=own, name=own, log=log)
    to_route = RouterConfig(store=str(store), shards=(own,), listen=target, log=log, deadline_ms=DEADLINE_MS)
    servers = [
        asyncio.create_task(shard.main._serve(to_hold, open_store(str(store)))),
        asyncio.create_task(router.main._serve(to_route, open_store(str(store)))),
    ]
    try:
        async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client:
            await until(lambda: is_of(client, Rung.FRESH))
            await until(lambda: is_covered(client))
            yield client
    finally:
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)


async def is_of(client: AsyncClient, rung: Rung) -> bool:
    """Whether the user's slate is of this rung by now."""
    try:
        return (await client.recommend(USER)).receipt.rung is rung
    except TrunkshowError:
        return False


async def is_covered(client: AsyncClient) -> bool:
    """Whether every partition is warm."""
    return (await client.status()).covered


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until something is so."""
    ends = time.monotonic() + WITHIN_S
    while not await met():
        assert time.monotonic() < ends, "it never came to that"
        await asyncio.sleep(0.05)


def of_taste(taste: int, count: int) -> list[str]:
    """Items that were made for one taste."""
    return [datasets.item_id(datasets.TASTES * number + taste) for number in range(count)]


def shown(slate: Slate) -> list[str]:
    """The items of the first carousel."""
    return [item.item_id for item in slate.carousels[0].items]


def share_of_taste(slate: Slate, taste: int) -> float:
    """Of the items of the first carousel."""
    items = shown(slate)
    return sum(datasets.taste_of_item(item) == taste for item in items) / len(items)


async def test_what_is_done_is_in_the_next_page(built: Built, nats_world: NatsWorld) -> None:
    """A known user's and a newcomer's, who is asked for at home; without the log serving goes on, and it comes back."""
    async with running(built.store, nats_world.url) as client:
        for user, count in ((USER, 25), (NEW, 2)):
            mark = (await client.record([Event(user, item, "like") for item in of_taste(LIKED, count)])).watermark
            slate = await client.recommend(user, carousels=["for-you"], at_least_as_fresh=mark)
            receipt = slate.receipt
            assert (receipt.rung, receipt.reasons, receipt.events_folded) == (Rung.FRESH, (), count)
            assert (receipt.watermark, receipt.partitions_asked) == (mark, 1)
            assert share_of_taste(slate, LIKED) > 0.5
        assert (await client.recommend(datasets.user_id(18))).receipt.events_folded == 0

        await nats_world.kill()
        await until(lambda: is_of(client, Rung.SNAPSHOT))
        beyond = mark.replace(":2", ":3")
        receipt = (await client.recommend(USER, at_least_as_fresh=beyond)).receipt
        assert (receipt.events_folded, receipt.reasons) == (25, (Reason.NOT_AS_FRESH,))

        await nats_world.restart()
        await until(lambda: is_of(client, Rung.FRESH))
        mark = (await client.record(Event(USER, of_taste(LIKED, 1)[0], "click"))).watermark
        receipt = (await client.recommend(USER, at_least_as_fresh=mark)).receipt
        assert (receipt.rung, receipt.events_folded) == (Rung.FRESH, 26)


async def test_what_is_done_right_now_is_told_and_what_was_shown_in_vain_sinks(
    built: Built, nats_world: NatsWorld
) -> None:
    """Four clicks are an intent, and its items come first; what was shown again and again goes down until a click."""
    async with running(built.store, nats_world.url) as client:

        async def page(*events: Event) -> Slate:
            mark = (await client.record(list(events))).watermark
            return await client.recommend(USER, carousels=["for-you"], at_least_as_fresh=mark)

        before = await client.recommend(USER, carousels=["for-you"])
        assert before.intent is None
        slate = await page(*(Event(USER, item, "click") for item in of_taste(LIKED, 4)))
        assert slate.intent is not None
        first = slate.intent.interests[0]
        assert (first.category, first.share_5m, slate.intent.window) == (f"taste {LIKED}", 1, "5m")
        assert share_of_taste(slate, LIKED) > share_of_taste(before, LIKED)

        done = set(of_taste(LIKED, 4))
        tired = next(item for item in shown(slate) if item not in done)
        stood = shown(slate).index(tired)
        hours = [datetime.now(UTC) - timedelta(hours=ago) for ago in range(18)]
        after = shown(await page(*(Event(USER, tired, "impression", at) for at in hours)))
        assert tired not in after or after.index(tired) > stood
        assert shown(await page(Event(USER, tired, "click"))).index(tired) <= stood


async def test_a_shard_that_starts_again_has_lost_nothing(built: Built, nats_world: NatsWorld) -> None:
    """What was recorded twice counts once. It is two days old, so that no intent ages between the answers."""
    done = datetime.now(UTC) - timedelta(days=2)
    events = [Event(USER, item, "click", done) for item in of_taste(LIKED, 7)]
    async with running(built.store, nats_world.url) as client:
        mark = (await client.record([*events, *events[:3]])).watermark
        before = await client.recommend(USER, at_least_as_fresh=mark)
        assert before.receipt.events_folded == len(events)
    async with running(built.store, nats_world.url) as client:
        after = await client.recommend(USER, at_least_as_fresh=mark)
        assert (after.receipt.rung, after.receipt.events_folded) == (Rung.FRESH, len(events))
        assert after.carousels == before.carousels
