"""What runs beside a server's answering is missed once it has come to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Never, cast

import pytest
from structlog.testing import capture_logs

from trunkshow.serving.tasks import TaskEnded, Tasks


async def raises() -> Never:
    """A bug."""
    raise ZeroDivisionError


async def returns() -> None:
    """A bug, too: it was to go on."""


async def cancels_itself() -> Never:
    """What awaits something cancelled, and does not notice."""
    raise asyncio.CancelledError


async def goes_on() -> Never:
    """As it should be."""
    while True:
        await asyncio.Event().wait()


@pytest.mark.parametrize("work", [raises, returns, cancels_itself])
async def test_whatever_way_a_task_ends_the_process_is_told_and_fails(
    work: Callable[[], Coroutine[Any, Any, Never]],
) -> None:
    """At once, and in the log."""
    ending = asyncio.Event()
    tasks = Tasks()
    tasks.ending = ending.set
    with capture_logs() as logs:
        tasks.begin("work", work())
        await asyncio.wait_for(ending.wait(), 60)
    assert [(one["event"], one["task"]) for one in logs] == [("task.ended", "work")]
    with pytest.raises(TaskEnded, match="work came to an end"):
        tasks.check()


async def test_the_failure_names_its_cause() -> None:
    """A traceback shows both."""
    ending = asyncio.Event()
    tasks = Tasks()
    tasks.ending = ending.set
    tasks.begin("work", raises())
    await asyncio.wait_for(ending.wait(), 60)
    with pytest.raises(TaskEnded) as ended:
        tasks.check()
    assert isinstance(ended.value.__cause__, ZeroDivisionError)


async def test_tasks_that_are_closed_did_not_fail() -> None:
    """That is how a process leaves."""
    tasks = Tasks()
    tasks.ending = cast("Callable[[], object]", lambda: pytest.fail("nothing ended"))
    tasks.begin("work", goes_on())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await tasks.close()
    tasks.check()
    assert logs == []
