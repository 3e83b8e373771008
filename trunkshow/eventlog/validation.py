"""Which events may be recorded: the contract's limits on each, one by one.

What is right in a batch is kept and what is not is refused, each by itself (`faults`); a batch that is none is refused
whole. Pure: the time and the log's retention come in.

An event without a time gets the time of its receipt. One from the future would be the newest for long, so clocks may be
fast by five minutes and no more; one that is older than what the log keeps could not be read again by anybody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trunkshow.eventlog.faults import Fault, check_count, cut, too_large, too_long
from trunkshow.eventlog.names import rewritten
from trunkshow.v1 import events_pb2

EVENTS_MAX = 1000
EVENT_ID_BYTES_MAX = 64
ID_BYTES_MAX = 256
REFERENCE_BYTES_MAX = 256
"""Of a request id, and of a carousel's name."""

POSITION_MAX = 9_999
CONTEXT_ENTRIES_MAX = 16
CONTEXT_BYTES_MAX = 256
EVENT_BYTES_MAX = 16_384
"""Of a whole event, fields of later releases included; the other limits keep what is known well below."""

FUTURE_S_MAX = 300
_NANOS = 1_000_000_000
_WITHOUT_ITEM = events_pb2.INTERACTION_SEARCH
_INTERACTIONS = frozenset(events_pb2.Interaction.values()) - {events_pb2.INTERACTION_UNSPECIFIED}
_CHANNELS = frozenset(events_pb2.Channel.values())


@dataclass(frozen=True)
class Policy:
    """Which times are believed.

    Attributes:
        age_s_max: seconds that the log keeps an event.
        future_s_max: seconds by which clocks may be fast.
    """

    age_s_max: float
    future_s_max: float = FUTURE_S_MAX


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event is not recorded.

    Attributes:
        index: of the event in its batch.
        event_id: as it was sent, cut to what an id may have.
        field: at fault, such as `events[3].timestamp`.
        reason: a stable word.
        message: for a person, with what is allowed.
    """

    index: int
    event_id: str
    field: str
    reason: str
    message: str

    def to_message(self, offset: int = 0) -> events_pb2.RefusedEvent:
        """As the contract has it; a stream's later batches start at an offset."""
        return events_pb2.RefusedEvent(
            index=self.index + offset,
            event_id=self.event_id,
            field=self.field,
            reason=self.reason,
            message=self.message,
        )


class Checked(NamedTuple):
    """A batch, sorted out.

    Attributes:
        right: events to record, each with its time, in the batch's order.
        refused: the others.
    """

    right: Sequence[events_pb2.Event]
    refused: Sequence[Refusal]


def check(events: Sequence[events_pb2.Event], now_s: float, policy: Policy) -> Checked:
    """Sort a batch out.

    Args:
        events: of one call; none of them is changed.
        now_s: seconds since the epoch.
        policy: which times are believed.

    Raises:
        InvalidArgument: there are none, or too many.
    """
    check_count("events", events, EVENTS_MAX)
    right, refused = [], []
    for index, event in enumerate(events):
        fault = _fault(event, now_s, policy)
        if fault is None:
            right.append(event if event.HasField("timestamp") else _stamped(event, now_s))
        else:
            refused.append(_refusal(index, event, fault))
    return Checked(right, refused)


def _fault(event: events_pb2.Event, now_s: float, policy: Policy) -> Fault | None:
    """The first thing that is wrong with an event."""
    return (
        _id_fault("event_id", event.event_id, EVENT_ID_BYTES_MAX)
        or _name_fault("user_id", event.user_id)
        or _item_fault(event)
        or _interaction_fault(event)
        or _time_fault(event, now_s, policy)
        or _origin_fault(event)
        or _context_fault(event)
        or too_large(event, EVENT_BYTES_MAX, "EVENT")
    )


def _id_fault(field: str, value: str, bytes_max: int) -> Fault | None:
    if not value:
        return Fault(field, f"{field.upper()}_EMPTY", f"empty; 1 to {bytes_max} bytes are allowed")
    return too_long(field, value, bytes_max)


