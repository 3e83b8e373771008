"""A visitor who records: events at a small steady rate, some of them twice, some of them late.

Its users are its own: some whom the snapshot knows, some whom nobody knows, of whom some leave for good
(`cli.chaos.leaving`). They look, buy, hide, and are shown things. What was not acknowledged is sent again until it is,
later each time, as a shop would. Everything that was sent and answered goes into a `Ledger`, which says what is right;
what came of it `cli.chaos.looking` finds out. What is done is drawn from a seed; when it is sent depends on what became
of the rest.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Never

from cli.chaos.leaving import Leaving
from cli.chaos.ledger import Cohort, Ledger
from cli.chaos.model import Facts
from trunkshow.client import AsyncClient, Event, Interaction
from trunkshow.errors import Overloaded, TrunkshowError
from trunkshow.serving.backoff import Backoff

EVENTS_A_SECOND = 20.0
EVENTS_OF_A_CALL = (1, 3)
AT_ONCE_USERS = 12
"""Who do something at a time; one after the other is done, and another comes."""

USER_EVENTS_MAX = 120
"""Of one user, in one run. A shard keeps 256 of each, and what it has to forget nobody could ask for."""

KNOWN_USERS_MAX = 4_000
STRANGER = "nobody-"
STRANGERS = 0.25
TWICE = 0.1
LATE = 0.1
"""Share of the calls that are sent a second time, and of those that are sent after what came after them."""

LATER_S = (0.2, 3.0)
AGAIN = Backoff(first_s=1.0, longest_s=8.0)
"""Before what was not acknowledged is sent again. Where it was after a second each time, 42,632 events were sent for
5,693 in two *log-full*."""

AGAIN_EVENTS_MAX = 200
LOOK_EVERY_S = 0.05
WITHIN_MS = 1_500.0
IN_FLIGHT_MAX = 200
LIKED = (Interaction.VIEW, Interaction.CLICK, Interaction.CART, Interaction.LIKE, Interaction.ORDER)
DONE = (*LIKED, Interaction.HIDE, Interaction.IMPRESSION)
"""Everybody begins with what they like: by the rest alone nobody has a home, and no slate is theirs."""

LEAVE = 0.2
"""Share of the calls of strangers that are their last."""


class Recording:
    """Records.

    Attributes:
        ledger: of everything.
        times: as many events as at the steady rate are sent now.
        context: of every event that is done now.

    Args:
        facts: whose users and items the events are about.
        target: of the routers, as gRPC resolves it.
        seed: of everything that is drawn.
        items_max: that the events are about; all where None.
        all_leave: everybody is a stranger, and leaves once they have done all that they do; else some strangers leave.
    """

    def __init__(
        self, facts: Facts, target: str, seed: int, items_max: int | None = None, *, all_leave: bool = False
    ) -> None:
        self.ledger = Ledger()
        self.times = 1.0
        self.context: Mapping[str, str] = {}
        self._facts = facts
        self._items = facts.ids[:items_max]
        self._all_leave = all_leave
        self._random = random.Random(seed)  # noqa: S311 - as for all visitors
        self._ids = itertools.count()
        self._users = self._who()
        self._done: dict[str, int] = {}
        self._present = [self._comes() for _ in range(AT_ONCE_USERS)]
        self._again: list[tuple[float, int, Event]] = []
        self._running: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[None]] = set()
        self._tried: dict[str, int] = {}
        self._recorder = AsyncClient(target)
        self._leaving = Leaving(self.ledger, self._recorder)

    def start(self) -> None:
        """Record from now on."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Record no more, and let go of everything."""
        working = {*self._in_flight, *([self._running] if self._running else [])}
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working)
        await self._recorder.close()

    # --- recording -----------------------------------------------------------------------------------------------

    def turn(self) -> Cohort:
        """The events until now are a fault's, which was healed: what is held back of them is sent at once."""
        self._again = [(0.0, order, event) for _, order, event in self._again]
        heapq.heapify(self._again)
        self._tried = {}
        self._done = {}
        self._present = [self._comes() for _ in range(AT_ONCE_USERS)]  # of those before, nothing new is sent
        return self.ledger.turn()

    def check(self) -> None:
        """Raise what this ended with by itself, if it did."""
        if self._running is not None and self._running.done():
            self._running.result()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._record_on())
            both.create_task(self._send_again())

    async def _record_on(self) -> Never:
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            events = self._something_done()
            due += self._random.expovariate(EVENTS_A_SECOND * self.times) * len(events)
            if len(self._in_flight) >= IN_FLIGHT_MAX or self._random.random() < LATE:
                self._later(events)
                continue
            if self._random.random() < TWICE:
                self._later(events)
            self._begin(events)

    async def _send_again(self) -> Never:
        """What is held back, when its time comes, many events in one call."""
        while True:
            due = self._taken_of_again(time.monotonic())
            if due:
                self._begin(due)
                self._leaving.closed(due)
            for user in self._leaving.ready():
                self._go(self._leaving.forget(user))
            await asyncio.sleep(LOOK_EVERY_S)

    def _taken_of_again(self, now: float) -> list[Event]:
        taken: list[Event] = []
        while self._again and self._again[0][0] <= now and len(taken) < AGAIN_EVENTS_MAX:
            taken.append(heapq.heappop(self._again)[2])
        return taken

    def _begin(self, events: Sequence[Event]) -> None:
        self.ledger.sent({event.event_id: event.user_id for event in events})
        self._leaving.opened(events)
        self._go(self._record(events))

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _record(self, events: Sequence[Event]) -> None:
        ids = [event.event_id for event in events]
        try:
            answer = await self._recorder.record(events, deadline_ms=WITHIN_MS)
        except TrunkshowError as error:
            no_room = isinstance(error, Overloaded) and error.reason == "LOG_FULL"
            self.ledger.failed(ids, "refused" if no_room else "unanswered")
            for event in events:
                self._tried[event.event_id] = times = self._tried.get(event.event_id, 0) + 1
                self._later([event], AGAIN.after(times))
            return
        finally:
            self._leaving.closed(events)
        for one in ids:
            self._tried.pop(one, None)
        rejected = {one.event_id for one in answer.refused}
        self.ledger.rejected(rejected)
        self.ledger.acknowledged(one for one in ids if one not in rejected)

    def _later(self, events: Sequence[Event], after_s: float = 0.0) -> None:
        self._leaving.opened(events)
        at = time.monotonic() + (after_s or self._random.uniform(*LATER_S))
        for event in events:
            heapq.heappush(self._again, (at, next(self._ids), event))

    # --- what is done --------------------------------------------------------------------------------------------

    def _something_done(self) -> list[Event]:
        """What one user does in one moment."""
        place = self._random.randrange(AT_ONCE_USERS)
        user = self._present[place]
        count = self._random.randint(*EVENTS_OF_A_CALL)
        events = [self._event(user, LIKED if self._done[user] + number == 0 else DONE) for number in range(count)]
        self._done[user] += count
        is_done = self._done[user] + EVENTS_OF_A_CALL[1] > USER_EVENTS_MAX
        leaves = is_done if self._all_leave else user.startswith(STRANGER) and self._random.random() < LEAVE
        if leaves:
            self._leaving.leaves(user)
        if leaves or is_done:
            self._present[place] = self._comes()
        return events

    def _comes(self) -> str:
        """Somebody new."""
        user = next(self._users)
        self._done[user] = 0
        return user

    def _event(self, user: str, kinds: Sequence[Interaction]) -> Event:
        draw = self._random
        item, kind = draw.choice(self._items), draw.choice(kinds)
        event_id = f"chaos-{next(self._ids)}"
        return Event(user, item, kind, datetime.now(UTC), event_id=event_id, context=self.context)

    def _who(self) -> Iterator[str]:
        """Users, each of them once, for ever: known ones while there are any, and strangers among them."""
        known = [] if self._all_leave else list(itertools.islice(self._facts.users(), KNOWN_USERS_MAX))
        self._random.shuffle(known)
        for number in itertools.count():
            is_strange = not known or self._random.random() < STRANGERS
            yield f"{STRANGER}{number}" if is_strange else known.pop()


@asynccontextmanager
async def recording(
    facts: Facts, target: str, seed: int, items_max: int | None = None, *, all_leave: bool = False
) -> AsyncIterator[Recording]:
    """A visitor who records for the time of the context."""
    visitor = Recording(facts, target, seed, items_max, all_leave=all_leave)
    visitor.start()
    try:
        yield visitor
    finally:
        await visitor.close()
