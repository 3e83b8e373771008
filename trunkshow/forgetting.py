"""The receipt of a person who was forgotten: frozen values around the contract of `events.proto`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from trunkshow.v1 import events_pb2 as pb


@dataclass(frozen=True, slots=True)
class Place:
    """What becomes of a person in one place: `done` is whether nothing is left or served there as of the answer."""

    place: str
    done: bool
    message: str


@dataclass(frozen=True, slots=True)
class ForgetReceipt:
    """What was done.

    Attributes:
        id: of the tombstone.
        timestamp: of it.
        watermark: of the tombstones' log with this one.
        events_until: watermark of the events' log up to which events are forgotten.
        places: where the person was, and what becomes of that.
    """

    id: str
    timestamp: datetime
    watermark: str
    events_until: str
    places: tuple[Place, ...]

    @classmethod
    def from_message(cls, message: pb.ForgetUserResponse) -> ForgetReceipt:
        """The receipt of an answer."""
        places = tuple(Place(one.place, one.done, one.message) for one in message.places)
        when = message.timestamp.ToDatetime(tzinfo=UTC)
        return cls(message.id, when, message.watermark, message.events_until, places)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {**asdict(self), "timestamp": self.timestamp.isoformat()}
