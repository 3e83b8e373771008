"""What a client's calls under way, and the answers that came of late, say of its routers: whether one stands still.

A call that is waited for says little by itself: its router may have stopped, or all may have too much to do. What
became of those that were begun later does, and which routers answered them, which receipts tell.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from trunkshow.serving.deadline import Clock, monotonic

ANSWERED_SHARE = 0.15
"""Of the calls begun later than one, how many are answered by the time that others are asked for it. Where one of two
routers stands still it is nearly a half, less those that were begun just now; where everybody waits, next to none."""

FEW = 4
"""Calls begun later that show nothing by being unanswered, and answers that show nothing by being another router's."""

ROUTERS_MAX = 64
"""Whose answers are known; one that is started anew is another."""

SILENT_S = 0.2
"""Without an answer, while others give at least `FEW`, a router is taken for one that stands still: what a slate may
take. Chosen, not measured; that a slow one is taken for it costs no more than the reserve holds."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a router answered of late.

    Attributes:
        at: when it last did,
        number: and which answer of all routers' that was.
        newest: of the calls that it answered, the one begun last.
    """

    at: float
    number: int
    newest: int


class Flow:
    """Calls under way, in the order in which they were begun, and who answered of late.

    Attributes:
        begun: the number of the last one.

    Args:
        clock: a port: monotonic seconds.
    """

    def __init__(self, clock: Clock = monotonic) -> None:
        self.begun = 0
        self._clock = clock
        self._under_way: dict[int, None] = {}
        self._answers = 0
        self._answered: dict[str, _Answered] = {}  # by router; who answered last is last

    def begin(self) -> int:
        """One more; its number."""
        self.begun += 1
        self._under_way[self.begun] = None
        return self.begun

    def end(self, number: int) -> None:
        """It is over."""
        self._under_way.pop(number, None)

    def answered(self, router: str, number: int) -> None:
        """A router answered a call that was begun as this one was."""
        self._answers += 1
        before = self._answered.pop(router, None)
        newest = max(number, before.newest) if before is not None else number
        self._answered[router] = _Answered(self._clock(), self._answers, newest)
        if len(self._answered) > ROUTERS_MAX:
            del self._answered[next(iter(self._answered))]

    def is_one_silent(self, routers: int) -> bool:
        """Whether, of so many routers, one that answered before has been silent for long while others answered."""
        if len(self._answered) < routers:
            return False
        longest = list(self._answered.values())[-routers]
        return self._clock() - longest.at >= SILENT_S and self._answers - longest.number >= FEW

    def passes(self, number: int, routers: int) -> bool:
        """Whether one router may stand still: those that were begun later are answered, and not by all of them.

        Args:
            number: of the call.
            routers: how many there are.
        """
        if sum(1 for router in self._answered.values() if router.newest > number) >= routers:
            return False
        later = self.begun - number
        waiting = sum(1 for _ in itertools.takewhile(lambda one: one > number, reversed(self._under_way)))
        return later < FEW or later - waiting >= ANSWERED_SHARE * later
