"""What an answer says of itself: frozen values around the receipt of `recommendation.proto`.

The numbers and names of the enums are the contract's and never change their meaning; a value that a newer router has
and this client does not know becomes UNSPECIFIED, since an answer is worth more than its label. What they mean to a
person is told by `trunkshow explain-receipt` and docs/receipts.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Self

from trunkshow.v1 import recommendation_pb2 as pb


class _Contract(IntEnum):
    """An enum of the contract."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls(0)


class Rung(_Contract):
    """The step of the fallback ladder that made a carousel; lower is better."""

    UNSPECIFIED = 0
    FRESH = 1
    SNAPSHOT = 2
    PREVIOUS = 3
    STAND_IN = 4
    SEGMENT = 5
    POPULAR = 6


class Reason(_Contract):
    """Why an answer is not the best one; the contract says what each stands for."""

    UNSPECIFIED = 0
    USER_UNKNOWN = 1
    NOTHING_IN_HAND = 2
    FOLDED_IN = 3
    CONTEXT_ITEM_UNKNOWN = 4
    NO_REPLICA = 5
    SHARD_FAILED = 6
    SHARD_LATE = 7
    PARTITION_MISSING = 8
    CAROUSEL_EMPTY = 9
    MODEL_FAILED = 10
    SNAPSHOT_MISMATCH = 11
    MODEL_LATE = 12
    MODEL_NONSENSE = 13
    CAROUSEL_SHORT = 14
    OVERLOADED = 15
    REDUCED_EFFORT = 16
    CANARY = 17
    STORE_UNREACHABLE = 18
    PARTIAL_ABORTED = 19
    ROUTER_FAILED = 20
    NOT_AS_FRESH = 21


class Effort(_Contract):
    """How much work the shards put in; the more, the better."""

    UNSPECIFIED = 0
    FULL = 1
    REDUCED = 2
    MINIMAL = 3


class Outcome(_Contract):
    """What came of one asking of a shard."""

    UNSPECIFIED = 0
    ANSWERED = 1
    FAILED = 2
    LATE = 3
    CANCELLED = 4
    NOT_HELD = 5
    OVERLOADED = 6


