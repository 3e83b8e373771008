"""What shoppers did, to be recorded, and what became of it: frozen values around the contract of `events.proto`.

Nothing here does I/O; `trunkshow.client` moves these values over the wire. An event has its id from the beginning, so
that the same `Event` may be recorded again whenever it is not known what became of it: it counts once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Any, TypeVar

from trunkshow.answers import written
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import events_pb2 as pb

EVENTS_MAX = 1000
"""Of one call, and of one request of a stream."""

STREAMED_EVENTS = 200
"""Of one request of a stream, as it is made here."""

REQUEST_BYTES = 512 << 10
"""Of events in one request, where they are divided here; routers take a whole request of 1 MiB."""

One = TypeVar("One")

NO_CONTEXT: Mapping[str, str] = MappingProxyType({})


class Interaction(IntEnum):
    """What somebody did."""

    VIEW = 1
    CLICK = 2
    CART = 3
    ORDER = 4
    RENTAL = 5
    RETURN = 6
    LIKE = 7
    HIDE = 8
    SEARCH = 9
    IMPRESSION = 10
    CONTENT_IMPRESSION = 11

    @classmethod
    def named(cls, name: str) -> Interaction:
        """The one that is written so, such as `view` or `content-impression`.

        Raises:
            InvalidArgument: there is none.
        """
        return cls(_named(cls, name, "interaction"))


class Channel(IntEnum):
    """Where it was done."""

    UNSPECIFIED = 0
    WEB = 1
    APP = 2
    STORE = 3
    EMAIL = 4

    @classmethod
    def named(cls, name: str) -> Channel:
        """The one that is written so, such as `web`.

        Raises:
            InvalidArgument: there is none.
        """
        return cls(_named(cls, name, "channel"))


def _named(kind: type[IntEnum], name: str, of: str) -> int:
    found = kind.__members__.get(name.strip().upper().replace("-", "_"))
    if found is None:
        known = ", ".join(one.lower().replace("_", "-") for one in kind.__members__)
        raise InvalidArgument(f"{of}: there is no {name!r}; choose one of {known}", field=of)
    return found


def new_id() -> str:
    """An id that no other event has: 128 random bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that one user did.

    Attributes:
        user_id: 1 to 256 bytes.
        item_id: 1 to 256 bytes; may be empty for a search.
        interaction: an `Interaction`, or its name, such as "click".
        timestamp: when it was done, with its time zone; None is the time at which the router receives it.
        event_id: 1 to 64 bytes, unique for all time; made here where none is given.
        value: in the shop's currency, or a rating.
        request_id: of the receipt of the slate in which the item was shown.
        carousel: in that slate.
        position: in that carousel, from 0.
        channel: a `Channel`, or its name, such as "web".
        context: anything else, such as a search's `query`; at most 16 entries.
    """

    user_id: str
    item_id: str
    interaction: Interaction | str
    timestamp: datetime | None = None
    event_id: str = field(default_factory=new_id)
    value: float | None = None
    request_id: str = ""
    carousel: str = ""
    position: int | None = None
    channel: Channel | str = Channel.UNSPECIFIED
    context: Mapping[str, str] = field(default_factory=lambda: NO_CONTEXT)

    def to_message(self) -> pb.Event:
        """The event as the contract writes it.

        Raises:
            InvalidArgument: a field cannot be written, such as a time without its zone, or an unknown name.
        """
        interaction, channel = self.interaction, self.channel
        if self.timestamp is not None and self.timestamp.tzinfo is None:
            raise InvalidArgument("timestamp: it has no time zone; use datetime.now(UTC)", field="timestamp")
        return written(
            pb.Event,
            event_id=self.event_id,
            user_id=self.user_id,
            item_id=self.item_id,
            interaction=Interaction.named(interaction) if isinstance(interaction, str) else interaction,
            timestamp=self.timestamp,
            value=self.value,
            request_id=self.request_id,
            carousel=self.carousel,
            position=self.position,
            channel=Channel.named(channel) if isinstance(channel, str) else channel,
            context=self.context,
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was not recorded: where it stood in the call, its field at fault, why as a word and in words."""

    index: int
    event_id: str
    field: str
    reason: str
    message: str

    @classmethod
    def from_message(cls, message: pb.RefusedEvent) -> Refused:
        """The event of an answer."""
        return cls(message.index, message.event_id, message.field, message.reason, message.message)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of events.

    Attributes:
        recorded: how many are in the log.
        refused: those that break the contract, and why; of a stream the first 100.
        refused_count: all of them.
        watermark: of the log once it had these events; empty where none was recorded.
    """

    recorded: int
    refused: tuple[Refused, ...]
    refused_count: int
    watermark: str

    @classmethod
    def from_message(cls, message: pb.RecordEventsResponse) -> Recorded:
        """The answer of a call."""
        refused = tuple(map(Refused.from_message, message.refused))
        return cls(message.recorded, refused, len(refused), message.watermark)

    @classmethod
    def from_stream(cls, message: pb.StreamEventsResponse) -> Recorded:
        """The answer of a stream."""
        first = tuple(map(Refused.from_message, message.first_refused))
        return cls(message.recorded, first, message.refused, message.watermark)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "recorded": self.recorded,
            "refused": [one.to_json() for one in self.refused],
            "refused_count": self.refused_count,
            "watermark": self.watermark,
        }


def request_of(events: Event | Iterable[Event]) -> pb.RecordEventsRequest:
    """A call's request.

    Raises:
        InvalidArgument: an event cannot be written; its field says which.
    """
    several = (events,) if isinstance(events, Event) else events
    return pb.RecordEventsRequest(events=[_message(one, index) for index, one in enumerate(several)])


def stream_of(events: Iterable[Event]) -> Iterator[pb.StreamEventsRequest]:
    """A stream's requests, each made when it is asked for.

    Raises:
        InvalidArgument: an event cannot be written; its field says which.
    """
    messages = (_message(one, index) for index, one in enumerate(events))
    for some in grouped(messages, STREAMED_EVENTS, pb.Event.ByteSize):
        yield pb.StreamEventsRequest(events=some)


def grouped(several: Iterable[One], count_max: int, size_of: Callable[[One], int]) -> Iterator[list[One]]:
    """What fits into a request each: at most so many, and of at most `REQUEST_BYTES` together, or one."""
    group: list[One] = []
    size = 0
    for one in several:
        own = size_of(one)
        if group and (len(group) == count_max or size + own > REQUEST_BYTES):
            yield group
            group, size = [], 0
        group.append(one)
        size += own
    if group:
        yield group


def noting(requests: Iterator[pb.StreamEventsRequest], failed: list[BaseException]) -> Iterator[pb.StreamEventsRequest]:
    """The same requests; why there are no more, where they could not be made, is kept."""
    try:
        yield from requests
    except Exception as error:
        failed.append(error)
        raise


def _message(event: Event, index: int) -> pb.Event:
    try:
        return event.to_message()
    except InvalidArgument as error:
        field = f"events[{index}].{error.field}"
        raise InvalidArgument(f"events[{index}].{error.message}", field=field) from error
