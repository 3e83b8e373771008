"""Hangs up on a stream of answers that says nothing for too long.

A call for a batch has all the time of the batch. One whose shard hangs would use that up for all of its users, whom
others could answer, and keep others' users from being asked for meanwhile. So would one user whose events are waited
for (`at_least_as_fresh`), whom the others of the call need not wait for: each of them is asked for alone then.
"""

from __future__ import annotations

from typing import Protocol

from router.asking.terms import SetTimer, Timer

SILENT_S_MAX = 0.5
"""For one answer: the most that a shard waits for plugged-in models, and as much again several times over."""


class Stream(Protocol):
    """As much of a call as matters here."""

    def cancel(self) -> bool:
        """Hang up."""
        ...


class Silence:
    """Of one stream.

    Args:
        call: that is hung up on.
        set_timer: a port.

    Attributes:
        was_too_long: it was hung up on.
    """

    def __init__(self, call: Stream, set_timer: SetTimer) -> None:
        self.was_too_long = False
        self._call = call
        self._set_timer = set_timer
        self._timer: Timer | None = None

    def begins(self) -> None:
        """An answer is waited for."""
        self._timer = self._set_timer(SILENT_S_MAX, self._hang_up)

    def ends(self) -> None:
        """It is there, or will not come."""
        if self._timer is not None:
            self._timer.cancel()

    def _hang_up(self) -> None:
        self.was_too_long = True
        self._call.cancel()
