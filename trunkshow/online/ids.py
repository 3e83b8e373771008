"""Which events were heard already, by their ids; and of which nobody here could tell any more.

Two generations: where the younger is as old as ids are to be kept, or full, it becomes the elder, and the elder goes. A
generation is tables of 64-bit numbers with open addressing, each twice as large as the one before, so that nothing is
ever moved to make room: at most 24 bytes for an id, 200 MiB in all; a day of ten events a second takes 20 to 40 MiB.

An event keeps its timestamp when it is sent again, and a router takes none from further in the future than clocks may
be fast. So whatever happened after the last id that went was received is known if it came before; what happened earlier
may be one of those that went (`doubts`). Who counts leaves that out, and so counts nothing twice, however late it
comes. An event that was sent without a timestamp got that of its receipt, another one each time: it is known by its id
alone.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from trunkshow.eventlog.validation import FUTURE_S_MAX
from trunkshow.v1 import events_pb2

IDS_MAX = 4_000_000
"""Of a generation: an hour of 1,100 events a second, or half an hour of 2,200."""

KEPT_S = 86_400.0
"""For so long an id is kept unless somebody chose otherwise: a phone that was offline over night is heard in full."""

AHEAD_MS = round(FUTURE_S_MAX * 1000) + 60_000
"""By so much an event may have happened later than it was received: what routers take, and by how much two of them may
differ in what time it is."""

LEAST = 1 << 14

_BITS = (1 << 64) - 1


def id_of(event: events_pb2.Event) -> tuple[str, str]:
    """What an event is known by: a user's own ids, so that nobody else's event stands in the way of theirs."""
    return event.user_id, event.event_id


class Table:
    """A set of 64-bit numbers other than 0, of a fixed size.

    Args:
        slots: a power of two, of which two thirds are used.
    """

    def __init__(self, slots: int) -> None:
        self.slots, self.room = slots, slots * 2 // 3
        self._keys = memoryview(np.zeros(slots, np.uint64))  # type: ignore[arg-type]

    def find(self, key: int) -> int:
        """Where a number is, or -1 - where it would be."""
        keys, mask = self._keys, self.slots - 1
        at = key & mask
        while known := keys[at]:
            if known == key:
                return at
            at = at + 1 & mask
        return -1 - at

    def put(self, at: int, key: int) -> None:
        """Put one where it would be."""
        self._keys[at] = key
        self.room -= 1


class KnownIds:
    """The ids of events that were heard.

    Args:
        kept_s: seconds for which an id is kept at least, where `IDS_MAX` allows.
    """

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_ms = kept_s * 1000
        self._lately = [Table(LEAST)]
        self._before: list[Table] = []
        self._count = 0
        self._since_ms = 0
        self._newest_ms = self._newest_before_ms = self._gone_ms = 0  # received: of either generation, of what went

    def is_new(self, event_id: Hashable, time_ms: int, now_ms: int) -> bool:
        """Whether an event was certainly not heard before; from now on it was.

        Args:
            event_id: of it, with its user (`id_of`).
            time_ms: when it happened, milliseconds since the epoch.
            now_ms: when it was recorded.
        """
        if self._count >= IDS_MAX or now_ms - self._since_ms >= self._kept_ms:
            self._turn(now_ms)
        if self.doubts(time_ms):
            return False
        key = hash(event_id) & _BITS or 1
        for table in self._before:
            if table.find(key) >= 0:
                return False
        found = 0
        for table in self._lately:
            found = table.find(key)
            if found >= 0:
                return False
        table = self._lately[-1]
        if not table.room:
            table = Table(2 * table.slots)
            self._lately.append(table)
            found = table.find(key)
        table.put(-1 - found, key)
        self._count += 1
        if now_ms > self._newest_ms:
            self._newest_ms = now_ms
        return True

    def doubts(self, time_ms: int) -> bool:
        """Whether an event that happened then may be one whose id went."""
        return 0 < self._gone_ms >= time_ms - AHEAD_MS

    def __len__(self) -> int:
        return sum(table.slots * 2 // 3 - table.room for table in (*self._before, *self._lately))

    def _turn(self, now_ms: int) -> None:
        """The younger generation is the elder from now on."""
        slots = LEAST
        while slots < self._count:  # most shops have as much in a day as in the one before
            slots *= 2
        self._gone_ms = max(self._gone_ms, self._newest_before_ms)
        self._newest_before_ms, self._newest_ms = self._newest_ms, 0
        self._before, self._lately = self._lately, [Table(slots)]
        self._count, self._since_ms = 0, max(now_ms, self._since_ms)
