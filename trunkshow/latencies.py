"""How long a replica lately took to answer, by kind of asking: its tail and its median."""

from __future__ import annotations

from collections import deque
from enum import IntEnum, auto

RECENT_ANSWERS_MAX = 256
"""Answers of one replica and kind that its tail is taken over."""

RECENT_ANSWERS_MIN = 20
"""Below them there is no tail to speak of."""

_RENEWED_EVERY = 16
"""Answers between two looks at the window: sorting it for every answer would cost more than it tells."""

TAIL = 0.95
"""The quantile that is looked at, where nobody says otherwise."""


class Kind(IntEnum):
    """Askings whose times can be compared; a number, since what is kept by them is looked up for every asking."""

    ONE = auto()
    """A user's home."""
    WAITING = auto()
    """The same for a request that may wait there for events that are to be in its slate (`at_least_as_fresh`)."""
    SEVERAL = auto()
    """Several partitions for a user who is folded in."""
    STAND_IN = auto()
    """The compact copy of a user, and the partitions near it."""


class Latencies:
    """A replica's recent answers of one kind.

    Args:
        tail: the quantile that is meant by it.

    Attributes:
        tail_ms: of the window, renewed every 16 answers; 0 while there are fewer than 20.
        median_ms: the same of the median.
        answers: seen, the ones that left the window included.
        renewed: the figures are as of the latest answer.
    """

    def __init__(self, tail: float = TAIL) -> None:
        self.tail_ms = 0.0
        self.median_ms = 0.0
        self.answers = 0
        self.renewed = False
        self._tail = tail
        self._window: deque[float] = deque(maxlen=RECENT_ANSWERS_MAX)

    def add(self, ms: float) -> None:
        """One answer took so long."""
        self._window.append(ms)
        self.answers += 1
        answers = self.answers
        self.renewed = answers == RECENT_ANSWERS_MIN or (answers > RECENT_ANSWERS_MIN and answers % _RENEWED_EVERY == 0)
        if self.renewed:
            ordered = sorted(self._window)
            self.tail_ms = ordered[int(self._tail * (len(ordered) - 1))]
            self.median_ms = ordered[len(ordered) // 2]
