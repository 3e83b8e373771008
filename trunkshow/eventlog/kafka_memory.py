"""Whether a topic is still the one that was read: which of the records that a reader was given tell that. Pure.

librdkafka connects again by itself. A topic that was restored from an older copy meanwhile keeps its id, and once it
has grown beyond what was read nothing but its records tells it from what it was. So:

1. Of each lane the furthest record is remembered, the one before the reader's first included. Another one there is
   told whenever it comes again, as it does first of all when the reader is attached anew.
2. Every few seconds what was furthest at the look before is looked at again (`kafka_recheck`).
3. When the reader's client says that a broker is gone, what is furthest by then is kept for the next look: what comes
   afterwards may be of another log already, and says nothing of this one.
4. Only another record tells. What was removed, a lane that ends before it (`trunkshow.online.lineage` judges that), and
   brokers that do not answer are no restoration; the last two are looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from trunkshow.eventlog.log import LogWentBack

KEPT_MAX = 4
"""Records of a lane that wait to be looked at; there are several only where brokers go while others do not answer."""


class Stood(NamedTuple):
    """A record as it was given.

    Attributes:
        lane: of it.
        number: of it in the lane, from 1.
        digest: of its bytes, known to this process alone.
    """

    lane: int
    number: int
    digest: int


class Fate(Enum):
    """What stands there now."""

    SAME = 1
    OTHER = 2
    REMOVED = 3


Fates = Mapping[Stood, Fate]
"""Without those of which nothing is known."""


class Memory:
    """What one reader was given of a topic. Pure."""

    def __init__(self) -> None:
        self._log = ""
        self._furthest: dict[int, Stood] = {}
        self._asked_at: dict[int, Stood] = {}
        self._kept: dict[Stood, None] = {}

    def begin(self, log: str) -> None:
        """Reading begins, or goes on; of another log nothing is known."""
        if log != self._log:
            self._log = log
            self._furthest, self._asked_at, self._kept = {}, {}, {}

    def start(self, lane: int, count: int) -> int:
        """How many records of a lane to skip, so that the last one that is known comes again."""
        known = self._furthest.get(lane)
        return max(0, min(count, count if known is None else known.number) - 1)

    def took(self, lane: int, count: int, data: bytes) -> None:
        """A record came.

        Raises:
            LogWentBack: it is another one than stood there.
        """
        known = self._furthest.get(lane)
        if known is None or count > known.number:
            self._furthest[lane] = Stood(lane, count, hash(data))
        elif count == known.number and hash(data) != known.digest:
            raise _went_back(known)

    def doubt(self) -> None:
        """What comes from now on may be of another log."""
        self._keep(self._furthest.values())

    def wanted(self) -> Sequence[Stood]:
        """What to look at now."""
        self._asked_at = dict(self._furthest)
        return tuple(self._kept)

    def looked(self, fates: Fates) -> None:
        """This was found.

        Raises:
            LogWentBack: the log has other records than it had.
        """
        for one, fate in fates.items():
            if fate is Fate.OTHER:
                raise _went_back(one)
            self._kept.pop(one, None)
        self._keep(self._asked_at.values())

    def _keep(self, some: Iterable[Stood]) -> None:
        for one in some:
            if sum(kept.lane == one.lane for kept in self._kept) < KEPT_MAX:
                self._kept[one] = None


def _went_back(one: Stood) -> LogWentBack:
    return LogWentBack(f"lane {one.lane} of the log has another record at {one.number} than it had")
