"""Several things are done at a time until one of them is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def whichever(*works: Coroutine[Any, Any, object]) -> None:
    """Do all of these until one is done, and call the others off; raises what any of them raised."""
    doing = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in doing:
            task.cancel()
        ended = await asyncio.gather(*doing, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
