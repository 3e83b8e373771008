"""The events of a call into the event log: what breaks the contract is answered for, the rest is stamped and written.

    no log            UNAVAILABLE at once: this router was given none, and asking again will not help
    no room           RESOURCE_EXHAUSTED at once, with when to ask again
    the log is gone   UNAVAILABLE within the deadline: the events may be in it all the same; sent again, they count once

What makes an event right is `trunkshow.eventlog.validation`'s to say; how much may be on its way, and where it is kept,
the log's.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from router.recording.admitting import Admitting
from trunkshow.errors import NOT_AGAIN, Overloaded, TrunkshowError, Unavailable
from trunkshow.eventlog import validation
from trunkshow.eventlog.log import EventLog, LogFull, LogUnavailable, NoRoom
from trunkshow.eventlog.validation import Policy, Refusal
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.telemetry import Throttle
from trunkshow.v1 import events_pb2 as pb

ANSWER_MS = 20.0
"""Kept from the log to answer in, so that a caller hears what became of the events, and not only that time is up."""

ASK_AGAIN_MS = 200
"""What callers are told where there is no room; a log that is well has taken in by then what was under way."""

LOOK_FOR_ROOM_EVERY_S = 0.05
"""While a log has none. Whoever comes in between is refused unheard: to check, pack and send what is refused costs as
much as to record it, and what is sent again and again would take the time of those who ask for slates."""

RECORDED = metrics.counter("trunkshow_events_recorded_total", "Events that are in the log.", ("interaction",))
REFUSED = metrics.counter("trunkshow_events_refused_total", "Events that break the contract.", ("reason",))

log = structlog.get_logger()


class Outcome(NamedTuple):
    """What became of a call's events.

    Attributes:
        recorded: how many are in the log.
        refused: those that are not, in their order.
        watermark: that covers the recorded; None where there are none.
    """

    recorded: int
    refused: Sequence[Refusal]
    watermark: Watermark | None


class Recorder:
    """Writes events.

    Args:
        event_log: that they are written to; None where there is none.
        policy: which times are believed.
        admitting: when whose turn it is, beside pages.
        told: given what came of every try: a watermark, or why there is none.
        now: seconds since 1970.
        clock: monotonic.
    """

    def __init__(
        self,
        event_log: EventLog | None,
        policy: Policy,
        *,
        admitting: Admitting | None = None,
        told: Callable[[Watermark | LogUnavailable], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        clock: Clock = monotonic,
    ) -> None:
        self._log = event_log
        self._policy = policy
        self._admitting = admitting or Admitting(clock=clock)
        self._told = told
        self._now = now
        self._clock = clock
        self._throttle = Throttle()
        self._full = (-math.inf, "")

    async def record(self, events: Sequence[pb.Event], deadline: Deadline) -> Outcome:
        """Write what is right of these events; those without a timestamp get that of their receipt.

        Args:
            events: of one call.
            deadline: of the call.

        Raises:
            InvalidArgument: there are none, or too many.
            Unavailable: it is not known whether they are in the log.
            Overloaded: there is no room, or no time beside pages; a part of them may be in the log all the same.
        """
        full_until, why = self._full
        if self._clock() < full_until:
            raise Overloaded(why, reason="LOG_FULL", retry_after_ms=ASK_AGAIN_MS)
        size = sum(event.ByteSize() for event in events)
        await self._admitting.turn(size, deadline.remaining_s(self._clock()))
        checked = validation.check(events, self._now(), self._policy)
        try:
            watermark = await self._append(checked.right, deadline) if checked.right else None
        except TrunkshowError as error:
            self._throttle.log(log.warning, "events.not_recorded", reason=error.reason, error=error.message)
            raise
        _count(checked)
        return Outcome(len(checked.right), checked.refused, watermark)

    async def _append(self, events: Sequence[pb.Event], deadline: Deadline) -> Watermark:
        if self._log is None:
            message = "this router has no event log to record in; it is started with --log"
            raise Unavailable(message, reason="NO_EVENT_LOG", retry_after_ms=NOT_AGAIN)
        began = self._clock()
        try:
            watermark = await self._log.append(events, deadline.reserving(ANSWER_MS, began).remaining_s(began))
        except LogFull as error:
            message = f"the event log has no room ({error}); send these events again, those that it has count once"
            if isinstance(error, NoRoom):
                self._full = self._clock() + LOOK_FOR_ROOM_EVERY_S, message
            raise Overloaded(message, reason="LOG_FULL", retry_after_ms=ASK_AGAIN_MS) from error
        except LogUnavailable as error:
            self._told(error)
            message = f"the event log did not say that it has these events ({error}); send them again, they count once"
            raise Unavailable(message, reason="LOG_UNAVAILABLE") from error
        self._told(watermark)
        return watermark


def _count(checked: validation.Checked) -> None:
    for interaction, times in Counter(event.interaction for event in checked.right).items():
        RECORDED.labels(pb.Interaction.Name(interaction).removeprefix("INTERACTION_")).inc(times)
    for reason, times in Counter(one.reason for one in checked.refused).items():
        REFUSED.labels(reason).inc(times)
