"""Closing what a request may still be reading: not before every request that began while it was open has ended.

A closed LMDB file under a record that views it is not an error but a crash. Requests take a ticket; what is given up is
closed once all tickets are back that were out at that moment. All of this happens on the event loop.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Uses:
    """Who may be reading, and what waits for them to end."""

    def __init__(self) -> None:
        self._era = 0
        self._reading: Counter[int] = Counter()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever is open when the block is entered stays open until it is left."""
        era = self._era
        self._reading[era] += 1
        try:
            yield
        finally:
            self._reading[era] -= 1
            if not self._reading[era]:
                del self._reading[era]
                self._close_what_may()

    def close(self, close: Callable[[], None]) -> None:
        """Call `close` once nobody who reads now does any more; at once where nobody does."""
        self._waiting.append((self._era, close))
        self._era += 1
        self._close_what_may()

    @property
    def waiting(self) -> int:
        """How much is still to be closed."""
        return len(self._waiting)

    def _close_what_may(self) -> None:
        oldest = min(self._reading, default=self._era)
        while self._waiting and self._waiting[0][0] < oldest:
            self._waiting.popleft()[1]()
