"""Logs: one line of JSON per event on stderr, dotted event names, key–values; colours on a person's terminal.

Request ids are bound explicitly by who logs (`request_id=call.request_id`): a context variable per request
would be paid for by every request, and hardly any of them logs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Literal, TextIO

import structlog

from trunkshow.serving.deadline import Clock, monotonic

Level = Literal["debug", "info", "warning", "error"]

_LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(level: Level = "info", *, stream: TextIO | None = None, **bound: str) -> None:
    """Set up logging for this process: ours through structlog, libraries' through the same renderer.

    Args:
        level: below it, nothing is rendered.
        stream: where to; stderr where not given.
        **bound: key–values on every line, such as the process's role.
    """
    target = stream or sys.stderr
    person = target.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not person),
    ]
    rendered: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if person
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(default=repr)]
    )
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    if bound:
        structlog.contextvars.bind_contextvars(**bound)
    _adopt_stdlib(target, shared, rendered)


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
