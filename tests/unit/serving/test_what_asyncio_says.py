"""What asyncio says of a task that nobody waited for is told, and no user's id with it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from trunkshow.serving import telemetry

LOST = "Task exception was never retrieved\nfuture: <Task finished name='Task-9' exception=ValueError('user-0017')>"
CALLED = "Exception in callback Line.answered(b'user-0017') at line.py:9\nhandle: <Handle Line.answered(b'user-0017')>"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's: whoever comes next finds it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def said(text: str, *, user_ids: bool) -> str:
    """What the log has of it."""
    written = io.StringIO()
    telemetry.configure("info", stream=written, user_ids=user_ids)
    try:
        raise ValueError("user-0017")
    except ValueError:
        logging.getLogger("asyncio").error(text, exc_info=True)
    return written.getvalue()


@pytest.mark.parametrize(
    ("text", "event"),
    [(LOST, "Task exception was never retrieved"), (CALLED, "Exception in callback Line.answered")],
)
def test_a_lost_task_is_told_without_what_it_raised(text: str, event: str) -> None:
    """Where it happened is in the traceback."""
    told = said(text, user_ids=False)
    line = json.loads(told)
    assert (line["event"], line["exception"][0]["exc_type"]) == (event, "ValueError")
    assert "user-0017" not in told


def test_whoever_asks_for_user_ids_is_told_all_of_it() -> None:
    """As of our own events."""
    assert json.loads(said(LOST, user_ids=True))["event"] == LOST
