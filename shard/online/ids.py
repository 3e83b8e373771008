"""Which events were heard lately, by their ids: for an hour at least, or the `IDS_MAX` newest where that are fewer.

Two generations: where the younger is an hour old, or full, it becomes the elder, and the elder goes. A generation is
tables of 64-bit numbers with open addressing, each twice as large as the one before, so that nothing is ever moved to
make room: at most 24 bytes for an id, 200 MiB in all; a shop with ten events a second takes 2 MiB.
"""

from __future__ import annotations

import numpy as np

IDS_MAX = 4_000_000
"""Of a generation: an hour of 1,100 events a second, or half an hour of 2,200."""

KEPT_MS = 3_600_000
LEAST = 1 << 14

_BITS = (1 << 64) - 1


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
    """The ids of events that were heard."""

    def __init__(self) -> None:
        self._lately = [Table(LEAST)]
        self._before: list[Table] = []
        self._count = 0
        self._since_ms = 0

    def is_new(self, event_id: str, now_ms: int) -> bool:
        """Whether an event was not heard before, as of when it was recorded; from now on it was."""
        if self._count >= IDS_MAX or now_ms - self._since_ms >= KEPT_MS:
            self._turn(now_ms)
        key = hash(event_id) & _BITS or 1
        if any(table.find(key) >= 0 for table in self._before):
            return False
        found = [table.find(key) for table in self._lately]
        if max(found) >= 0:
            return False
        if not self._lately[-1].room:
            self._lately.append(Table(2 * self._lately[-1].slots))
            found.append(self._lately[-1].find(key))
        self._lately[-1].put(-1 - found[-1], key)
        self._count += 1
        return True

    def __len__(self) -> int:
        return sum(table.slots * 2 // 3 - table.room for table in (*self._before, *self._lately))

    def _turn(self, now_ms: int) -> None:
        """The younger generation is the elder from now on."""
        slots = LEAST
        while slots < self._count:  # most shops have as much in an hour as in the one before
            slots *= 2
        self._before, self._lately = self._lately, [Table(slots)]
        self._count, self._since_ms = 0, max(now_ms, self._since_ms)
