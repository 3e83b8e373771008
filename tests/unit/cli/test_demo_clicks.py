"""The demo's second half: what is asked of a cluster, and what is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from cli.demo_clicks import CAROUSELS, WITHIN_MS, clicked, shown
from cli.titles import Titles
from trunkshow.answers import Slate
from trunkshow.client import AsyncClient, Event
from trunkshow.v1 import recommendation_pb2 as pb

MARK = "log/0:7"


def slate(*items: str) -> Slate:
    """One carousel of these."""
    carousel = pb.Carousel(id="for-you", title="For you", items=[pb.Item(item_id=one) for one in items])
    return Slate.from_message(pb.RecommendResponse(carousels=[carousel]))


class Cluster:
    """Answers with one slate before a click was recorded, and with another one once that is asked for."""

    def __init__(self) -> None:
        self.recorded: list[Event] = []
        self.asked: list[dict[str, Any]] = []

    async def recommend(self, user: str, **asked: Any) -> Slate:
        """The next page."""
        self.asked.append({"user": user, **asked})
        is_after = bool(self.recorded) and asked.get("at_least_as_fresh") == MARK
        return slate("a", "new", "newer") if is_after else slate("a", "b")

    async def record(self, events: Sequence[Event]) -> SimpleNamespace:
        """Keep them."""
        self.recorded.extend(events)
        return SimpleNamespace(watermark=MARK)


async def test_the_next_page_is_asked_for_with_the_clicks_in_it() -> None:
    """The first one without; both of the same carousels, and as many items."""
    cluster = Cluster()
    done = await clicked(cast("AsyncClient", cluster), "a stranger", "ann", ["x", "y"], 5)
    assert [(one.user_id, one.item_id, one.interaction) for one in cluster.recorded] == [
        ("ann", "x", "click"),
        ("ann", "y", "click"),
    ]
    usual = {"user": "ann", "carousels": CAROUSELS, "items_per_carousel": 5}
    assert cluster.asked == [usual, {**usual, "at_least_as_fresh": MARK, "deadline_ms": WITHIN_MS}]
    assert (done.moved, done.to_json()["moved"], done.to_json()["items"]) == (2, 2, ("x", "y"))


async def test_both_pages_are_shown_with_the_clicks_between() -> None:
    """In their order, and how many items are new."""
    done = await clicked(cast("AsyncClient", Cluster()), "a stranger", "ann", ["x[bold]"], 5)
    console = Console(width=120)
    with console.capture() as told:
        for one in shown(done, Titles()):
            console.print(one)
    text = told.get()
    assert text.index("before") < text.index("clicks: x[bold]") < text.index("after,") < text.index("newer")
    assert "2 items are new" in text
