"""Tells hearers of a log's records as they are read, event by event, in slices, so that requests get in between."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from trunkshow.eventlog.log import Read
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import position_of
from trunkshow.online.turns import Hearer, Turns
from trunkshow.serving import metrics

EVENTS = metrics.counter("trunkshow_log_events_total", "Events read from the log, replayed ones among them.")
UNREADABLE = metrics.counter("trunkshow_log_records_unreadable_total", "Records that could not be made sense of.")

log = structlog.get_logger()

Moved = Callable[[Watermark | None, Read], None]


async def tell(
    reads: AsyncGenerator[Read, None],
    hearers: Sequence[Hearer],
    before: Watermark | None,
    turns: Turns,
    moved: Moved = lambda before, read: None,
) -> None:
    """Have every record of a stream of them heard.

    Args:
        reads: the stream; it is closed.
        hearers: of each record.
        before: what had been read.
        turns: whose it is.
        moved: told of each record that was heard, and what had been read before it.
    """
    async with aclosing(reads):
        async for read in reads:
            turns.stepped()
            if before is None or not _is_same(before, read.watermark):  # else it came twice
                await _heard(read, before, hearers, turns)
            moved(before, read)
            before = read.watermark
            if turns.is_over():
                await turns.give()


async def _heard(read: Read, before: Watermark | None, hearers: Sequence[Hearer], turns: Turns) -> None:
    for hearer in hearers:
        try:
            for _ in hearer(read.record, position_of(before, read.watermark)):
                if turns.is_over():
                    await turns.give()
        except Exception as error:  # one record that is no good must not end the reading of all others
            UNREADABLE.inc()
            log.error("log.unreadable", watermark=str(read.watermark), exc_info=error)
    EVENTS.inc(len(read.record.events))


def _is_same(one: Watermark, other: Watermark) -> bool:
    return one.log == other.log and one.covers(other) and other.covers(one)
