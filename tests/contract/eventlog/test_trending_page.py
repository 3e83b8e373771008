"""What many do is on everybody's page within seconds: a real router and a real shard on a real NATS server."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import pytest
from datasets import Built
from test_next_page import running, until
from worlds import NatsWorld

from trunkshow.client import AsyncClient, Event, Interaction, Reason

USER, STRANGER = datasets.user_id(17), "nobody-knows-me"
SURGING = datasets.item_id(3)
OTHERS = [datasets.item_id(number) for number in range(40) if number != 3]


def clicks(items: Sequence[str], name: str) -> list[Event]:
    """One of each, each by somebody else."""
    return [Event(f"{name}-{n}", item, "click", event_id=f"{name}-{n}") for n, item in enumerate(items)]


async def trending(client: AsyncClient, user: str) -> list[str]:
    """What trends, by the carousel of that name; nothing where another list stands in for it."""
    slate = await client.recommend(user, carousels=["trending"])
    assert [one.id for one in slate.carousels] == ["trending"]
    assert (Reason.CAROUSEL_EMPTY in slate.receipt.reasons) == (slate.carousels[0].source == "popularity")
    return [item.item_id for item in slate.carousels[0].items] if slate.carousels[0].source == "trending" else []


async def test_what_surges_is_on_the_page_in_the_logs_first_hour_and_after_a_restart(
    built: Built, nats_world: NatsWorld
) -> None:
    """Of a known user and of a stranger, asked for or at home; what comes again counts once."""
    usual, surge = clicks(OTHERS * 4, "usual"), clicks([SURGING] * 60, "surge")
    async with running(built.store, nats_world.url) as client:
        await client.record(usual)
        assert await trending(client, USER) == await trending(client, STRANGER) == []
        assert "trending" not in [one.id for one in (await client.recommend(USER)).carousels]

        await client.record(surge)

        async def is_found() -> bool:
            return SURGING in await trending(client, USER) and SURGING in await trending(client, STRANGER)

        await until(is_found)
        home = {one.id: one for one in (await client.recommend(STRANGER)).carousels}
        assert home["trending"].title == "Trending now"
        assert "times as many as usual" in home["trending"].items[0].reason
        listed = await trends(client)
        assert await clicked(client, SURGING) == pytest.approx(len(surge), rel=0.2)
        await client.record(surge)
        mark = (await client.record(Event(USER, OTHERS[0], "view"))).watermark
        await client.recommend(USER, at_least_as_fresh=mark)
        assert (await trends(client))[SURGING] <= listed[SURGING]

    async with running(built.store, nats_world.url) as again:

        async def is_found_again() -> bool:
            return SURGING in await trending(again, USER)

        await until(is_found_again)


async def clicked(client: AsyncClient, item: str) -> float:
    """How often, lately, by the half-life that forgets more slowly."""
    found = (await client.status()).trends
    at = [one.item_id for one in found.of("")].index(item)
    return found.windows[""][-1].counts[Interaction.CLICK][at]


async def trends(client: AsyncClient) -> dict[str, float]:
    """How much of it happened lately, by item that trends."""
    return {one.item_id: one.observed for one in (await client.status()).trends.of("")}
