"""What users and items did lately, as a client sees it: frozen values around the contract of `features.proto`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from trunkshow.answers import written
from trunkshow.events import Interaction
from trunkshow.receipts import Attempt, Reason
from trunkshow.v1 import features_pb2 as pb

OTHER = "other"
"""Interactions that this release has no name for."""


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Counts in one stretch of time.

    Attributes:
        window: its name, such as 1h.
        begins: the first second that counts.
        complete: whether nothing that happened in it can be missing.
        counts: by interaction, such as `content-impression`; what is not there did not happen.
    """

    window: str
    begins: datetime
    complete: bool
    counts: Mapping[str, int]

    @classmethod
    def from_message(cls, message: pb.WindowCounts) -> WindowCounts:
        """The counts of an answer."""
        counts = {name_of(one.interaction): one.count for one in message.counts}
        return cls(message.window, _time(message.begins), message.complete, MappingProxyType(counts))

    def of(self, interaction: Interaction | str) -> int:
        """How often something was done; its name as in `Event`.

        Raises:
            InvalidArgument: there is no such interaction.
        """
        named = Interaction.named(interaction) if isinstance(interaction, str) else interaction
        return self.counts.get(name_of(named), 0)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "window": self.window,
            "begins": self.begins.isoformat(),
            "complete": self.complete,
            "counts": dict(self.counts),
        }


@dataclass(frozen=True, slots=True)
class Features:
    """Of one user or item.

    Attributes:
        id: as it was asked for.
        known: whether something of theirs happened within the longest window.
        windows: by name, shortest first: 5m, 1h, 1d, 7d, 30d; none where they are missing.
        last_price: None where there is none.
        last_category: empty where there is none.
        moment: at which they were told; what happened in that second or later does not count yet. None where missing.
        known_from: what happened before may be missing. None where they are.
        watermark: of the log, up to which events are counted.
        replica: the shard that told.
        missing: why nothing is told; UNSPECIFIED where it is.
    """

    id: str
    known: bool
    windows: Mapping[str, WindowCounts]
    last_price: float | None
    last_category: str
    moment: datetime | None
    known_from: datetime | None
    watermark: str
    replica: str
    missing: Reason

    @classmethod
    def from_message(cls, message: pb.Features) -> Features:
        """The features of an answer."""
        windows = {one.window: WindowCounts.from_message(one) for one in message.windows}
        return cls(
            id=message.id,
            known=message.known,
            windows=MappingProxyType(windows),
            last_price=message.last_price if message.HasField("last_price") else None,
            last_category=message.last_category,
            moment=_time(message.moment) if message.HasField("moment") else None,
            known_from=_time(message.known_from) if message.HasField("known_from") else None,
            watermark=message.watermark,
            replica=message.replica,
            missing=Reason(message.missing),
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "id": self.id,
            "known": self.known,
            "windows": [one.to_json() for one in self.windows.values()],
            "last_price": self.last_price,
            "last_category": self.last_category,
            "moment": self.moment.isoformat() if self.moment else None,
            "known_from": self.known_from.isoformat() if self.known_from else None,
            "watermark": self.watermark,
            "replica": self.replica,
            "missing": self.missing.name if self.missing else None,
        }


@dataclass(frozen=True, slots=True)
class FeaturesAnswer:
    """What was asked for, in the order in which it was.

    Attributes:
        users: one for each that was asked for.
        items: likewise.
        request_id: stands in the logs.
        attempts: all askings of shards.
        elapsed_ms: in the router.
    """

    users: tuple[Features, ...]
    items: tuple[Features, ...]
    request_id: str
    attempts: tuple[Attempt, ...]
    elapsed_ms: float

    @classmethod
    def from_message(cls, message: pb.GetFeaturesResponse) -> FeaturesAnswer:
        """The answer of a call."""
        return cls(
            tuple(map(Features.from_message, message.users)),
            tuple(map(Features.from_message, message.items)),
            message.request_id,
            tuple(map(Attempt.from_message, message.attempts)),
            message.elapsed_ms,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "users": [one.to_json() for one in self.users],
            "items": [one.to_json() for one in self.items],
            "request_id": self.request_id,
            "attempts": [one.to_json() for one in self.attempts],
            "elapsed_ms": self.elapsed_ms,
        }


def features_request(users: Iterable[str], items: Iterable[str]) -> pb.GetFeaturesRequest:
    """A call's request.

    Raises:
        InvalidArgument: an id cannot be written.
        TypeError: one id was given where several are taken.
    """
    for name, ids in (("users", users), ("items", items)):
        if isinstance(ids, str):
            raise TypeError(f"{name}: give a list of ids, not one id")
    return written(pb.GetFeaturesRequest, user_ids=list(users), item_ids=list(items))


def name_of(interaction: int) -> str:
    """What an interaction is called, such as `content-impression`."""
    try:
        return Interaction(interaction).name.lower().replace("_", "-")
    except ValueError:
        return OTHER


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
