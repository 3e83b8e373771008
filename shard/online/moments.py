"""What time it is, for what is counted over the log: by its records and a monotonic clock, not by one wall clock.

A wall clock can be set: forward by mistake, and back again. What had counted until a moment that never came would be
blind until it really came. So the moment is when this process began, by its wall clock, and what a monotonic clock
says has passed since; it is put right only by two that agree, the wall clock here and a router's, which told when the
newest record was received:

- forward, where a record was received later than that, as far as the wall clock here says so too;
- back, where both are behind it by more than `BACK_MS`. By less it waits for them.

A record of the log's past moves nothing: the wall clock here is not behind.
"""

from __future__ import annotations

from trunkshow.serving.deadline import Clock

BACK_MS = 60_000

_MS = 1000


class Moments:
    """The moment.

    Args:
        clock: a port: monotonic seconds.
        wall: a port: seconds since the epoch.
    """

    def __init__(self, clock: Clock, wall: Clock) -> None:
        self._clock, self._wall = clock, wall
        self._was_ms, self._since_s = round(wall() * _MS), clock()

    def now_ms(self) -> int:
        """Now, milliseconds since the epoch."""
        return self._was_ms + round((self._clock() - self._since_s) * _MS)

    def heard(self, received_ms: int | None) -> int:
        """When a record was received, as far as that can be believed; None where it does not say."""
        now_ms, wall_ms = self.now_ms(), round(self._wall() * _MS)
        said_ms = min(wall_ms if received_ms is None else received_ms, max(wall_ms, now_ms))
        right_ms = max(said_ms, wall_ms) if said_ms <= now_ms else said_ms
        if said_ms > now_ms or right_ms < now_ms - BACK_MS:
            self._was_ms, self._since_s = right_ms, self._clock()
        return said_ms
