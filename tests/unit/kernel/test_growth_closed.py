"""A snapshot that is closed ends its own reading of new items, and nobody else's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from followed_log import FollowedLog

from trunkshow.online.growth import Growth
from trunkshow.snapshot.reader import Snapshot


def opened(version: str) -> Snapshot:
    """As much of a snapshot as is read for."""
    catalogue: Any = SimpleNamespace(additions=())
    return cast("Snapshot", SimpleNamespace(version=version, likeness=None, catalogue=catalogue))


async def reads(log: FollowedLog, count: int) -> None:
    """Return once the log was followed so many times."""
    async with asyncio.timeout(10):
        while len(log.reads) < count:  # noqa: ASYNC110 - the reader is not ours
            await asyncio.sleep(0.001)


async def test_a_snapshot_that_is_closed_ends_nothing_but_its_own_reading() -> None:
    """A process whose version is rolled back goes on to read for those that are open, and for those that come."""
    log = FollowedLog()
    growth = Growth(log)
    running = asyncio.ensure_future(growth.run())
    growth.only({"v1": opened("v1"), "v2": opened("v2")})
    await reads(log, 2)
    growth.dismiss("v2")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    growth.admit(opened("v3"))
    await reads(log, 3)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
