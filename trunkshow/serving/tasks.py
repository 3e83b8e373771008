"""What a server process does beside answering: tasks that run for as long as the process serves, and are watched.

None of them has an end of its own, so that any end is a bug: an exception, a return, a cancellation that leaked out of
something awaited. A process in which one is missing would look healthy and follow nothing, so

1. the end of a task is logged at once, not when somebody asks the task;
2. `ending` is called, with which a server drains as at a signal (`trunkshow.serving.server`);
3. `check` then raises, so that the process ends with a failure, and whoever supervises it starts it again.

What a task expects to go wrong, such as a store that does not answer, is its own to bear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Never

import structlog

log = structlog.get_logger()


class TaskEnded(RuntimeError):
    """A task that was to run for as long as the process came to an end; its cause is what the task raised."""


class Tasks:
    """The tasks of one process.

    Attributes:
        ending: called when a task has come to an end.
    """

    def __init__(self) -> None:
        self.ending: Callable[[], object] = lambda: None
        self._running: set[asyncio.Task[Never]] = set()
        self._ended: TaskEnded | None = None

    def begin(self, name: str, work: Coroutine[Any, Any, Never]) -> None:
        """Run it until `close`.

        Args:
            name: for the log.
            work: without an end of its own.
        """
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(partial(self._has_ended, name))

    def check(self) -> None:
        """Raise where a task has come to an end.

        Raises:
            TaskEnded: the first one did.
        """
        if self._ended is not None:
            raise self._ended

    async def close(self) -> None:
        """End them all, and wait until they have."""
        running, self._running = self._running, set()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _has_ended(self, name: str, task: asyncio.Task[Never]) -> None:
        if task not in self._running:  # closed
            return
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        why = "it was cancelled" if task.cancelled() else repr(error) if error else "it returned"
        log.critical("task.ended", task=name, why=why, exc_info=error)
        if self._ended is None:
            self._ended = TaskEnded(f"{name} came to an end: {why}")
            self._ended.__cause__ = error
        self.ending()