def _name_fault(field: str, value: str) -> Fault | None:
    """Of what a build knows by its name."""
    if (found := rewritten(value)) is not None:
        reason, what = found
        return Fault(field, f"{field.upper()}_{reason}", what)
    return _id_fault(field, value, ID_BYTES_MAX)


def _item_fault(event: events_pb2.Event) -> Fault | None:
    if not event.item_id and event.interaction == _WITHOUT_ITEM:
        return None
    return _name_fault("item_id", event.item_id)


def _interaction_fault(event: events_pb2.Event) -> Fault | None:
    if event.interaction in _INTERACTIONS:
        return None
    if event.interaction == events_pb2.INTERACTION_UNSPECIFIED:
        return Fault("interaction", "INTERACTION_UNSPECIFIED", f"not given; one of {_interactions()} is needed")
    what = f"{event.interaction} is not known here; allowed are {_interactions()}"
    return Fault("interaction", "INTERACTION_UNKNOWN", what)


def _interactions() -> str:
    return ", ".join(events_pb2.Interaction.Name(value) for value in sorted(_INTERACTIONS))


def _time_fault(event: events_pb2.Event, now_s: float, policy: Policy) -> Fault | None:
    if not event.HasField("timestamp"):
        return None
    if not 0 <= event.timestamp.nanos < _NANOS:
        what = f"{event.timestamp.nanos} nanoseconds; 0 to {_NANOS - 1} are allowed"
        return Fault("timestamp", "TIMESTAMP_INVALID", what)
    ahead_s = event.timestamp.seconds + event.timestamp.nanos / _NANOS - now_s
    if ahead_s > policy.future_s_max:
        what = f"{ahead_s:.0f} s in the future; at most {policy.future_s_max:g} s are allowed"
        return Fault("timestamp", "TIMESTAMP_FUTURE", what)
    if -ahead_s > policy.age_s_max:
        what = f"{-ahead_s:.0f} s ago; the log keeps {policy.age_s_max:g} s"
        return Fault("timestamp", "TIMESTAMP_ANCIENT", what)
    return None


def _origin_fault(event: events_pb2.Event) -> Fault | None:
    """Of what came with it: its value, and where it was done."""
    if not math.isfinite(event.value):
        return Fault("value", "VALUE_NOT_FINITE", f"{event.value}; a finite number is needed")
    if event.position > POSITION_MAX:
        return Fault("position", "POSITION_TOO_LARGE", f"{event.position}; at most {POSITION_MAX} is allowed")
    if event.channel not in _CHANNELS:
        names = ", ".join(events_pb2.Channel.keys())
        return Fault("channel", "CHANNEL_UNKNOWN", f"{event.channel} is not known here; allowed are {names}")
    return too_long("request_id", event.request_id, REFERENCE_BYTES_MAX) or too_long(
        "carousel", event.carousel, REFERENCE_BYTES_MAX
    )


def _context_fault(event: events_pb2.Event) -> Fault | None:
    if len(event.context) > CONTEXT_ENTRIES_MAX:
        what = f"{len(event.context)} entries; at most {CONTEXT_ENTRIES_MAX} are allowed"
        return Fault("context", "CONTEXT_TOO_MANY", what)
    for key, value in event.context.items():
        longest = max(len(key.encode()), len(value.encode()))
        if longest > CONTEXT_BYTES_MAX:
            what = f"a key or a value of {longest} bytes; at most {CONTEXT_BYTES_MAX} are allowed"
            return Fault("context", "CONTEXT_TOO_LONG", what)
    return None


def _refusal(index: int, event: events_pb2.Event, fault: Fault) -> Refusal:
    field = fault.at("events", index)
    return Refusal(index, cut(event.event_id, EVENT_ID_BYTES_MAX), field, fault.reason, f"{field}: {fault.what}")


def _stamped(event: events_pb2.Event, now_s: float) -> events_pb2.Event:
    stamped = events_pb2.Event()
    stamped.CopyFrom(event)
    seconds, part = divmod(now_s, 1)
    stamped.timestamp.seconds, stamped.timestamp.nanos = int(seconds), int(part * _NANOS)
    return stamped
