"""A look at what came of events: the log is read, and every user's slate is asked of every router.

What was sent, and what is right of it, a `Ledger` knows. The log is read beside the links that are harmed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from cli.chaos.ledger import Account, Cohort, Ledger
from trunkshow.client import AsyncClient, Reason, Rung
from trunkshow.errors import TrunkshowError
from trunkshow.eventlog.log import LogUnavailable
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import READ_ONLY
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.progress import FRESH_WITHIN_S
from trunkshow.online.weights import SHARES

SLATE_MS = 1_000.0
LOG_WITHIN_S = 2.0
LOOK_EVERY_S = 0.3
ASKED_AT_ONCE = 2
"""Slates. More are a load of their own: with four, two processors were full for half a second or a second after each
fault, and others' answers late (docs/faults.md)."""


class Looker:
    """Looks.

    Args:
        ledger: of who records.
        routers: each one's address.
        log: address of the event log.
    """

    def __init__(self, ledger: Ledger, routers: Iterable[str], log: str) -> None:
        self._ledger = ledger
        self._routers = [AsyncClient(router, deadline_ms=SLATE_MS) for router in routers]
        self._log = open_log(log, READ_ONLY)
        self._read_to: Watermark | None = None
        self._reading = asyncio.Lock()
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)

    async def close(self) -> None:
        """Let go of everything."""
        for router in self._routers:
            await router.close()
        await self._log.close()

    async def settled(self, cohort: Cohort, healed: float, until: float) -> float | None:
        """Seconds after the heal until every slate knew all events; None where that was not seen in time."""
        left = [(router, user) for router in self._routers for user in cohort.users]
        while time.monotonic() < until:
            if self._ledger.is_settled(cohort) and await self._read():
                known = await asyncio.gather(*(self._known(router, user) for router, user in left))
                wanted = [self._ledger.folded(user) for _, user in left]
                left = [one for one, has, wants in zip(left, known, wanted, strict=True) if has != wants]
                if not left:
                    return time.monotonic() - healed
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def account(self, cohort: Cohort, fresh_s: float | None) -> Account:
        """What became of a fault's events, looked at once more."""
        await self._read()
        found = await self._asked(cohort)
        if any(self._ledger.is_behind(user, known) for user, known in found.items()):
            await asyncio.sleep(FRESH_WITHIN_S)  # so old may be what a slate knows; after that an event is lost
            found = await self._asked(cohort)
        return self._ledger.account(cohort, found, fresh_s)

    async def _asked(self, cohort: Cohort) -> dict[str, list[int]]:
        """What fresh slates know of these users' events, from every router that gives such a slate."""
        pairs = [(router, user) for router in self._routers for user in cohort.users]
        answers = await asyncio.gather(*(self._known(router, user) for router, user in pairs))
        found: dict[str, list[int]] = {}
        for (_, user), known in zip(pairs, answers, strict=True):
            if known is not None:
                found.setdefault(user, []).append(known)
        return found

    async def _known(self, router: AsyncClient, user: str) -> int | None:
        """Of how many events a user's slate knows; None where there is none, or it does not call itself fresh.

        Nobody is fresh to whom they are a stranger: of who is forgotten that is what is waited for, and whatever else a
        slate knows is too much.
        """
        async with self._asking:
            try:
                receipt = (await router.recommend(user)).receipt
            except TrunkshowError:
                return None
            told = Reason.USER_UNKNOWN in receipt.reasons or receipt.events_folded > 0
            if receipt.rung is Rung.FRESH or (told and self._ledger.is_forgotten(user)):
                return receipt.events_folded
            return None

    async def _read(self) -> bool:
        """Read on to the end of the log; whether that was possible."""
        async with self._reading:
            with suppress(LogUnavailable):
                end = await self._log.end(LOG_WITHIN_S)
                async for read in self._log.read(self._read_to, end):
                    self._read_to = read.watermark
                    for event in read.record.events:
                        self._ledger.stands(event.event_id, event.user_id, folds=event.interaction in SHARES)
                return True
            return False


@asynccontextmanager
async def looking(ledger: Ledger, routers: Iterable[str], log: str) -> AsyncIterator[Looker]:
    """Somebody who looks, for the time of the context."""
    looker = Looker(ledger, routers, log)
    try:
        yield looker
    finally:
        await looker.close()
