"""A person is forgotten: a tombstone beside the event log, durable when this returns, and a receipt of what follows.

Routers and shards follow the tombstones; this router's own reading is waited for, so that it has forgotten them when it
answers. What stays where, and since when it is not used, the receipt says place by place.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import structlog

from router.recording.recorder import ANSWER_MS
from trunkshow.errors import NOT_AGAIN, InvalidArgument, Overloaded, Unavailable
from trunkshow.eventlog.log import EventLog, LogFull, LogUnavailable, Tombstones
from trunkshow.eventlog.names import rewritten
from trunkshow.eventlog.settings import DAY_S
from trunkshow.eventlog.validation import ID_BYTES_MAX
from trunkshow.online.forgotten import Forgotten
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

ID_BYTES = 16
_MS = 1000

log = structlog.get_logger()


class Logs(NamedTuple):
    """What it takes to forget.

    Attributes:
        events: up to whose end events are forgotten.
        tombstones: to write to.
        forgotten: by this router, as it reads the tombstones.
    """

    events: EventLog
    tombstones: Tombstones
    forgotten: Forgotten


class Forgetter:
    """Forgets people.

    Args:
        logs: None where this router has no event log.
        days: that the log was to keep events when it was made; what it says itself comes first.
        now: a port: seconds since 1970.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self, logs: Logs | None, days: float, now: Callable[[], float] = time.time, clock: Clock = monotonic
    ) -> None:
        self._logs = logs
        self._days = days
        self._now = now
        self._clock = clock

    async def forget(self, user_id: str, deadline: Deadline) -> pb.ForgetUserResponse:
        """Forget somebody; the receipt.

        Raises:
            InvalidArgument: that is no user's id.
            Unavailable: it is not known whether the tombstone is durable; forget them again.
            Overloaded: the tombstones' log is full.
        """
        if not 1 <= len(user_id.encode()) <= ID_BYTES_MAX:
            message = f"user_id: {len(user_id.encode())} bytes; 1 to {ID_BYTES_MAX} are allowed"
            raise InvalidArgument(message, field="user_id", reason="USER_ID_LENGTH")
        if (found := rewritten(user_id)) is not None:
            reason, what = found
            raise InvalidArgument(f"user_id: {what}; name the id without", field="user_id", reason=f"USER_ID_{reason}")
        if self._logs is None:
            message = "this router has no event log, and nothing to forget by; it is started with --log"
            raise Unavailable(message, reason="NO_EVENT_LOG", retry_after_ms=NOT_AGAIN)
        try:
            return await self._forget(user_id, self._logs, deadline)
        except LogFull as error:
            raise Overloaded(f"the tombstones' log has no room ({error})", reason="LOG_FULL") from error
        except LogUnavailable as error:
            message = f"the log did not say that it has the tombstone ({error}); forget this person again"
            raise Unavailable(message, reason="LOG_UNAVAILABLE") from error

    async def _forget(self, user_id: str, logs: Logs, deadline: Deadline) -> pb.ForgetUserResponse:
        until = await logs.events.end(self._left_s(deadline))
        forget = log_pb2.Forget(id=secrets.token_hex(ID_BYTES), user_id=user_id, events_until=str(until))
        forget.timestamp.FromMilliseconds(int(self._now() * _MS))
        watermark = await logs.tombstones.forget(forget, self._left_s(deadline))
        reached = await logs.forgotten.reached(watermark, self._left_s(deadline))
        found = logs.forgotten.find(user_id)  # in a log that went back another tombstone may have had its number
        heard = reached and found is not None and found.id == forget.id
        log.info("user.forgotten", tombstone=forget.id, watermark=str(watermark), here=heard)
        return pb.ForgetUserResponse(
            id=forget.id,
            timestamp=forget.timestamp,
            watermark=str(watermark),
            events_until=str(until),
            places=_places(str(watermark), heard, self._kept(logs.events)),
        )

    def _kept(self, events: EventLog) -> str:
        """Until when the log keeps them."""
        days = self._days if events.age_s is None else events.age_s / DAY_S
        return f"until they are {days:g} days old" if days else "for as long as the log is there"

    def _left_s(self, deadline: Deadline) -> float:
        now = self._clock()
        return deadline.reserving(ANSWER_MS, now).remaining_s(now)


def _places(watermark: str, heard: bool, kept: str) -> Iterator[pb.Forgotten]:
    """What becomes of a person, place by place; done is said of nothing that was not seen."""
    yield pb.Forgotten(place="tombstone", done=True, message=f"durable, at {watermark}")
    here = "they are a stranger to this router" if heard else "this router has not read the tombstone yet"
    yield pb.Forgotten(place="router", done=heard, message=here)
    yield pb.Forgotten(
        place="other routers and shards",
        message="each drops their online events, and has no snapshot use what it knows of them, once it has read the "
        "tombstone; milliseconds while the log answers",
    )
    yield pb.Forgotten(
        place="event log",
        message=f"their events stay unread {kept}; no slate, export or build uses them",
    )
    yield pb.Forgotten(
        place="snapshots",
        message="files of snapshots that were built before cannot change; nothing is served from the part about them. "
        "They go when `trunkshow gc` removes these versions, after a build from a new export",
    )
