"""Reads the tombstones beside an event log: all that there are, and what comes, into one set (`forgotten`).

A log that was restored from an older copy is read again from its beginning: what stands where something else stood
before may be a tombstone that nobody here has heard of. How that is told is `lineage`'s business.
"""

from __future__ import annotations

import asyncio
from typing import Never

import structlog

from trunkshow.eventlog.log import EventLog, LogMissing, LogUnavailable, LogWentBack, Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online import lineage
from trunkshow.online.forgotten import Forgotten
from trunkshow.online.turns import Sleep
from trunkshow.serving.whichever import whichever

END_WITHIN_S = 2.0
AGAIN_AFTER_S = 0.2

log = structlog.get_logger()


async def read_all(source: EventLog, within_s: float = END_WITHIN_S) -> Forgotten:
    """All tombstones that there are now.

    Raises:
        LogUnavailable: the log does not answer.
    """
    forgotten = Forgotten()
    try:
        end = await source.end(within_s)
    except LogMissing:  # it is made with the first tombstone, or by the first router
        return forgotten
    async for read in source.read(None, end):
        forgotten.hear(read.record, read.watermark, read.written_ms)
    forgotten.watermark = end if any(end.counts.values()) else forgotten.watermark
    return forgotten


async def following(forgotten: Forgotten, source: EventLog, sleep: Sleep = asyncio.sleep) -> Never:
    """Hear every tombstone, until cancelled; `whole` is set once all that were there in the beginning were heard."""
    async with asyncio.TaskGroup() as both:
        both.create_task(_until_whole(forgotten, source, sleep))
        both.create_task(_hear_all(forgotten, source, sleep))
    raise AssertionError("a log has no end")


async def _hear_all(forgotten: Forgotten, source: EventLog, sleep: Sleep) -> Never:
    while True:
        await whichever(_hear_on(forgotten, source), lineage.found_back(forgotten.trail, source, sleep))
        if back := forgotten.trail.why:  # only now is nothing heard any more
            lineage.tell(source.url, back, "all tombstones are read again; who was heard of stays forgotten")
            forgotten.hear_anew()
        await sleep(AGAIN_AFTER_S)


async def _hear_on(forgotten: Forgotten, source: EventLog) -> None:
    """Hear what comes, until the log cannot be read."""
    try:
        async for read in source.follow(forgotten.watermark):
            _heard(forgotten, read)
    except LogWentBack as error:
        forgotten.trail.why = str(error)
    except LogUnavailable as error:
        log.error("forgotten.unread", error=str(error))


def _heard(forgotten: Forgotten, read: Read) -> None:
    try:
        forgotten.hear(read.record, read.watermark, read.written_ms)
    except Exception as error:  # one record that is no good must not end the hearing of all others
        log.error("forgotten.unreadable", watermark=str(read.watermark), exc_info=error)


async def _until_whole(forgotten: Forgotten, source: EventLog, sleep: Sleep) -> None:
    while True:
        try:
            end = await source.end(END_WITHIN_S)
            break
        except LogMissing:
            end = Watermark("")
            break
        except LogUnavailable:
            pass
        await sleep(AGAIN_AFTER_S)
    forgotten.expect(end)
