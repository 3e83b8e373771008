"""The demo's second half: what a shopper does is in the next page. Clicks in, and the slates before and after.

A known shopper clicks three items of a category that they never bought, and a stranger two. Both are asked for again as
soon as the clicks were recorded, with the watermark that the log gave for them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.markup import escape

from cli import render
from cli.titles import Titles
from trunkshow.answers import Slate
from trunkshow.client import AsyncClient, Event

WITHIN_MS = 2_000.0
"""More than a page would wait, so that a busy machine shows how long it took."""

CAROUSELS = ("for-you", "because-you-liked")


class Clicked(NamedTuple):
    """Somebody's clicks, and what became of their page.

    Attributes:
        who: in words.
        user: id.
        items: clicked.
        before: the slate before.
        after: the next one.
        ms: from the first click's being recorded until the next slate was there.
    """

    who: str
    user: str
    items: tuple[str, ...]
    before: Slate
    after: Slate
    ms: float

    @property
    def moved(self) -> int:
        """Items of the next slate that the one before did not have."""
        return len(_items(self.after) - _items(self.before))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "who": self.who,
            "user": self.user,
            "items": self.items,
            "ms": round(self.ms, 1),
            "moved": self.moved,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }


async def clicked(client: AsyncClient, who: str, user: str, items: Sequence[str], count: int) -> Clicked:
    """Let somebody click, and ask for their slates of so many items a carousel before and after."""
    before = await client.recommend(user, carousels=CAROUSELS, items_per_carousel=count)
    began = time.perf_counter()
    recorded = await client.record([Event(user, item, "click") for item in items])
    after = await client.recommend(
        user,
        carousels=CAROUSELS,
        items_per_carousel=count,
        at_least_as_fresh=recorded.watermark,
        deadline_ms=WITHIN_MS,
    )
    return Clicked(who, user, tuple(items), before, after, (time.perf_counter() - began) * 1000)


def shown(one: Clicked, titles: Titles) -> list[RenderableType]:
    """For a person: the page before, the clicks, the page after, and how long that took."""
    lines: list[RenderableType] = ["[bold]before[/]"]
    lines += [render.carousel(carousel, titles) for carousel in one.before.carousels]
    lines += ["", *(f"clicks: {escape(item)}  [dim]{escape(titles.get(item))}[/]" for item in one.items)]
    lines += ["", f"[bold]after, {one.ms:.0f} ms later[/]: {one.moved} items are new"]
    lines += [render.carousel(carousel, titles) for carousel in one.after.carousels]
    return [*lines, render.receipt(one.after.receipt)]


def _items(slate: Slate) -> set[str]:
    return {item.item_id for carousel in slate.carousels for item in carousel.items}
