"""The time that a request has left: a value over a monotonic clock that only ever shrinks.

The deadline on the wire is gRPC's own; this is what it becomes inside, where several steps share it. A step
that may not use all of it gets `reserving` or `shortened`, never a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""A port: seconds on a monotonic clock. Tests pass one that they drive."""

monotonic: Clock = time.monotonic


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """A moment by which an answer must be there.

    Attributes:
        at: seconds on the monotonic clock that it was made with.
    """

    at: float

    @classmethod
    def after(cls, ms: float, now: float) -> Deadline:
        """The moment `ms` milliseconds from now."""
        return cls(now + ms / 1000)

    @classmethod
    def of_call(cls, time_remaining_s: float | None, default_ms: float, now: float) -> Deadline:
        """The caller's own deadline, or `default_ms` where the caller set none or a longer one."""
        default_s = default_ms / 1000
        if time_remaining_s is None or time_remaining_s > default_s:
            return cls(now + default_s)
        return cls(now + time_remaining_s)

    def remaining_ms(self, now: float) -> float:
        """Milliseconds left; never negative."""
        return max(self.at - now, 0.0) * 1000

    def remaining_s(self, now: float) -> float:
        """Seconds left; never negative."""
        return max(self.at - now, 0.0)

    def shortened(self, by_ms: float) -> Deadline:
        """An earlier deadline, by `by_ms`; a negative one changes nothing, since a deadline never grows."""
        return Deadline(self.at - by_ms / 1000) if by_ms > 0 else self

    def reserving(self, reserve_ms: float, now: float) -> Deadline:
        """An earlier deadline that leaves `reserve_ms` for afterwards, but at most half of what is left.

        So a caller in a hurry still gets shards asked, and the shards still leave time to step down.
        """
        return self.shortened(min(reserve_ms, self.remaining_ms(now) / 2))
