"""What a caller streams, as it arrives: each request is read when it is asked for, and checked before it is given.

Nothing is read ahead beyond what gRPC's own window lets in: whoever is slow to ask holds the caller back. Once the
server is about to leave, nothing more is read: a stream whose end nobody knows must not use up the time that calls in
flight get, and its caller may send it again, to another server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from trunkshow.serving import statuses


async def arriving(
    requests: AsyncIterator[bytes], check: Callable[[bytes], None], leaving: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    """The requests of a stream.

    Args:
        requests: as gRPC gives them.
        check: raises for one that is refused.
        leaving: once set, nothing more is read.

    Raises:
        Unavailable: the server leaves before the stream's end.
    """
    ending = asyncio.ensure_future(leaving.wait())
    coming: asyncio.Future[Any] = ending
    try:
        while not ending.done():
            coming = asyncio.ensure_future(anext(requests, None))
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                break
            if (request := coming.result()) is None:
                return
            check(request)
            yield request
        raise statuses.draining()
    finally:
        coming.cancel()
        ending.cancel()
