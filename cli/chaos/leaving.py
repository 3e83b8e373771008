"""Strangers who leave a shop for good, and ask to be forgotten once all that they did was answered for.

What is written after a tombstone is somebody new's, so of who leaves nothing may be under way, or be held back to be
sent again. Whom the snapshot knows does not leave: others ask for them, and count on their being known. What is right
of who was forgotten a `Ledger` knows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from cli.chaos.ledger import Ledger
from trunkshow.errors import TrunkshowError
from trunkshow.events import Event

WITHIN_MS = 1_500.0
AGAIN_AFTER_S = 1.0


class Forgets(Protocol):
    """Who is told that somebody wants to be forgotten."""

    async def forget(self, user_id: str, *, deadline_ms: float) -> object:
        """Forget them.

        Raises:
            TrunkshowError: it is not known whether they are.
        """
        ...


class Leaving:
    """Those who are about to.

    Args:
        ledger: of everything.
        client: asks a router.
    """

    def __init__(self, ledger: Ledger, client: Forgets) -> None:
        self._ledger = ledger
        self._client = client
        self._open: Counter[str] = Counter()  # tries under way or to come
        self._leaving: list[str] = []

    def opened(self, events: Iterable[Event]) -> None:
        """These are under way, or held back."""
        self._open.update(event.user_id for event in events)

    def closed(self, events: Iterable[Event]) -> None:
        """These are not any more; before that, those of them that are held back were told."""
        for event in events:
            self._open[event.user_id] -= 1
            if not self._open[event.user_id]:
                del self._open[event.user_id]

    def leaves(self, user: str) -> None:
        """Somebody has done the last that they do."""
        self._leaving.append(user)

    def ready(self) -> list[str]:
        """Who may ask now; each is told once."""
        ready = [user for user in self._leaving if user not in self._open]
        self._leaving = [user for user in self._leaving if user in self._open]
        return ready

    async def forget(self, user: str) -> None:
        """Ask until it is done."""
        self._ledger.asks_to_be_forgotten(user)
        while True:
            try:
                await self._client.forget(user, deadline_ms=WITHIN_MS)
            except TrunkshowError:
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            self._ledger.forgotten(user)
            return
