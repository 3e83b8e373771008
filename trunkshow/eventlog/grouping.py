"""Appends that wait share a record: forcing one to the disk costs the same for one event as for a thousand.

Nobody is kept waiting for company: an append goes at once while fewer than so many groups are on their way, and those
that come meanwhile make up the next group (a database's group commit). Who gives up leaves a group that waits; one on
its way is given up with the last who waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from trunkshow.eventlog.packing import RECORD_BYTES_MAX
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2

Events = Sequence[events_pb2.Event]
Send = Callable[[Events], Awaitable[Watermark]]
_Answer = asyncio.Future[Watermark]


class Groups:
    """Carries appends, several at a time.

    Args:
        send: writes events, however long it takes.
        at_a_time: groups on their way; the second one keeps the log busy while the first is acknowledged.
    """

    def __init__(self, send: Send, at_a_time: int = 2) -> None:
        self._send = send
        self._at_a_time = at_a_time
        self._waiting: dict[_Answer, tuple[Events, int]] = {}
        self._on_the_way: set[asyncio.Task[None]] = set()

    async def append(self, events: Events, size: int) -> Watermark:
        """Write events, with others that wait, in the order in which they came; bound the waiting from outside.

        Args:
            events: of one call.
            size: bytes of them.

        Raises:
            Exception: what the sending of the group raised.
        """
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._waiting[answer] = events, size
        self._go()
        try:
            return await answer
        finally:
            self._waiting.pop(answer, None)
            del answer  # what it raises goes through here: together they would hold the events for long

    def close(self) -> None:
        """Give up what is on its way; whoever waits for it is bounded from outside."""
        self._waiting.clear()
        for carrying in self._on_the_way:
            carrying.cancel()

    def _go(self) -> None:
        while self._waiting and len(self._on_the_way) < self._at_a_time:
            carrying = asyncio.create_task(self._carry(self._group()))
            self._on_the_way.add(carrying)
            carrying.add_done_callback(self._arrived)

    def _arrived(self, carried: asyncio.Task[None]) -> None:
        self._on_the_way.discard(carried)
        self._go()

    def _group(self) -> dict[_Answer, Events]:
        """Those that have waited longest, as many as a record takes."""
        group: dict[_Answer, Events] = {}
        room = RECORD_BYTES_MAX
        for answer, (events, size) in tuple(self._waiting.items()):
            if group and size > room:
                break
            group[answer], room = events, room - size
            del self._waiting[answer]
        return group

    async def _carry(self, group: dict[_Answer, Events]) -> None:
        sending = asyncio.ensure_future(self._send([event for events in group.values() for event in events]))
        asked_for = len(group)

        def one_less(_: _Answer) -> None:
            nonlocal asked_for
            asked_for -= 1
            if not asked_for:
                sending.cancel()

        for answer in group:
            answer.add_done_callback(one_less)
        try:
            await asyncio.wait({sending})
        finally:
            sending.cancel()
        for answer in group:
            if not answer.done():
                _tell(answer, sending)


def _tell(answer: _Answer, sent: asyncio.Future[Watermark]) -> None:
    error = sent.exception()
    if error is None:
        answer.set_result(sent.result())
    else:
        # Each its own: a traceback grows with everybody who raises it.
        told = type(error)(*error.args)
        told.__cause__ = error
        answer.set_exception(told)
