"""The rounds of whoever looks after versions: a look every so often, without end.

Nothing that goes wrong in a look ends them: it is logged, and looked at again. What is looked at is
`router.trials.conductor`'s and `router.trials.recall`'s to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Never

import structlog

LOOK_EVERY_S = 0.25

MOVE_WITHIN_S = 30.0
"""For a move of the store's pointer; a store may hang."""

RETRY_S = 2.0
"""Between two attempts to tell a store that does not answer."""

Sleep = Callable[[float], Awaitable[None]]

log = structlog.get_logger()


async def rounds(look: Callable[[], Awaitable[None]], sleep: Sleep, *, failed: str) -> Never:
    """Look until cancelled.

    Args:
        look: does what is to be done now.
        sleep: between two looks.
        failed: what the log calls it when a look raises.
    """
    while True:
        try:
            await look()
        except Exception as error:
            log.error(failed, exc_info=error)
        await sleep(LOOK_EVERY_S)
