"""Events become records: one for each lane that a call's users are in, more where one would be too large. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from trunkshow.v1 import events_pb2, log_pb2

RECORD_BYTES_MAX = 512 << 10
"""Bytes of a record; half of what NATS and Kafka take unless told otherwise. One event has 16 KiB at most."""

One = TypeVar("One", events_pb2.Event, events_pb2.NewItem)

_NANOS = 1_000_000_000
_TAG_BYTES_MAX = 4
"""Before each event in a record: its tag and its length."""


class Packed(NamedTuple):
    """A record, written.

    Attributes:
        lane: it belongs to.
        data: its bytes.
    """

    lane: int
    data: bytes


def lane_of(user: str, lanes: int) -> int:
    """The lane of a user's events: the same in every process and every release."""
    return zlib.crc32(user.encode()) % lanes if lanes > 1 else 0


def pack(events: Sequence[events_pb2.Event], received_s: float, lanes: int = 1) -> list[Packed]:
    """Records of these events, lane by lane, in their order.

    Args:
        events: of one call.
        received_s: seconds since the epoch.
        lanes: how many the log has.
    """
    by_lane: dict[int, list[events_pb2.Event]] = {}
    for event in events:
        by_lane.setdefault(lane_of(event.user_id, lanes), []).append(event)
    return [
        Packed(lane, _record(part, received_s).SerializeToString())
        for lane, own in by_lane.items()
        for part in _parts(own)
    ]


def tombstone(forget: log_pb2.Forget, received_s: float, lanes: int = 1) -> Packed:
    """The record by which somebody is forgotten."""
    record = _record((), received_s)
    record.forget.CopyFrom(forget)
    return Packed(lane_of(forget.user_id, lanes), record.SerializeToString())


def pack_items(items: Sequence[events_pb2.NewItem], received_s: float) -> list[Packed]:
    """Records of these items, all of one lane, in their order: of an item that comes twice the last one counts."""
    packed = []
    for part in _parts(items):
        record = _record((), received_s)
        record.items.extend(part)
        packed.append(Packed(0, record.SerializeToString()))
    return packed


def _record(events: Sequence[events_pb2.Event], received_s: float) -> log_pb2.Record:
    record = log_pb2.Record(events=events)
    seconds, part = divmod(received_s, 1)
    record.received.seconds, record.received.nanos = int(seconds), int(part * _NANOS)
    return record


def _parts(several: Sequence[One]) -> Iterator[Sequence[One]]:
    """The same events, or items, in as few parts as the limit allows."""
    start, size = 0, 0
    for index, one in enumerate(several):
        own = one.ByteSize() + _TAG_BYTES_MAX
        if index > start and size + own > RECORD_BYTES_MAX:
            yield several[start:index]
            start, size = index, 0
        size += own
    yield several[start:]
