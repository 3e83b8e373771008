"""What a shopper does is in the next page: real routers, real shards, a real NATS server; whatever is killed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import datasets
import nats_servers
import pytest
from datasets import Built
from nats_servers import NatsServer
from processes import DEADLINE_MS, Cluster, running

from cli.demo_clicks import CAROUSELS, clicked
from trunkshow.client import AsyncClient, Client, Event, Reason, Rung, Slate
from trunkshow.errors import DeadlineExceeded, Unavailable
from trunkshow.eventlog.watermark import Watermark

NEW = "nobody-knows-me"
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The event log's server; whoever harms it makes it well again."""
    with nats_servers.running(tmp_path_factory.mktemp("nats")) as started:
        yield started


@pytest.fixture(scope="module")
def cluster(built: Built, server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two shards that each hold everything, and a router, which follow it; each test has a user of its own."""
    logs = tmp_path_factory.mktemp("logs")
    with running(built.store, logs, shards=2, replicas=2, log=server.url) as started:
        yield started


def of_taste(taste: int, count: int) -> list[str]:
    """Items that were made for one taste."""
    return [datasets.item_id(datasets.TASTES * number + taste) for number in range(count)]


def until(met: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Ask again and again until something is so."""
    ends = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.05)


def recorded(client: Client, *events: Event) -> str:
    """The watermark of events that were recorded, sent again until they were."""
    ends = time.monotonic() + WITHIN_S
    while True:
        try:
            return client.record(list(events)).watermark
        except (Unavailable, DeadlineExceeded):
            assert time.monotonic() < ends, "it was never recorded"


def page_with(client: Client, user: str, mark: str, events: int) -> Slate:
    """A page that is as fresh as is asked, with so many events in it; no page on the way there has more of them."""

    def comes() -> bool:
        page = client.recommend(user, carousels=["for-you"], at_least_as_fresh=mark)
        assert page.receipt.events_folded <= events
        pages.append(page)
        receipt = page.receipt
        return (receipt.rung, receipt.events_folded, receipt.reasons) == (Rung.FRESH, events, ())

    pages: list[Slate] = []
    until(comes)
    return pages[-1]


def share_of_taste(slate: Slate, taste: int) -> float:
    """Of the items of the first carousel."""
    shown = [item.item_id for item in slate.carousels[0].items]
    return sum(datasets.taste_of_item(item) == taste for item in shown) / len(shown)


def test_events_are_in_the_page_that_asks_for_them(cluster: Cluster) -> None:
    """A known user's, and a stranger's, who is served as a known user after two clicks; others' are not."""
    known = datasets.user_id(17)
    with Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        other = (datasets.taste_of_user(known) + 1) % datasets.TASTES
        for user, items in ((known, of_taste(other, 25)), (NEW, of_taste(other, 2))):
            mark = recorded(client, *(Event(user, item, "like") for item in items))
            page = page_with(client, user, mark, len(items))
            assert page.receipt.partitions_asked == 1
            assert share_of_taste(page, other) > 0.5
        assert client.recommend(datasets.user_id(18)).receipt.events_folded == 0


async def test_the_clicks_of_the_demo_move_the_next_page(cluster: Cluster) -> None:
    """A known shopper's three and a stranger's two, by what the demo runs; before them the page is the same twice."""
    async with AsyncClient(cluster.target, deadline_ms=DEADLINE_MS) as client:
        for who, count in (("known", 3), ("stranger", 2)):
            ends, seen = time.monotonic() + WITHIN_S, None
            for number in itertools.count(33):  # on a busy machine an answer may come without what it was to wait for
                assert time.monotonic() < ends, f"no page came in time that has the clicks in it; the last one: {seen}"
                user = datasets.user_id(number) if who == "known" else f"first-time-here-{number}"
                other = (datasets.taste_of_user(datasets.user_id(number)) + 1) % datasets.TASTES
                page = await client.recommend(user, carousels=CAROUSELS, items_per_carousel=5)
                one = await clicked(client, who, user, of_taste(other, count), 5)
                seen = receipt = one.after.receipt
                if (receipt.rung, receipt.events_folded, page.receipt.rung) == (
                    Rung.FRESH,
                    count,
                    one.before.receipt.rung,
                ):
                    break
            assert items_of(page) == items_of(one.before)
            assert one.moved > 0
            assert items_of(one.before) != items_of(one.after)
            assert share_of_taste(one.after, other) > share_of_taste(one.before, other)


def items_of(slate: Slate) -> list[list[str]]:
    """Carousel by carousel."""
    return [[item.item_id for item in carousel.items] for carousel in slate.carousels]


def test_no_event_is_lost_or_counted_twice_when_shards_are_killed(cluster: Cluster) -> None:
    """Those that start again know what the others knew."""
    user = datasets.user_id(21)
    with Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        events = [Event(user, item, "click") for item in of_taste(0, 7)]
        mark = recorded(client, *events, *events[:3])
        page_with(client, user, mark, len(events))
        for address in list(cluster.shards):
            cluster.restart(address)
            page_with(client, user, mark, len(events))


def test_serving_goes_on_without_the_log_and_is_fresh_again_with_it(cluster: Cluster, server: NatsServer) -> None:
    """From what was folded in before, which the rung does not call fresh any more."""
    user = datasets.user_id(25)
    with Client(cluster.target, deadline_ms=DEADLINE_MS) as client:
        mark = recorded(client, Event(user, of_taste(1, 1)[0], "click"))
        page_with(client, user, mark, 1)
        server.kill()

        def goes_on_from_what_was_known() -> bool:
            receipt = client.recommend(user).receipt
            return (receipt.rung, receipt.events_folded) == (Rung.SNAPSHOT, 1)

        until(lambda: all(goes_on_from_what_was_known() for _ in range(10)))  # whichever shard is asked
        known = Watermark.parse(mark)
        beyond = str(Watermark(known.log, {lane: count + 1 for lane, count in known.counts.items()}))
        assert Reason.NOT_AS_FRESH in client.recommend(user, at_least_as_fresh=beyond, deadline_ms=500).receipt.reasons
        server.start()
        page_with(client, user, recorded(client, Event(user, of_taste(2, 1)[0], "click")), 2)
