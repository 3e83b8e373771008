"""A new item is recommendable at once: a real router and a real shard, in this process, on a real NATS server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import datasets
from datasets import Built
from test_next_page import running, until
from worlds import NatsWorld

from trunkshow.client import AsyncClient, Event, NewItem, Reason, Rung
from trunkshow.errors import NotFound

USER = datasets.user_id(17)
TASTE = datasets.taste_of_user(USER)
OTHER = (TASTE + 1) % datasets.TASTES
CREATED = datetime.now(UTC) - timedelta(hours=1)


def new(item_id: str, taste: int = TASTE, colour: str = "red", *, available: bool = True) -> NewItem:
    """An item that nobody had yet."""
    category = f"taste {taste}"
    return NewItem(item_id, "Just in", category, {"colour": colour}, available=available, created=CREATED)


async def shown(client: AsyncClient, carousel: str, user: str = USER, items: int = 100, **asked: object) -> list[str]:
    """What is in a carousel."""
    slate = await client.recommend(user, carousels=[carousel], items_per_carousel=items, **asked)  # type: ignore[arg-type]
    return [item.item_id for one in slate.carousels if one.id == carousel for item in one.items]


async def has(client: AsyncClient, carousel: str, wanted: Sequence[str], user: str = USER) -> bool:
    """Whether these are all in it by now."""
    return set(wanted) <= set(await shown(client, carousel, user))


async def is_placed(client: AsyncClient, item: str) -> bool:
    """Whether the router knows by now what an item is like: a moment after it is listed."""
    try:
        return (await client.similar(item, 5)).carousel.items != ()
    except NotFound:
        return False


async def test_a_new_item_is_shown_before_any_build(built: Built, nats_world: NatsWorld) -> None:
    """In new arrivals, first; near to whose taste it is; filters, exclusions and what was hidden or bought hold."""
    async with running(built.store, nats_world.url) as client:
        answer = await client.record_items([new("new-1"), new("new-2", OTHER, "blue"), NewItem("")])
        assert (answer.recorded, [one.reason for one in answer.refused]) == (2, ["ITEM_ID_EMPTY"])
        await until(lambda: has(client, "new-arrivals", ["new-1", "new-2"]))
        await until(lambda: has(client, "for-you", ["new-1"]))

        assert set((await shown(client, "new-arrivals"))[:2]) == {"new-1", "new-2"}
        assert "new-1" in await shown(client, "for-you", items=20)
        mine, others = await shown(client, "for-you"), await shown(client, "for-you", datasets.user_id(OTHER))
        assert mine.index("new-1") < len(mine) / 2
        assert "new-2" in others[:20]

        for_blue = await shown(client, "new-arrivals", attributes={"colour": ["blue"]})
        assert "new-2" in for_blue
        assert "new-1" not in for_blue
        assert "new-1" not in await shown(client, "new-arrivals", exclude=["new-1"])
        await until(lambda: has(client, "new-arrivals", ["new-1"], user="nobody-knows-me"))

        mark = (await client.record([Event(USER, "new-1", "order"), Event(USER, "new-2", "hide")])).watermark
        slate = await client.recommend(USER, carousels=["new-arrivals", "for-you"], at_least_as_fresh=mark)
        assert (slate.receipt.rung, slate.receipt.events_folded) == (Rung.FRESH, 2)
        assert not {"new-1", "new-2"} & {item.item_id for one in slate.carousels for item in one.items}


async def test_a_new_item_in_hand_makes_a_taste(built: Built, nats_world: NatsWorld) -> None:
    """A stranger's; and what was done with it moves a known user's."""
    async with running(built.store, nats_world.url) as client:
        await client.record_items([new("new-2", OTHER)])
        await until(lambda: is_placed(client, "new-2"))
        slate = await client.recommend("somebody", items=["new-2"], carousels=["for-you"])
        tastes = [datasets.taste_of_item(item.item_id) for item in slate.carousels[0].items]
        assert Reason.CONTEXT_ITEM_UNKNOWN not in slate.receipt.reasons
        assert Reason.FOLDED_IN in slate.receipt.reasons
        like = await client.similar("new-2", 5)
        assert {datasets.taste_of_item(item.item_id) for item in like.carousel.items} == {OTHER}
        assert tastes.count(OTHER) > len(tastes) / 2


async def test_a_newcomer_whose_first_event_is_with_a_new_item_is_served_by_it(
    built: Built, nats_world: NatsWorld
) -> None:
    """As fresh as that; and when they settle by an item that was built with, what they did before is there."""
    async with running(built.store, nats_world.url) as client:
        await client.record_items([new("new-1"), new("new-2", OTHER)])
        await until(lambda: has(client, "for-you", ["new-1"]))  # the shard knows what they are like, and the router
        await until(lambda: is_placed(client, "new-2"))
        mark = (await client.record([Event("eager", "new-2", "order")])).watermark
        slate = await client.recommend("eager", carousels=["for-you", "new-arrivals"], at_least_as_fresh=mark)
        assert (slate.receipt.rung, slate.receipt.events_folded) == (Rung.FRESH, 1)
        assert Reason.NOT_AS_FRESH not in slate.receipt.reasons
        tastes = [datasets.taste_of_item(item.item_id) for item in slate.carousels[0].items]
        assert tastes.count(OTHER) > len(tastes) / 2
        assert "new-2" not in {item.item_id for one in slate.carousels for item in one.items}
        built_item = next(item.item_id for item in slate.carousels[0].items if not item.item_id.startswith("new-"))
        mark = (await client.record([Event("eager", built_item, "like")])).watermark
        slate = await client.recommend("eager", carousels=["for-you", "new-arrivals"], at_least_as_fresh=mark)
        assert (slate.receipt.rung, slate.receipt.events_folded) == (Rung.FRESH, 2)
        assert "new-2" not in {item.item_id for one in slate.carousels for item in one.items}


async def test_what_is_withdrawn_goes_and_what_comes_back_is_shown(built: Built, nats_world: NatsWorld) -> None:
    """The last word on an item counts."""
    async with running(built.store, nats_world.url) as client:
        await client.record_items([new("new-1"), new("new-3")])
        await until(lambda: has(client, "new-arrivals", ["new-1", "new-3"]))
        await client.record_items([new("new-1", available=False)])

        async def is_gone() -> bool:
            return "new-1" not in await shown(client, "new-arrivals")

        await until(is_gone)
        assert "new-1" not in await shown(client, "for-you")
        assert "new-3" in await shown(client, "new-arrivals")
        await client.record_items([new("new-1")])
        await until(lambda: has(client, "new-arrivals", ["new-1"]))


async def test_a_shard_that_starts_again_knows_new_items(built: Built, nats_world: NatsWorld) -> None:
    """And what was done with them."""
    async with running(built.store, nats_world.url) as client:
        await client.record_items([new("new-1"), new("new-3")])
        await until(lambda: has(client, "new-arrivals", ["new-1", "new-3"]))
        await client.record([Event(USER, "new-3", "order")])
    async with running(built.store, nats_world.url) as client:
        await until(lambda: has(client, "for-you", ["new-1"]))

        async def knows_the_order() -> bool:
            return (await client.recommend(USER)).receipt.events_folded == 1

        await until(knows_the_order)
        assert "new-3" not in await shown(client, "new-arrivals")
