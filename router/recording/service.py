"""EventService: from bytes to events with a deadline, and back to answers. What becomes of events is the recorder's.

A stream is read on only once the log has what was read before, so that a slow log slows its callers. Where there is no
room it is waited for, within the deadline that a single call would have; then the stream ends as the call would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from router.recording.forgetter import Forgetter
from router.recording.items import ItemRecorder
from router.recording.recorder import Outcome, Recorder
from router.recording.tally import Tally
from trunkshow.errors import NOT_AGAIN, Overloaded, TrunkshowError, Unavailable
from trunkshow.serving.auth import Role
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.serving.methods import Service
from trunkshow.v1 import events_pb2 as pb

EVENTS = "trunkshow.v1.EventService"
WORTH_ANOTHER_TRY_MS = 500.0
"""That a caller must have left for gRPC to ask again: less, and the log would hardly answer within it."""

FOREVER_MS = 86_400_000.0
PAUSE_S = 0.02
"""Before a stream looks for room again."""


class EventService:
    """Answers RecordEvents, StreamEvents, ForgetUser and RecordItems.

    Args:
        recorder: writes events.
        deadline_ms: of a call, and of each request of a stream, where the caller set none or a longer one.
        clock: monotonic.
        sleep: a port: waits.
        forgetter: forgets people; nobody is forgotten where None.
        items: writes new items; none are where None.
    """

    def __init__(
        self,
        recorder: Recorder,
        deadline_ms: float,
        clock: Clock = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        forgetter: Forgetter | None = None,
        items: ItemRecorder | None = None,
    ) -> None:
        self._items = items or ItemRecorder(None)
        self._forgetter = forgetter or Forgetter(None, 0)
        self._recorder = recorder
        self._deadline_ms = deadline_ms
        self._clock = clock
        self._sleep = sleep

    def service(self) -> Service:
        """The methods, for registration."""
        return Service(
            EVENTS,
            unary={
                "RecordEvents": self.record_events,
                "ForgetUser": self.forget_user,
                "RecordItems": self.record_items,
            },
            upload={"StreamEvents": self.stream_events},
            role=Role.RECORD,
            # Who records what shoppers do, from a shop's page or a script, is not to say what all of them are shown.
            roles={"ForgetUser": Role.OPERATE, "RecordItems": Role.OPERATE},
        )

    async def record_events(self, data: bytes, call: CallView) -> bytes:
        """RecordEvents.

        Raises:
            InvalidArgument: there are no events, or too many.
            Unavailable: it is not known whether they are in the log.
            Overloaded: there is no room for them.
        """
        events = pb.RecordEventsRequest.FromString(data).events
        try:
            done = await self._recorder.record(events, call.deadline(self._deadline_ms))
        except Unavailable as error:
            self._have_the_last_word(error, call)
            raise
        return pb.RecordEventsResponse(
            recorded=done.recorded,
            refused=[one.to_message() for one in done.refused],
            watermark=str(done.watermark or ""),
        ).SerializeToString()

    async def forget_user(self, data: bytes, call: CallView) -> bytes:
        """ForgetUser.

        Raises:
            InvalidArgument: that is no user's id.
            Unavailable: it is not known whether the tombstone is durable.
            Overloaded: there is no room for it.
        """
        user_id = pb.ForgetUserRequest.FromString(data).user_id
        return (await self._forgetter.forget(user_id, call.deadline(self._deadline_ms))).SerializeToString()

    async def record_items(self, data: bytes, call: CallView) -> bytes:
        """RecordItems.

        Raises:
            InvalidArgument: there are no items, or too many.
            Unavailable: it is not known whether they are in the log.
            Overloaded: there is no room for them.
        """
        items = pb.RecordItemsRequest.FromString(data).items
        try:
            return (await self._items.record(items, call.deadline(self._deadline_ms))).SerializeToString()
        except Unavailable as error:
            self._have_the_last_word(error, call)
            raise

    async def stream_events(self, requests: AsyncIterator[bytes], call: CallView) -> bytes:
        """StreamEvents.

        Raises:
            InvalidArgument: a request has no events, or too many.
            Unavailable: it is not known whether all events are in the log; how many are stands in the message.
            Overloaded: there was no room for them.
        """
        tally = Tally()
        try:
            async for data in requests:
                events = pb.StreamEventsRequest.FromString(data).events
                tally.add(await self._patiently(events, call.deadline(self._deadline_ms)))
        except TrunkshowError as error:
            raise _after(tally.recorded, error) from error
        return tally.answer().SerializeToString()

    def _have_the_last_word(self, error: Unavailable, call: CallView) -> None:
        """Where the time is all but up, gRPC is told not to ask again, so that the caller hears this.

        Raises:
            Unavailable: the same, with that.
        """
        left_ms = call.deadline(FOREVER_MS).remaining_ms(self._clock())
        if error.retry_after_ms is None and left_ms < WORTH_ANOTHER_TRY_MS:
            raise Unavailable(error.message, reason=error.reason, retry_after_ms=NOT_AGAIN) from error

    async def _patiently(self, events: Sequence[pb.Event], deadline: Deadline) -> Outcome:
        while True:
            try:
                return await self._recorder.record(events, deadline)
            except Overloaded:
                if deadline.remaining_s(self._clock()) <= PAUSE_S:
                    raise
            await self._sleep(PAUSE_S)


def _after(recorded: int, error: TrunkshowError) -> TrunkshowError:
    """The same outcome, which says how much of the stream is in the log."""
    message = f"{error.message} ({recorded:,} events of this stream were recorded before)"
    return type(error)(message, field=error.field, reason=error.reason, retry_after_ms=error.retry_after_ms)
