"""The metrics over HTTP: GET /metrics, one answer per connection, and nothing else.

It stands on a port of its own, so that a network policy can keep callers away from it. It has limits too:
a scraper that dribbles is cut off, and only so many are listened to at a time. What is told is the caller's business:
this process's own numbers, unless it says otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from trunkshow.serving import metrics
from trunkshow.serving.options import UNIX, address

SCRAPE_S_MAX = 5.0
SCRAPERS_MAX = 16
HEADER_BYTES_MAX = 8192

Text = Callable[[], Awaitable[bytes]]
"""What a scrape is answered with, in the text format; made anew for each."""

log = structlog.get_logger()


async def own() -> bytes:
    """The numbers of this process."""
    return metrics.text()


@asynccontextmanager
async def exporting(listen: str, text: Text = own) -> AsyncIterator[int]:
    """Answer scrapes on HOST:PORT or unix:PATH while inside; gives the port, 0 of a path.

    Where `listen` is empty nobody is answered.

    Raises:
        OSError: the address cannot be bound.
    """
    if not listen:
        yield 0
        return
    door = _Door(text)
    if listen.startswith(UNIX):
        path = listen.removeprefix(UNIX)
        server, host, bound = await asyncio.start_unix_server(door.answer, path, limit=HEADER_BYTES_MAX), path, 0
    else:
        host, port = address("metrics_listen", listen)
        server = await asyncio.start_server(door.answer, host, port, limit=HEADER_BYTES_MAX)
        bound = int(server.sockets[0].getsockname()[1])
    log.info("metrics.listening", host=host, port=bound)
    try:
        yield bound
    finally:
        server.close()


class _Door:
    """Lets so many in at a time."""

    def __init__(self, text: Text) -> None:
        self._inside = 0
        self._text = text

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._inside += 1
        try:
            if self._inside <= SCRAPERS_MAX:
                async with asyncio.timeout(SCRAPE_S_MAX):
                    writer.write(await self._response(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            writer.transport.abort()
        finally:
            self._inside -= 1
            writer.close()

    async def _response(self, header: bytes) -> bytes:
        method, _, rest = header.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET" or path != b"/metrics":
            return _http("404 Not Found", b"GET /metrics\n")
        return _http("200 OK", await self._text(), CONTENT_TYPE_PLAIN_0_0_4)


def _http(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
