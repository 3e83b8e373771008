"""The metrics over HTTP: GET /metrics, one answer per connection, and nothing else.

It stands on a port of its own, so that a network policy can keep callers away from it. It has limits too:
a scraper that dribbles is cut off, and only so many are listened to at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from trunkshow.serving import metrics
from trunkshow.serving.options import address

SCRAPE_S_MAX = 5.0
SCRAPERS_MAX = 16
HEADER_BYTES_MAX = 8192

log = structlog.get_logger()


@asynccontextmanager
async def exporting(listen: str) -> AsyncIterator[int]:
    """Answer scrapes on HOST:PORT while inside; gives the port, 0 where `listen` is empty and nobody is answered.

    Raises:
        OSError: the address cannot be bound.
    """
    if not listen:
        yield 0
        return
    host, port = address("metrics_listen", listen)
    server = await asyncio.start_server(_Door().answer, host, port, limit=HEADER_BYTES_MAX)
    bound = int(server.sockets[0].getsockname()[1])
    log.info("metrics.listening", host=host, port=bound)
    try:
        yield bound
    finally:
        server.close()


class _Door:
    """Lets so many in at a time."""

    def __init__(self) -> None:
        self._inside = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._inside += 1
        try:
            if self._inside <= SCRAPERS_MAX:
                async with asyncio.timeout(SCRAPE_S_MAX):
                    writer.write(_response(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            writer.transport.abort()
        finally:
            self._inside -= 1
            writer.close()


def _response(header: bytes) -> bytes:
    method, _, rest = header.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method != b"GET" or path != b"/metrics":
        return _http("404 Not Found", b"GET /metrics\n")
    return _http("200 OK", metrics.text(), CONTENT_TYPE_PLAIN_0_0_4)


def _http(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
