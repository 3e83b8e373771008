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
DONE = "Task <Task finished name='Task-9' coro=<answer() done, at line.py:9> result='user-0017'> has errored out"
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


def said(text: str, *values: object, user_ids: bool = False, level: int = logging.ERROR) -> str:
    """What the log has of it."""
    written = io.StringIO()
    telemetry.configure("info", stream=written, user_ids=user_ids)
    try:
        raise ValueError("user-0017")
    except ValueError:
        logging.getLogger("asyncio").log(level, text, *values, exc_info=level == logging.ERROR)
    return written.getvalue()


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (LOST, "Task exception was never retrieved"),
        (CALLED, "Exception in callback Line.answered"),
        (DONE, "Task <Task finished name='Task-9' coro=<answer"),
    ],
)
def test_a_lost_task_is_told_without_what_it_raised(text: str, event: str) -> None:
    """Where it happened is in the traceback."""
    told = said(text)
    line = json.loads(told)
    assert (line["event"], line["exception"][0]["exc_type"]) == (event, "ValueError")
    assert "user-0017" not in told


@pytest.mark.parametrize(
    "text", ["socket.send() raised exception.", "pipe closed by peer or os.write(pipe, data) raised exception."]
)
def test_a_warning_is_told_in_full(text: str) -> None:
    """There is no value in it, but the names of functions."""
    assert json.loads(said(text, level=logging.WARNING))["event"] == text


def test_a_function_that_was_given_nothing_is_told_with_its_place() -> None:
    """Empty brackets hide nothing."""
    assert json.loads(said("Exception in callback Line.end() at line.py:9"))["event"].endswith(
        "Line.end() at line.py:9"
    )


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_of_a_text_with_values_the_text_is_told(level: int) -> None:
    """Each of them may be anything."""
    told = said("Loop %r of %r is closed", "user-0017", 7, level=level)
    assert json.loads(told)["event"] == "Loop %r of %r is closed"
    assert "user-0017" not in told


def test_whoever_asks_for_user_ids_is_told_all_of_it() -> None:
    """As of our own events."""
    assert json.loads(said(LOST, user_ids=True))["event"] == LOST
