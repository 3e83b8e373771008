"""A shop's page in a real browser, with the script of a real listener in it; the log is one in memory. Not a test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from memory_log import MemoryLog
from playwright.async_api import Browser, Page, Playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from router.recording.recorder import Recorder
from router.tracking import script
from router.tracking.app import Tracking
from router.tracking.gate import Gate
from router.tracking.intake import Intake
from router.tracking.listener import Listener
from router.tracking.options import TrackingOptions
from trunkshow.eventlog.validation import Policy
from trunkshow.v1 import events_pb2 as pb

HERE = "127.0.0.1:0"
PATIENCE_S = 60.0
EVERY_S = 0.01
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ITEM = '<div data-ts-item="{0}" data-ts-request="r-1" data-ts-carousel="for-you" data-ts-position="{1}"'
HTML = (
    "<!doctype html><title>shop</title><body style='margin:0'>"
    + ITEM.format("top", 0)
    + " style='height:100px'><a id=in-top>a hat</a></div><div style='height:4000px'></div>"
    + ITEM.format("middle", 1)
    + " style='height:100px'></div><div style='height:4000px'></div>"
    + ITEM.format("bottom", 2)
    + " style='height:100px'></div><script async src='{script}' data-user='ann' {data}></script>"
)
IN_SIGHT = """() => new Promise(done => {
  const eyes = new IntersectionObserver(() => { eyes.disconnect(); done(); });
  eyes.observe(document.querySelector("[data-ts-item]"));
})"""
"""Observers are told in the order in which they were made: once this one was, the script's has been."""


def chromium() -> str | None:
    """Where the system's browser is; none is downloaded."""
    named = os.environ.get("TRUNKSHOW_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@asynccontextmanager
async def browsing(playwright: Playwright, path: str) -> AsyncIterator[Browser]:
    """A browser of its own, with a profile of its own."""
    browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
    try:
        yield browser
    finally:
        await browser.close()


async def until(true: Callable[[], bool]) -> None:
    """Return once it is; fail where it is not for long."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(EVERY_S)


class Shop:
    """A page, and who listens to it.

    Attributes:
        log: where its events go.
        page: in the browser.
        sent: the bodies that it sent, read.
        bytes: of each of them.
        errors: what reached the page.
    """

    def __init__(self, page: Page, scripted: bytes, data: str) -> None:
        self.log = MemoryLog()
        self.page = page
        self.sent: list[dict[str, Any]] = []
        self.bytes: list[int] = []
        self.errors: list[str] = []
        self._scripted = scripted
        self._data = data
        self._listeners: list[Listener] = []
        self._shop = self._tracker = 0
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note)

    async def start(self, **chosen: Any) -> None:
        """Listen."""
        routes = [Route("/", self._home), Route("/script.js", self._script), Route("/elsewhere", self._elsewhere)]
        self._shop = await self._listen(Listener(Starlette(routes=routes), connections_max=64))
        options = TrackingOptions(**{"http_origins": (f"http://127.0.0.1:{self._shop}",), **chosen})
        intake = Intake(Recorder(self.log, Policy(age_s_max=86_400)), Gate(options), None, deadline_ms=2000)
        app = Tracking(intake, options.http_origins, options.http_body_bytes_max).app()
        self._tracker = await self._listen(Listener(app, connections_max=64))

    async def stop(self) -> None:
        """Stop."""
        for one in self._listeners:
            await one.stop()

    async def visit(self) -> None:
        """Open the page with all that is in it, and see what is at its top."""
        await self.page.goto(f"http://127.0.0.1:{self._shop}/")
        await self.look()

    async def leave(self) -> None:
        """Go to another page of the shop's."""
        await self.page.goto(f"http://127.0.0.1:{self._shop}/elsewhere")

    async def look(self, at: str = "") -> None:
        """Scroll an item into view, where one is named; and let the browser notice what is in sight."""
        if at:
            await self.page.evaluate("item => document.querySelector(`[data-ts-item=${item}]`).scrollIntoView()", at)
        await self.page.evaluate(IN_SIGHT)

    async def passes(self, ms: int) -> None:
        """Let time pass in the page."""
        await self.page.clock.run_for(ms)

    async def passes_until(self, true: Callable[[], bool]) -> None:
        """Let time pass in the page, a second at a time, until it is true; the network's time is another one."""
        end = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < end, "it did not come true"
            await self.passes(1000)

    async def recorded(self, *expected: tuple[str, str]) -> Sequence[pb.Event]:
        """The log's events, once these are among them, item and interaction; each id once."""
        await until(lambda: set(expected) <= set(self.what()))
        return list({event.event_id: event for event in self.log.events}.values())

    async def so_far(self) -> list[tuple[str, str]]:
        """What is in the log of all that the page had to say until now."""
        end = (f"end-{len(self.log.events)}", "view")
        await self.page.evaluate("item_id => trunkshow.record({item_id, interaction: 'view'})", end[0])
        await self.passes_until(lambda: end in self.what())
        return [one for one in self.what() if one[1] != end[1]]

    def what(self) -> list[tuple[str, str]]:
        """What is in the log, each id once."""
        once = {event.event_id: event for event in self.log.events}
        return [(one.item_id, pb.Interaction.Name(one.interaction)[12:].lower()) for one in once.values()]

    @property
    def pixel(self) -> str:
        """The address of the tracker's pixel."""
        return f"http://127.0.0.1:{self._tracker}/p.gif"

    async def _listen(self, listener: Listener) -> int:
        port = await listener.start(HERE)
        self._listeners.append(listener)
        return port

    def _note(self, request: Any) -> None:
        if request.method == "POST" and request.post_data:
            self.sent.append(json.loads(request.post_data))
            self.bytes.append(len(request.post_data_buffer))

    async def _home(self, request: Request) -> Response:
        data = f"data-url='http://127.0.0.1:{self._tracker}/v1/events' {self._data}"
        return HTMLResponse(HTML.format(script="/script.js", data=data))

    async def _script(self, request: Request) -> Response:
        return Response(self._scripted, media_type="text/javascript")

    async def _elsewhere(self, request: Request) -> Response:
        return HTMLResponse("elsewhere")


SERVED = bytes(script.RESPONSE.body)
