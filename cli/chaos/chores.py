"""What goes on beside everything else, each by its name: a fault that lasts, a swap every minute."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


class Chores:
    """Work that was begun, until it is done or stopped."""

    def __init__(self) -> None:
        self._begun: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else."""
        self._begun[name] = asyncio.create_task(work)

    async def done(self, name: str) -> None:
        """Wait for what was begun under this name; raise what it raised."""
        await self._begun.pop(name)

    async def stop(self, name: str) -> None:
        """End what was begun under this name, if anything was; raise what it had ended with by itself."""
        task = self._begun.pop(name, None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def stop_all(self) -> None:
        """End everything, whatever it had ended with."""
        await asyncio.gather(*map(self.stop, tuple(self._begun)), return_exceptions=True)
