"""Logs: one line of JSON per event on stderr, dotted event names, key–values; colours on a person's terminal.

No line holds a user's id unless the operator asks for that: events name none, and of an exception only its class and
the lines of code are told, since its message or a local variable may be anything. What a caller chooses as a request
id is the caller's affair.

Request ids are bound explicitly by who logs (`request_id=call.request_id`): a context variable per request
would be paid for by every request, and hardly any of them logs.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

from trunkshow.serving.deadline import Clock, monotonic

Level = Literal["debug", "info", "warning", "error"]

_LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Stderr:
    """Standard error, whichever it is at the moment: a replacement that was closed ends no logging."""

    def write(self, text: str) -> int:
        """Write."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush."""
        sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return sys.stderr.isatty()


def configure(level: Level = "info", *, stream: TextIO | None = None, user_ids: bool = False, **bound: str) -> None:
    """Set up logging for this process: ours through structlog, libraries' through the same renderer.

    Args:
        level: below it, nothing is rendered.
        stream: where to; stderr where not given.
        user_ids: tell exceptions' messages, too, which may hold them.
        **bound: key–values on every line, such as the process's role.
    """
    target = stream or cast("TextIO", _Stderr())
    person = target.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not person),
    ]
    rendered: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback if user_ids else _frames)]
        if person
        else [_TRACEBACKS, *([] if user_ids else [_untold]), structlog.processors.JSONRenderer(default=repr)]
    )
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    if bound:
        structlog.contextvars.bind_contextvars(**bound)
    _adopt_stdlib(target, [*shared, *([] if user_ids else [_first_words])], rendered)


# Without the frames' local variables, which structlog tells by default: requests are among them, and credentials.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
_MESSAGES = ("exc_value", "exc_notes")
_UP_TO_A_VALUE = re.compile(r"(?:[^(<\n]|\(\))*(?:<[^(\n]*)?")


def _untold(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event without the messages of its exceptions."""
    if "exception" in event:
        event["exception"] = _without_messages(event["exception"])
    return event


def _first_words(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What asyncio says in words of its own: not what a task or a callback was given, returned or raised."""
    record = event["_record"]
    if record.name == "asyncio":
        fixed = record.levelno < logging.ERROR or record.msg != event["event"]
        event["event"] = record.msg if fixed else _said(event["event"])
    return event


def _said(text: str) -> str:
    """Of a loop's report on what failed, all up to the first value; empty brackets are a function's name."""
    told = _UP_TO_A_VALUE.match(text)
    return told[0].rstrip() if told else ""


def _without_messages(told: Any) -> Any:
    if isinstance(told, list):
        return [_without_messages(one) for one in told]
    if isinstance(told, dict):
        return {key: _without_messages(value) for key, value in told.items() if key not in _MESSAGES}
    return told


def _frames(target: TextIO, raised: Any) -> None:
    """An exception for a person's terminal, without its message."""
    kind, _, trace = raised
    target.write("".join((*traceback.format_tb(trace), kind.__name__)))


class Throttle:
    """Lets one of many equal events through per interval, and counts the rest.

    A shard that is gone fails every request for it; one line a second says so as well as a thousand.
    """

    def __init__(self, interval_s: float = 1.0, clock: Clock = monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._next = 0.0
        self._held_back = 0

    def admit(self) -> int | None:
        """How many were held back since the last one let through; None where this one is held back too."""
        now = self._clock()
        if now < self._next:
            self._held_back += 1
            return None
        held_back, self._held_back, self._next = self._held_back, 0, now + self._interval_s
        return held_back

    def log(self, say: Callable[..., Any], event: str, **details: Any) -> None:
        """Log an event unless it is held back; `like_these` says how many were before it."""
        if (held_back := self.admit()) is not None:
            say(event, **details, like_these=held_back)


def _adopt_stdlib(target: TextIO, shared: list[Any], rendered: list[Any]) -> None:
    """What libraries log through `logging` (gRPC does) comes out in the same form."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
