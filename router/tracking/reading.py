"""Events as browsers write them, read into the contract's: names, numbers and times from JSON. Pure.

    {"events": [{"event_id": …, "user_id": …, "item_id": …, "interaction": "click", …}, …], "sent": …}

or one such event, or a list of them. Fields are called as in `events.proto`; enums by their names in lower case; times
are RFC 3339 with a zone, or milliseconds since 1970 as `Date.now()` gives them. `sent` is the sender's clock when it
sent: by as much as it differs from ours, the events' times are moved, so a clock that is wrong costs no events.

What is no JSON of this form is refused whole, and so are too many events, before they are read: one that is refused by
itself takes more to tell than to send. One event that cannot be read is refused by itself. Whether what was read is
right is `trunkshow.eventlog.validation`'s to say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp

from trunkshow.errors import InvalidArgument
from trunkshow.eventlog.faults import check_count
from trunkshow.eventlog.validation import EVENT_ID_BYTES_MAX, EVENTS_MAX, Refusal
from trunkshow.v1 import events_pb2 as pb

USER_TOKEN = "user_token"  # noqa: S105  the name of a field
_TEXTS = ("event_id", "user_id", "item_id", "request_id", "carousel")
_MS_MAX = 8.64e15
"""The last moment that a browser's clock knows."""

NAME_CHARACTERS_MAX = 64
"""Of an unknown field's name, as it is told."""

_UINT32_MAX = 2**32 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sent(NamedTuple):
    """An event as it was read.

    Attributes:
        place: where it stood in the call.
        event: it may still break the contract.
        user_token: that came with it; empty without one.
    """

    place: int
    event: pb.Event
    user_token: str


class Batch(NamedTuple):
    """What was read of a call.

    Attributes:
        sent: in its order.
        refused: those that could not be read.
    """

    sent: Sequence[Sent]
    refused: Sequence[Refusal]


class _Unreadable(Exception):
    def __init__(self, field: str, reason: str, what: str) -> None:
        super().__init__(what)
        self.field, self.reason, self.what = field, reason, what


def read_body(body: bytes, now_s: float) -> Batch:
    """Read a call's body.

    Args:
        body: JSON, in UTF-8.
        now_s: seconds since 1970.

    Raises:
        InvalidArgument: it is no JSON, or not of that form, or has no events or too many.
    """
    given = _json(body)
    ahead_s = 0.0
    if isinstance(given, dict) and "events" in given:
        ahead_s = _ahead_s(given.get("sent"), now_s)
        given = given["events"]
    events = given if isinstance(given, list) else [given]
    check_count("events", events, EVENTS_MAX)
    return read_all(events, ahead_s)


def read_all(given: Sequence[Any], ahead_s: float = 0.0) -> Batch:
    """Read events.

    Args:
        given: each a mapping from fields to values, or it is refused.
        ahead_s: seconds by which the sender's clock is ahead of ours.
    """
    sent, refused = [], []
    for index, one in enumerate(given):
        try:
            sent.append(_read(index, one, ahead_s))
        except _Unreadable as wrong:
            refused.append(_refusal(index, one, wrong))
    return Batch(sent, refused)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):  # of UTF-8, of JSON, of a number with thousands of digits; of depth
        what = 'body: JSON in UTF-8 is needed: one event, a list of them, or {"events": […]}'
        raise InvalidArgument(what, field="body", reason="JSON_INVALID") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _ahead_s(sent: Any, now_s: float) -> float:
    if sent is None:
        return 0.0
    try:
        return _seconds("sent", sent) - now_s
    except _Unreadable as wrong:
        raise InvalidArgument(f"sent: {wrong.what}", field="sent", reason=wrong.reason) from None


def _read(index: int, given: Any, ahead_s: float) -> Sent:
    if not isinstance(given, Mapping):
        raise _Unreadable("", "EVENT_INVALID", "an object is needed")
    event, token = pb.Event(), ""
    for field, value in given.items():
        if value is None:
            continue
        if field == USER_TOKEN:
            token = _text(field, value)
        elif field == "timestamp":
            event.timestamp.CopyFrom(_timestamp(_seconds(field, value) - ahead_s))
        elif field == "context":
            event.context.update(_context(value))
        else:
            setattr(event, field, _reader(field)(field, value))
    return Sent(index, event, token)


def _reader(field: str) -> Callable[[str, Any], Any]:
    found = _READERS.get(field)
    if found is None:
        known = ", ".join(sorted(FIELDS))
        raise _Unreadable(field[:NAME_CHARACTERS_MAX], "FIELD_UNKNOWN", f"not known; there are {known}")
    return found


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _Unreadable(field, "TEXT_NEEDED", "a text is needed")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write and nobody can read
        raise _Unreadable(field, "TEXT_INVALID", "it is not Unicode") from None
    return value


def _number(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Unreadable(field, "NUMBER_NEEDED", "a number is needed")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _whole(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _UINT32_MAX:
        raise _Unreadable(field, "NUMBER_NEEDED", "a whole number from 0 is needed")
    return value


def _named(kind: EnumTypeWrapper, prefix: str) -> Callable[[str, Any], int]:
    values = {name.removeprefix(prefix).lower(): number for name, number in kind.items() if number}

    def read(field: str, value: Any) -> int:
        found = values.get(_text(field, value).lower().replace("-", "_"))
        if found is None:
            raise _Unreadable(field, f"{field.upper()}_UNKNOWN", f"not known; there are {', '.join(values)}")
        return found

    return read


def _seconds(field: str, value: Any) -> float:
    """Since 1970."""
    if isinstance(value, str):
        return _of_text(field, value)
    ms = _number(field, value)
    if not abs(ms) <= _MS_MAX:
        raise _Unreadable(field, "TIMESTAMP_INVALID", "no time that a calendar has")
    return ms / 1000


def _of_text(field: str, value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        what = "milliseconds since 1970, or RFC 3339 with a zone, are needed"
        raise _Unreadable(field, "TIMESTAMP_INVALID", what)
    return (moment - _EPOCH).total_seconds()


def _timestamp(seconds: float) -> Timestamp:
    whole, part = divmod(round(seconds * 1000), 1000)
    return Timestamp(seconds=whole, nanos=part * 1_000_000)


def _context(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _Unreadable("context", "CONTEXT_INVALID", "an object of texts is needed")
    return {_text("context", key): _text("context", one) for key, one in value.items()}


def _refusal(index: int, given: Any, wrong: _Unreadable) -> Refusal:
    name = given.get("event_id") if isinstance(given, Mapping) else None
    shown = name.encode(errors="ignore")[:EVENT_ID_BYTES_MAX].decode(errors="ignore") if isinstance(name, str) else ""
    field = f"events[{index}].{wrong.field}" if wrong.field else f"events[{index}]"
    return Refusal(index, shown, field, wrong.reason, f"{field}: {wrong.what}")


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_TEXTS, _text),
    "interaction": _named(pb.Interaction, "INTERACTION_"),
    "value": _number,
    "position": _whole,
    "channel": _named(pb.Channel, "CHANNEL_"),
}

FIELDS = frozenset((*_READERS, "timestamp", "context", USER_TOKEN))
"""That an event has."""
