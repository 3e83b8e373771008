"""What shoppers do, for `bench.fresh`: calls of RecordEvents as a page makes them, requests, and what probes do.

A call is one shopper's page: the impressions of a carousel, and what the shopper did there, most often nothing, sent
together, as the script for pages does. Which shopper it is, and which item, follows a Zipf law; one in twenty was never
seen before. Everything is drawn from a seed, and no call is like another: event ids are new.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.wanted import WANTED
from cli.bench.arrivals import ZIPF_EXPONENT
from trunkshow.v1 import events_pb2 as events
from trunkshow.v1 import recommendation_pb2 as pb

SHOWN = 8
"""Impressions of a call."""

ACTS_MEAN = 2.0
STRANGERS_SHARE = 0.05
ACTS = {
    events.INTERACTION_VIEW: 0.4,
    events.INTERACTION_CLICK: 0.3,
    events.INTERACTION_CART: 0.1,
    events.INTERACTION_SEARCH: 0.06,
    events.INTERACTION_ORDER: 0.06,
    events.INTERACTION_LIKE: 0.03,
    events.INTERACTION_HIDE: 0.02,
    events.INTERACTION_RETURN: 0.01,
    events.INTERACTION_CONTENT_IMPRESSION: 0.02,
}


@dataclass(frozen=True)
class Shop:
    """Whom and what there is.

    Attributes:
        users: that shop and ask, the most active first.
        items: ids, the most popular first.
        probed: users of whom nothing is heard but what probes do.
        named: (id, title) of items by which a carousel can be named; no title comes twice.
    """

    users: Sequence[str]
    items: Sequence[str]
    probed: Sequence[str]
    named: Sequence[tuple[str, str]]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Call(NamedTuple):
    """One RecordEvents.

    Attributes:
        events: how many.
        data: the request, serialised.
    """

    events: int
    data: bytes


def calls(shop: Shop, count: int, began_s: float, seconds: float, seed: int) -> list[Call]:
    """Calls of so many events in all, spread over so many seconds from a moment on.

    Args:
        shop: who calls.
        count: of events.
        began_s: seconds since the epoch.
        seconds: that they take.
        seed: of everything but the event ids.
    """
    rng = np.random.default_rng(seed)
    made: list[Call] = []
    done = 0
    users, items = _zipf(rng, len(shop.users)), _zipf(rng, len(shop.items))
    while done < count:
        user = f"stranger-{rng.integers(1 << 40):x}" if rng.random() < STRANGERS_SHARE else shop.users[next(users)]
        page = _page(user, [shop.items[next(items)] for _ in range(SHOWN)], rng)
        for event in page:
            event.timestamp.FromMilliseconds(round((began_s + done / count * seconds) * 1000))
        made.append(Call(len(page), events.RecordEventsRequest(events=page).SerializeToString()))
        done += len(page)
    return made


def _page(user: str, items: Sequence[str], rng: np.random.Generator) -> list[events.Event]:
    """What one shopper sees on a page, and does there."""
    slate = uuid.uuid4().hex
    shown = [_event(f"{slate}-{at}", user, item, events.INTERACTION_IMPRESSION, slate) for at, item in enumerate(items)]
    for position, event in enumerate(shown):
        event.position = position
    kinds = rng.choice(list(ACTS), rng.poisson(ACTS_MEAN), p=list(ACTS.values())).tolist()
    return [
        *shown,
        *(
            _event(f"{slate}-a{at}", user, items[int(rng.integers(len(items)))], kind, slate)
            for at, kind in enumerate(kinds)
        ),
    ]


def _event(event_id: str, user: str, item: str, kind: events.Interaction, slate: str) -> events.Event:
    made = events.Event(
        event_id=event_id,
        user_id=user,
        item_id=item,
        interaction=kind,
        request_id=slate,
        carousel=WANTED.carousels[0],
        channel=events.CHANNEL_WEB,
    )
    if kind == events.INTERACTION_SEARCH:
        made.item_id = ""
        made.context["query"] = "milk"
    if kind == events.INTERACTION_ORDER:
        made.value = 3.99
    return made


def requests(users: Sequence[str], seed: int) -> Iterator[bytes]:
    """Requests for slates, for ever."""
    made = [_request(user).SerializeToString() for user in users]
    for at in _zipf(np.random.default_rng(seed), len(users)):
        yield made[at]


def click(user: str, item: str) -> bytes:
    """A call of one click, now."""
    event = events.Event(
        event_id=uuid.uuid4().hex,
        user_id=user,
        item_id=item,
        interaction=events.INTERACTION_CLICK,
        channel="CHANNEL_WEB",
    )
    event.timestamp.GetCurrentTime()
    return events.RecordEventsRequest(events=[event]).SerializeToString()


def asking(user: str, watermark: str = "") -> bytes:
    """A request for a slate that is at least so fresh."""
    made = _request(user)
    made.at_least_as_fresh = watermark
    return made.SerializeToString()


def _request(user: str) -> pb.RecommendRequest:
    return pb.RecommendRequest(user_id=user, carousels=WANTED.carousels, items_per_carousel=WANTED.items)


def _zipf(rng: np.random.Generator, count: int) -> Iterator[int]:
    weights = np.arange(1, count + 1) ** -ZIPF_EXPONENT
    while True:
        yield from rng.choice(count, 1 << 14, p=weights / weights.sum()).tolist()