@dataclass(frozen=True, slots=True)
class Stage:
    """The time that one step took, and what it was given; 0 where it had no limit of its own."""

    name: str
    ms: float
    budget_ms: float = 0.0

    @classmethod
    def from_message(cls, message: pb.Stage) -> Stage:
        """The stage of a receipt."""
        return cls(message.name, message.ms, message.budget_ms)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One asking of a shard: whom, for which rung, what came of it, after how many milliseconds.

    Attributes:
        hedge: it was sent because an earlier one took long.
    """

    replica: str
    outcome: Outcome
    ms: float
    rung: Rung
    hedge: bool

    @classmethod
    def from_message(cls, message: pb.Attempt) -> Attempt:
        """The attempt of a receipt."""
        return cls(message.replica, Outcome(message.outcome), message.ms, Rung(message.rung), message.hedge)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Attempt:
        """The attempt that `to_json` wrote."""
        named = {"outcome": Outcome[plain["outcome"]], "rung": Rung[plain["rung"]]}
        return cls(**{**plain, **named})

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {**asdict(self), "outcome": self.outcome.name, "rung": self.rung.name}


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """A model that could not make its carousel, which then stepped down."""

    carousel: str
    model: str
    reason: Reason

    @classmethod
    def from_message(cls, message: pb.ModelFailure) -> ModelFailure:
        """The failure of a receipt."""
        return cls(message.carousel, message.model, Reason(message.reason))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {**asdict(self), "reason": self.reason.name}


DIRECT = "direct"
"""The stage of a receipt that stands for the way to a shard and back, no router between."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer says of itself: how good it is, what it was made from, and where the time went.

    Attributes:
        rung: the first carousel's.
        reasons: everything that made this answer other than a full personal one, each once.
        attempts: all askings of shards, in the order in which they began.
        budget_ms: the time that the request was given.
        watermark: of the event log, up to which the answer knows the user's events; empty where that cannot be said.
        events_folded: the user's events since the snapshot that are in the answer.
        watermark_age_ms: how old that knowledge is at most: what was in the log before then is in the answer; None
            where that cannot be said.
        kept_age_ms: how long before the carousels were made, for the same request, where they were kept; None where
            they were made for this one.
        router: which one answered: as the request ids begin that it makes; empty where a shard was asked directly.
    """

    request_id: str
    rung: Rung
    reasons: tuple[Reason, ...]
    snapshot_version: str
    partitions_asked: int
    partitions_answered: int
    elapsed_ms: float
    stages: tuple[Stage, ...] = ()
    effort: Effort = Effort.UNSPECIFIED
    attempts: tuple[Attempt, ...] = ()
    budget_ms: float = 0.0
    hedged: bool = False
    model_failures: tuple[ModelFailure, ...] = ()
    watermark: str = ""
    events_folded: int = 0
    watermark_age_ms: float | None = None
    kept_age_ms: float | None = None
    router: str = ""

    @property
    def direct(self) -> bool:
        """Whether a shard was asked by the client itself, and this is its answer (`trunkshow.direct`)."""
        return any(stage.name == DIRECT for stage in self.stages)

    @classmethod
    def from_message(cls, message: pb.Receipt) -> Receipt:
        """The receipt of an answer."""
        return cls(
            request_id=message.request_id,
            rung=Rung(message.rung),
            reasons=tuple(Reason(reason) for reason in message.reasons),
            snapshot_version=message.snapshot_version,
            partitions_asked=message.partitions_asked,
            partitions_answered=message.partitions_answered,
            elapsed_ms=message.elapsed_ms,
            stages=tuple(map(Stage.from_message, message.stages)),
            effort=Effort(message.effort),
            attempts=tuple(map(Attempt.from_message, message.attempts)),
            budget_ms=message.budget_ms,
            hedged=message.hedged,
            model_failures=tuple(map(ModelFailure.from_message, message.model_failures)),
            watermark=message.watermark,
            events_folded=message.events_folded,
            watermark_age_ms=message.watermark_age_ms if message.HasField("watermark_age_ms") else None,
            kept_age_ms=message.kept_age_ms if message.HasField("kept_age_ms") else None,
            router=message.router,
        )

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Receipt:
        """The receipt that `to_json` wrote.

        Raises:
            KeyError, TypeError: it wrote something else.
        """
        failures = (ModelFailure(**{**one, "reason": Reason[one["reason"]]}) for one in plain["model_failures"])
        named: dict[str, Any] = {
            "rung": Rung[plain["rung"]],
            "effort": Effort[plain["effort"]],
            "reasons": tuple(Reason[reason] for reason in plain["reasons"]),
            "stages": tuple(Stage(**stage) for stage in plain["stages"]),
            "attempts": tuple(map(Attempt.from_json, plain["attempts"])),
            "model_failures": tuple(failures),
        }
        return cls(**{**plain, **named})

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "request_id": self.request_id,
            "rung": self.rung.name,
            "reasons": [reason.name for reason in self.reasons],
            "snapshot_version": self.snapshot_version,
            "partitions_asked": self.partitions_asked,
            "partitions_answered": self.partitions_answered,
            "elapsed_ms": self.elapsed_ms,
            "stages": [stage.to_json() for stage in self.stages],
            "effort": self.effort.name,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "budget_ms": self.budget_ms,
            "hedged": self.hedged,
            "model_failures": [failure.to_json() for failure in self.model_failures],
            "watermark": self.watermark,
            "events_folded": self.events_folded,
            "watermark_age_ms": self.watermark_age_ms,
            "kept_age_ms": self.kept_age_ms,
            "router": self.router,
        }
