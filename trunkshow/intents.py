"""What a user is doing right now, as a slate tells it: frozen values around `Intent` of `recommendation.proto`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from trunkshow.v1 import recommendation_pb2 as pb


@dataclass(frozen=True, slots=True)
class Interest:
    """One category of what a user is doing right now.

    Attributes:
        category: as the catalogue names it.
        share: the probability that the next item is of it.
        lift: that over its usual share for this user.
        share_5m: its share in what the user did within five minutes.
        share_1h: the same within an hour.
        share_1d: the same within a day.
    """

    category: str
    share: float
    lift: float
    share_5m: float = 0.0
    share_1h: float = 0.0
    share_1d: float = 0.0

    @classmethod
    def from_message(cls, message: pb.Interest) -> Interest:
        """The interest of an intent."""
        mixes = message.share_5m, message.share_1h, message.share_1d
        return cls(message.category, message.share, message.lift, *mixes)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a user is doing right now.

    Attributes:
        interests: the categories, the largest share first.
        window: 5m, 1h or 1d, back to where it began.
        strength: the probability that it still holds.
        changed: it is not the first of the day.
        changed_at: when it began, where it changed.
        newest_event: when the newest event happened.
    """

    interests: tuple[Interest, ...]
    window: str
    strength: float
    changed: bool
    changed_at: datetime | None
    newest_event: datetime

    @classmethod
    def from_message(cls, message: pb.Intent) -> Intent:
        """The intent of an answer."""
        return cls(
            interests=tuple(map(Interest.from_message, message.interests)),
            window=message.window,
            strength=message.strength,
            changed=message.changed,
            changed_at=message.changed_at.ToDatetime(UTC) if message.HasField("changed_at") else None,
            newest_event=message.newest_event.ToDatetime(UTC),
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            **asdict(self),
            "interests": [asdict(one) for one in self.interests],
            "changed_at": self.changed_at.isoformat() if self.changed_at is not None else None,
            "newest_event": self.newest_event.isoformat(),
        }
