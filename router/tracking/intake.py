"""What was read of a call, on its way to the recorder: limits, whose events they are, one account of all refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from router.recording.recorder import REFUSED, Outcome
from router.tracking.gate import Gate
from router.tracking.reading import USER_TOKEN, Batch, Sent
from trunkshow.eventlog.validation import Refusal
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.v1 import events_pb2 as pb

_USER_TOKEN_HINTS = {
    "USER_TOKEN_MISSING": "a signed user token is needed here",
    "USER_TOKEN_INVALID": "it does not say that this is the user",
    "USER_TOKEN_EXPIRED": "its time is over; a newer page has a newer one",
}


class Recording(Protocol):
    """The way into the log; `router.recording.recorder.Recorder` is it."""

    async def record(self, events: Sequence[pb.Event], deadline: Deadline) -> Outcome:
        """Write what is right of these events."""
        ...


class Signatures(Protocol):
    """Knows whose tokens are right; `router.tracking.user_tokens.UserTokens` does."""

    def fault(self, token: str, user_id: str, now_s: float) -> str:
        """Why a token does not say that this is the user; empty where it does."""
        ...


class Taken(NamedTuple):
    """What became of a call.

    Attributes:
        recorded: events that are in the log.
        refused: the others, in the call's order.
        watermark: that covers the recorded; None where there are none.
    """

    recorded: int
    refused: Sequence[Refusal]
    watermark: Watermark | None


class Intake:
    """Takes calls in.

    Args:
        recorder: writes events.
        gate: counts them.
        signatures: of users; events need none where None.
        deadline_ms: of a call.
        clock: monotonic.
        now: seconds since 1970.

    Attributes:
        now: the same.
    """

    def __init__(
        self,
        recorder: Recording,
        gate: Gate,
        signatures: Signatures | None,
        *,
        deadline_ms: float,
        clock: Clock = monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._recorder = recorder
        self._gate = gate
        self._signatures = signatures
        self._deadline_ms = deadline_ms
        self._clock = clock
        self.now = now

    def knock(self, address: str) -> None:
        """A call came from this address, and nothing of it was read yet.

        Raises:
            TooMany: it has to wait.
        """
        self._gate.call(address, self._clock())

    async def take(self, batch: Batch, address: str) -> Taken:
        """Record what is right of a call.

        Raises:
            TooMany: one of its users has to wait; nothing was recorded.
            InvalidArgument: there are no events, or too many.
            Unavailable: it is not known whether they are in the log.
            Overloaded: there is no room for them.
        """
        unsigned = [refusal for one in batch.sent if (refusal := self._unsigned(one))]
        here = [*batch.refused, *unsigned]
        without = {refusal.index for refusal in unsigned}
        sent = [one for one in batch.sent if one.place not in without]
        count = len(here) + len(sent)
        self._gate.events(address, count, (one.event.user_id for one in sent), self._clock())
        for refusal in here:
            REFUSED.labels(refusal.reason).inc()
        if here and not sent:
            return Taken(0, _ordered(here), None)
        done = await self._recorder.record(
            [one.event for one in sent], Deadline.after(self._deadline_ms, self._clock())
        )
        there = (_moved(refusal, sent[refusal.index].place) for refusal in done.refused)
        return Taken(done.recorded, _ordered([*here, *there]), done.watermark)

    def _unsigned(self, sent: Sent) -> Refusal | None:
        event = sent.event
        if self._signatures is None:
            return None
        reason = self._signatures.fault(sent.user_token, event.user_id, self.now())
        if not reason:
            return None
        field = f"events[{sent.place}].{USER_TOKEN}"
        return Refusal(sent.place, event.event_id[:64], field, reason, f"{field}: {_USER_TOKEN_HINTS[reason]}")


def _ordered(refused: Iterable[Refusal]) -> list[Refusal]:
    return sorted(refused, key=lambda one: one.index)


def _moved(refusal: Refusal, index: int) -> Refusal:
    """As it stood in the call: the recorder saw only what could be read."""
    field = refusal.field.replace(f"[{refusal.index}]", f"[{index}]", 1)
    message = refusal.message.replace(refusal.field, field, 1)
    return replace(refusal, index=index, field=field, message=message)
