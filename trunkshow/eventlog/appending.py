"""What every adapter does around an append: no more than so many at a time, and everything is counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from trunkshow.eventlog.log import LogFull, LogUnavailable
from trunkshow.serving import metrics

APPENDED = metrics.counter("trunkshow_log_events_appended_total", "Events that the event log acknowledged.")
FAILED = metrics.counter("trunkshow_log_appends_failed_total", "Appends that it did not, by reason.", ("reason",))
APPEND_SECONDS = metrics.histogram(
    "trunkshow_log_append_duration_seconds", "From an append to its acknowledgement by the event log."
)
IN_FLIGHT = metrics.gauge("trunkshow_log_appends_in_flight", "Appends that wait for the event log now.")
_UNAVAILABLE, _FULL = FAILED.labels("unavailable"), FAILED.labels("full")


class Gate:
    """Lets so many appends, and so many bytes of them, be under way, and refuses the next one at once.

    Args:
        appends_max: at a time.
        bytes_max: at a time; one that is larger still goes alone.
    """

    def __init__(self, appends_max: int, bytes_max: int) -> None:
        self._appends_max = appends_max
        self._bytes_max = bytes_max
        self._appends = 0
        self._bytes = 0

    @contextmanager
    def passed(self, events: int, size: int) -> Iterator[None]:
        """While an append is under way.

        Raises:
            LogFull: there are too many.
        """
        if self._appends >= self._appends_max or (self._bytes and self._bytes + size > self._bytes_max):
            _FULL.inc()
            raise LogFull(
                f"{self._appends} appends of {self._bytes} bytes are under way; "
                f"at most {self._appends_max} of {self._bytes_max} may be"
            )
        began = time.perf_counter()
        self._count(1, size)
        try:
            yield
        except BaseException as error:
            if isinstance(error, LogUnavailable):
                (_FULL if isinstance(error, LogFull) else _UNAVAILABLE).inc()
            raise
        else:
            APPENDED.inc(events)
            APPEND_SECONDS.observe(time.perf_counter() - began)
        finally:
            self._count(-1, -size)

    def _count(self, appends: int, size: int) -> None:
        self._appends += appends
        self._bytes += size
        IN_FLIGHT.inc(appends)
