"""The script for pages, in a real browser: what is seen and clicked is in the log, and the page never notices.

Time in the page is driven, but for one test. What is served is tested, and of its readable source what matters most.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pages import SERVED, Shop, browsing, chromium, until
from playwright.async_api import Browser, async_playwright

import router.tracking
from router.tracking.pixel import GIF
from trunkshow.v1 import events_pb2 as pb

FOUND = chromium()
SOURCE = Path(router.tracking.__file__).with_name("trunkshow.js").read_bytes()
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        FOUND is None, reason="no Chromium is installed (apt-get install chromium, or TRUNKSHOW_CHROMIUM=PATH)"
    ),
]

RECORD = "count => { for (let n = 0; n < count; n++) trunkshow.record({item_id: 'hat', interaction: 'cart'}); }"
LARGE = """count => {
  const context = {};
  for (let n = 10; n < 26; n++) context[`${n}${"\u6f22".repeat(84)}`] = "\u6f22".repeat(85);
  for (let n = 0; n < count; n++) trunkshow.record({item_id: "hat", interaction: "cart", context});
}"""
"""Events as large as may be: 8.6 kB each, most of it characters of three bytes."""

Open = Callable[..., Awaitable[Shop]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright, browsing(playwright, FOUND or "") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def open_shop(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Opens the shop; its time stands, unless it is told to go on."""
    scripted = getattr(request, "param", SERVED)
    async with AsyncExitStack() as stack:

        async def opened(
            *, data: str = "", first: str = "", lacking: str = "", since: float | None = 0.0, **chosen: Any
        ) -> Shop:
            context = await browser.new_context(viewport={"width": 800, "height": 600})
            stack.push_async_callback(context.close)
            page = await context.new_page()
            await page.add_init_script(first)
            if since is not None:
                start = since or time.time()
                await page.clock.install(time=start)
                await page.clock.pause_at(start + 1)
            shop = Shop(page, b"((%b) => {%b})();" % (lacking.encode(), scripted) if lacking else scripted, data)
            stack.push_async_callback(shop.stop)
            await shop.start(**chosen)
            await shop.visit()
            return shop

        yield opened


both = pytest.mark.parametrize("open_shop", [SERVED, SOURCE], ids=["served", "source"], indirect=True)


@both
async def test_what_is_in_sight_for_a_second_is_an_impression(open_shop: Open) -> None:
    """Once, and with the slate that it came in; what was never in sight is none."""
    shop = await open_shop()
    await shop.passes(4000)
    await shop.recorded(("top", "impression"))
    await shop.look("middle")
    await shop.passes(1100)
    await shop.look("top")
    await shop.passes(8000)
    (top, *_) = await shop.recorded(("middle", "impression"))
    assert await shop.so_far() == [("top", "impression"), ("middle", "impression")]
    assert (top.user_id, top.request_id, top.carousel, top.position) == ("ann", "r-1", "for-you", 0)
    assert shop.errors == []


@both
async def test_what_flashes_by_is_none(open_shop: Open) -> None:
    """Not even if it does so twice."""
    shop = await open_shop()
    for _ in range(2):
        await shop.look("middle")
        await shop.passes(900)
        await shop.look("bottom")
    await shop.passes(8000)
    await shop.recorded(("bottom", "impression"))
    assert shop.what() == [("bottom", "impression")]


@both
async def test_less_than_half_in_sight_is_not_seen(open_shop: Open) -> None:
    """And a little more than half is."""
    shop = await open_shop()
    above = "shown => scrollTo(0, document.querySelector('[data-ts-item=middle]').offsetTop + shown - innerHeight)"
    for shown, seen in ((40, []), (60, [("middle", "impression")])):
        await shop.page.evaluate(above, shown)
        await shop.look()
        await shop.passes(1100)
        assert await shop.so_far() == seen


@both
async def test_time_in_a_page_that_is_hidden_does_not_count(open_shop: Open) -> None:
    """The second begins anew when it is shown."""
    shop = await open_shop()
    await shop.passes(900)
    await _hide(shop, hidden=True)
    await shop.passes(8000)
    await _hide(shop, hidden=False)
    await shop.passes(900)
    await shop.page.click("#in-top")
    await shop.passes(99)
    await _hide(shop, hidden=True)
    await shop.recorded(("top", "click"))
    await _hide(shop, hidden=False)
    assert shop.what() == [("top", "click")]
    await shop.passes(8000)
    await shop.recorded(("top", "impression"))


@both
async def test_a_click_is_a_click(open_shop: Open) -> None:
    """On anything in the element, also where the page keeps it from going further; and on nothing else."""
    shop = await open_shop(data="data-token=1.x")
    await shop.page.evaluate("() => { document.querySelector('#in-top').onclick = event => event.stopPropagation(); }")
    await shop.page.click("#in-top")
    await shop.page.mouse.click(400, 500)
    await shop.passes(3000)
    await shop.recorded(("top", "click"))
    assert [(one["item_id"], one["user_token"]) for one in shop.sent[0]["events"] if one["interaction"] == "click"] == [
        ("top", "1.x")
    ]


