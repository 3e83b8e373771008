"""Rounds: a look every so often, without end, that survives whatever a look runs into.

What a look works on was said by others: a store, shards, a name server. If one of them says what nobody foresaw, every
process hears it at once; were each to end by it, all would end together, and be back to hear it again. So it is logged,
with its traceback, counted, and looked at again. That the rounds themselves come to no end is for
`trunkshow.serving.tasks` to watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Never

import structlog

from trunkshow.serving import metrics
from trunkshow.serving.telemetry import Throttle

Sleep = Callable[[float], Awaitable[None]]

TOLD_EVERY_S = 5.0

FAILED = metrics.counter(
    "trunkshow_looks_failed_total", "Looks of a background task that raised what nobody foresaw.", ("event",)
)

log = structlog.get_logger()


async def rounds(
    look: Callable[[], Awaitable[None]], every_s: float, *, failed: str, sleep: Sleep = asyncio.sleep
) -> Never:
    """Look until cancelled.

    Args:
        look: does what is to be done now.
        every_s: between two looks.
        failed: what the log calls it when a look raises.
        sleep: for so many seconds.
    """
    looked = surviving(look, failed)
    while True:
        await looked()
        await sleep(every_s)


def surviving(look: Callable[[], Awaitable[None]], failed: str) -> Callable[[], Coroutine[Any, Any, None]]:
    """A look that raises nothing: what goes wrong in it is counted, and told every now and then.

    Args:
        look: does what is to be done.
        failed: what the log calls it when it raises.
    """
    throttle, count = Throttle(TOLD_EVERY_S), FAILED.labels(failed)

    async def looked() -> None:
        try:
            await look()
        except Exception as error:
            count.inc()
            throttle.log(log.error, failed, exc_info=error)

    return looked