async def test_elements_that_come_later_are_found(open_shop: Open) -> None:
    """Pages load their slates when they like."""
    shop = await open_shop()
    await shop.page.evaluate(
        """() => {
          const late = document.createElement("p");
          late.innerHTML = "<b data-ts-item=late>hat</b>";
          document.body.prepend(late);
        }"""
    )
    await shop.passes(100)
    await shop.look()
    await shop.passes(4000)
    await shop.recorded(("late", "impression"))


@both
async def test_an_element_that_shows_something_else_is_seen_anew(open_shop: Open) -> None:
    """Frameworks take elements again: its second begins with what it shows now, in which slate, and nothing is lost."""
    shop = await open_shop()
    await shop.passes(4000)
    await shop.recorded(("top", "impression"))
    for item, ms in (("second", 900), ("third", 200), ("fourth", 4000)):
        await _show(shop, item)
        await shop.passes(ms)
    await shop.recorded(("fourth", "impression"))
    await _show(shop, "fourth", request="r-2")
    await shop.passes_until(lambda: len(_seen(shop)) > 2)
    assert _seen(shop) == [("top", "r-1"), ("fourth", "r-1"), ("fourth", "r-2")]


async def test_an_element_that_shows_an_item_later_is_found(open_shop: Open) -> None:
    """And one that shows none any more is none."""
    shop = await open_shop()
    await shop.page.evaluate("() => { delete document.querySelector('[data-ts-item=top]').dataset.tsItem; }")
    await shop.page.evaluate("() => { document.querySelector('#in-top').dataset.tsItem = 'within'; }")
    await shop.passes(100)
    await shop.look()
    await shop.passes(8000)
    await shop.recorded(("within", "impression"))
    assert await shop.so_far() == [("within", "impression")]


@both
@pytest.mark.parametrize("first", ["", "navigator.sendBeacon = undefined", "navigator.sendBeacon = () => false"])
async def test_what_waits_when_the_page_is_left_arrives(open_shop: Open, first: str) -> None:
    """Time stands: nothing else can have sent it."""
    shop = await open_shop(first=first)
    await shop.page.click("#in-top")
    assert shop.sent == []
    await shop.leave()
    await shop.recorded(("top", "click"))


async def test_twenty_that_wait_are_sent_at_once(open_shop: Open) -> None:
    """And nineteen are not."""
    shop = await open_shop()
    await shop.page.evaluate(RECORD, 19)
    assert shop.sent == []
    await shop.page.evaluate(RECORD, 1)
    await until(lambda: len(shop.log.events) == 20)
    assert len({event.event_id for event in shop.log.events}) == 20


async def test_what_failed_is_sent_again_with_the_same_ids(open_shop: Open) -> None:
    """Until it is known to have arrived: a page that is left before it hears so sends it once more, and no other."""
    shop = await open_shop()
    shop.log.gone = True
    await shop.page.click("#in-top")
    await shop.passes_until(lambda: len(shop.log.within_s) == 3)
    shop.log.gone = False
    await shop.passes_until(lambda: ("top", "click") in shop.what())
    await shop.leave()
    assert {one["event_id"] for body in shop.sent for one in body["events"] if one["interaction"] == "click"} == {
        event.event_id for event in shop.log.events if event.interaction == 2
    }
    assert len({event.event_id for event in shop.log.events}) == len(set(shop.what()))
    assert len(shop.log.records) <= 2
    assert len(shop.sent) >= 4


@both
async def test_what_was_refused_when_the_page_was_hidden_is_sent_again(open_shop: Open) -> None:
    """The page can come back, and hears what became of it; no more wait than may."""
    shop = await open_shop(http_user_burst=1000)
    shop.log.gone = True
    await shop.page.click("#in-top")
    await _hide(shop, hidden=True)
    await until(lambda: len(shop.log.within_s) == 1)
    await shop.page.evaluate(RECORD, 600)
    shop.log.gone = False
    await shop.passes_until(lambda: len(shop.what()) >= 500)
    assert ("top", "click") in shop.what()
    assert len({event.event_id for event in shop.log.events}) == 500


async def test_what_took_too_long_to_arrive_is_sent_again(open_shop: Open) -> None:
    """A 408 says of the network, and not of the events, that something was wrong."""
    shop = await open_shop()
    slow = "window.fetch = async () => { window.asked = 1; return new Response('', {status: 408}); }"
    await shop.page.evaluate(f"() => {{ window.really = fetch; {slow}; }}")
    await shop.page.click("#in-top")
    await shop.passes(3000)
    assert await shop.page.evaluate("() => asked")
    await shop.page.evaluate("() => { window.fetch = really; }")
    await shop.passes_until(lambda: ("top", "click") in shop.what())


async def test_what_waits_is_bounded(open_shop: Open) -> None:
    """A page that stands open while nobody answers does not grow."""
    shop = await open_shop(http_user_burst=1000)
    await shop.page.evaluate("() => { window.really = fetch; window.fetch = () => Promise.reject(0); }")
    await shop.page.evaluate(RECORD, 600)
    await shop.passes(120_000)
    await shop.page.evaluate("() => { window.fetch = really; }")
    await shop.passes_until(lambda: len(shop.what()) >= 500)
    await shop.leave()
    assert len(shop.what()) == 500


@both
async def test_many_large_events_go_in_bodies_that_are_taken(open_shop: Open) -> None:
    """Forty of them are five times what a body may have."""
    shop = await open_shop()
    await shop.page.evaluate(LARGE, 40)
    await shop.passes_until(lambda: shop.what().count(("hat", "cart")) == 40)
    assert 50_000 < max(shop.bytes) <= 65_536


@both
@pytest.mark.parametrize("first", ["", "navigator.sendBeacon = undefined"])
async def test_more_than_may_outlive_a_page_is_not_lost_whole(open_shop: Open, first: str) -> None:
    """Browsers let 64 KiB outlive it, whatever else waits."""
    shop = await open_shop(first=first)
    await shop.page.evaluate(LARGE, 12)
    assert shop.sent == []
    await shop.leave()
    await shop.recorded(("hat", "cart"))
    assert len(shop.what()) > 4


@both
async def test_what_is_too_large_by_itself_is_dropped_and_told(open_shop: Open) -> None:
    """Once, and nothing else; what cannot be written at all is dropped, too, and neither holds up what comes then."""
    shop = await open_shop()
    told: list[str] = []
    shop.page.on("console", lambda message: told.append(message.text[:15]) if message.type == "warning" else None)
    await shop.page.click("#in-top")
    await shop.page.evaluate("() => trunkshow.record({item_id: 'huge', context: {note: 'x'.repeat(7e4)}})")
    await shop.page.evaluate("() => trunkshow.record({item_id: 'none', value: 1n})")
    await shop.page.evaluate(RECORD, 30)
    await shop.passes_until(lambda: len(shop.what()) >= 31)
    assert {item for item, _ in await shop.so_far()} == {"top", "hat"}
    assert (told, shop.errors) == (["Event too large"], [])


async def test_a_clock_that_is_wrong_costs_nothing(open_shop: Open) -> None:
    """The browser's is at the turn of the millennium."""
    shop = await open_shop(since=946_684_800.0)
    await shop.page.click("#in-top")
    await shop.passes(3000)
    (event, *_) = await shop.recorded(("top", "click"))
    assert abs(event.timestamp.seconds - time.time()) < 120


@pytest.mark.parametrize(
    "lacking",
    ["IntersectionObserver", "MutationObserver", "fetch", "crypto", "navigator", "document"],
)
async def test_a_browser_that_lacks_something_has_its_page_all_the_same(open_shop: Open, lacking: str) -> None:
    """Nothing of it reaches the page."""
    shop = await open_shop(lacking=lacking)
    await shop.page.click("#in-top")
    await shop.passes(8000)
    await shop.leave()
    assert shop.errors == []


async def test_a_page_of_elsewhere_records_nothing(open_shop: Open) -> None:
    """And goes on."""
    shop = await open_shop(http_origins=("https://shop.example",))
    await shop.page.click("#in-top")
    async with shop.page.expect_event("requestfailed"):
        await shop.passes(3000)
    await shop.leave()
    assert (shop.log.events, shop.errors) == ([], [])


async def test_the_pixel_is_an_image(open_shop: Open) -> None:
    """A browser shows it, one by one, and its event is in the log."""
    shop = await open_shop()
    size = await shop.page.evaluate(
        "async src => { const image = new Image(); image.src = src; await image.decode(); return image.naturalWidth; }",
        f"{shop.pixel}?user_id=ann&item_id=mail&interaction=impression&channel=email",
    )
    await shop.recorded(("mail", "impression"))
    assert (size, len(GIF)) == (1, 43)


async def test_by_the_browsers_own_clock(open_shop: Open) -> None:
    """Nothing is driven: one item stays in sight, one flashes by, one is clicked, and then the page is left."""
    shop = await open_shop(since=None)
    await shop.look("middle")
    await shop.look("bottom")
    await shop.recorded(("bottom", "impression"))
    await shop.look("top")
    await shop.page.click("#in-top")
    await shop.leave()
    await shop.recorded(("top", "click"))
    assert ("middle", "impression") not in shop.what()


async def _show(shop: Shop, item: str, request: str = "r-1") -> None:
    """The page's first item is another one, in the same element; returns once the script has noticed."""
    show = "shown => { Object.assign(document.querySelector('div').dataset, shown); }"
    await shop.page.evaluate(show, {"tsItem": item, "tsRequest": request})
    await shop.passes(100)
    await shop.look()


def _seen(shop: Shop) -> list[tuple[str, str]]:
    """Impressions: item and request, each id once."""
    once = {event.event_id: event for event in shop.log.events}
    return [(one.item_id, one.request_id) for one in once.values() if one.interaction == pb.INTERACTION_IMPRESSION]


async def _hide(shop: Shop, *, hidden: bool) -> None:
    await shop.page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
