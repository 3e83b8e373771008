"""What a caller asks for and what they get: frozen values around the contract of `recommendation.proto`.

Nothing here does I/O; `trunkshow.client` moves these values over the wire. Every answer has `to_json`, a dict
of plain values with enums by name.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, TypeVar

from google.protobuf.message import Message

from trunkshow.errors import InvalidArgument
from trunkshow.v1 import recommendation_pb2 as pb

Written = TypeVar("Written", bound=Message)

NO_ATTRIBUTES: Mapping[str, Sequence[str]] = MappingProxyType({})


class Rung(IntEnum):
    """The step of the fallback ladder that made a carousel; lower is better."""

    UNSPECIFIED = 0
    FRESH = 1
    SNAPSHOT = 2
    PREVIOUS = 3
    STAND_IN = 4
    SEGMENT = 5
    POPULAR = 6

    @classmethod
    def _missing_(cls, value: object) -> Rung:
        # A newer router may know more rungs than this client; an answer is worth more than its label.
        return cls.UNSPECIFIED


class Reason(IntEnum):
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

    @classmethod
    def _missing_(cls, value: object) -> Reason:
        return cls.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class SlateRequest:
    """One user's slate, as asked for; also one line of a batch. The router checks the contract's limits.

    Attributes:
        user_id: 1 to 256 bytes; a user nobody has seen is answered too.
        surface: home, product, basket, last_call, search or email; empty means home.
        items: in hand, newest first (session, basket, product page); at most 100.
        carousels: wanted, in order; empty means the surface's own.
        items_per_carousel: 1 to 100; 0 means 10.
        exclude: items never shown; at most 1,000.
        categories: any one of these; empty means all.
        attributes: for each name, any one of its values; every name must hold.
        include_unavailable: also what the catalogue marks as not available.
        include_seen: also what the user already had.
    """

    user_id: str
    surface: str = ""
    items: Sequence[str] = ()
    carousels: Sequence[str] = ()
    items_per_carousel: int = 0
    exclude: Sequence[str] = ()
    categories: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=lambda: NO_ATTRIBUTES)
    include_unavailable: bool = False
    include_seen: bool = False

    def to_message(self) -> pb.RecommendRequest:
        """The request as the contract writes it.

        Raises:
            InvalidArgument: a field cannot be written, such as a negative number or half a surrogate pair.
        """
        return _written(
            pb.RecommendRequest,
            user_id=self.user_id,
            surface=self.surface,
            context_item_ids=self.items,
            carousels=self.carousels,
            items_per_carousel=self.items_per_carousel,
            exclude_item_ids=self.exclude,
            filters=filters(self.categories, self.attributes, include_unavailable=self.include_unavailable),
            include_seen=self.include_seen,
        )


def filters(
    categories: Sequence[str], attributes: Mapping[str, Sequence[str]], *, include_unavailable: bool
) -> pb.Filters:
    """What may be shown, as the contract writes it.

    Raises:
        InvalidArgument: a field cannot be written.
    """
    return _written(
        pb.Filters,
        "filters.",
        categories=categories,
        attributes=[
            _written(pb.AttributeFilter, "filters.attributes.", name=name, values=values)
            for name, values in attributes.items()
        ],
        include_unavailable=include_unavailable,
    )


def similar_items_request(item_id: str, items: int, allowed: pb.Filters) -> pb.SimilarItemsRequest:
    """A question for similar items, as the contract writes it.

    Raises:
        InvalidArgument: a field cannot be written.
    """
    return _written(pb.SimilarItemsRequest, item_id=item_id, items=items, filters=allowed)


def _written(kind: type[Written], within: str = "", /, **fields: Any) -> Written:
    """A message of these fields. What protobuf cannot write the router would refuse, so it is refused here alike.

    Raises:
        InvalidArgument: naming the first field at fault; protobuf itself names none, so each is tried alone.
    """
    try:
        return kind(**fields)
    except ValueError:  # a number out of its type's range; UnicodeError is one too
        for name, value in fields.items():
            try:
                kind(**{name: value})
            except ValueError as error:
                why = error.reason if isinstance(error, UnicodeEncodeError | UnicodeDecodeError) else "out of range"
                message = f"{within}{name}: {reprlib.repr(value)} cannot be sent ({why})"
                raise InvalidArgument(message, field=f"{within}{name}") from error
        raise


@dataclass(frozen=True, slots=True)
class Item:
    """One recommended item; scores of different sources cannot be compared."""

    item_id: str
    score: float
    reason: str

    @classmethod
    def from_message(cls, message: pb.Item) -> Item:
        """The item of an answer."""
        return cls(message.item_id, message.score, message.reason)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {"item_id": self.item_id, "score": self.score, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Carousel:
    """A titled list of items, best first, with the model (`source`) and the rung that made it."""

    id: str
    title: str
    source: str
    rung: Rung
    items: tuple[Item, ...]

    @classmethod
    def from_message(cls, message: pb.Carousel) -> Carousel:
        """The carousel of an answer."""
        items = tuple(map(Item.from_message, message.items))
        return cls(message.id, message.title, message.source, Rung(message.rung), items)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "id": self.id,
            "title": self.title,
            "source": self.source,
            "rung": self.rung.name,
            "items": [item.to_json() for item in self.items],
        }


@dataclass(frozen=True, slots=True)
class Stage:
    """The time that one step took, in milliseconds."""

    name: str
    ms: float

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {"name": self.name, "ms": self.ms}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer says of itself: how good it is, what it was made from, and where the time went."""

    request_id: str
    rung: Rung
    reasons: tuple[Reason, ...]
    snapshot_version: str
    partitions_asked: int
    partitions_answered: int
    elapsed_ms: float
    stages: tuple[Stage, ...]

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
            stages=tuple(Stage(stage.name, stage.ms) for stage in message.stages),
        )

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
        }


@dataclass(frozen=True, slots=True)
class Slate:
    """One user's page: carousels in the order asked for, and the receipt."""

    carousels: tuple[Carousel, ...]
    receipt: Receipt

    @classmethod
    def from_message(cls, message: pb.RecommendResponse) -> Slate:
        """The slate of an answer."""
        carousels = tuple(map(Carousel.from_message, message.carousels))
        return cls(carousels, Receipt.from_message(message.receipt))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "carousels": [carousel.to_json() for carousel in self.carousels],
            "receipt": self.receipt.to_json(),
        }


@dataclass(frozen=True, slots=True)
class SimilarItems:
    """What goes with an item, nearest first; empty where nobody had it together with another."""

    carousel: Carousel
    receipt: Receipt

    @classmethod
    def from_message(cls, message: pb.SimilarItemsResponse) -> SimilarItems:
        """The items of an answer."""
        return cls(Carousel.from_message(message.carousel), Receipt.from_message(message.receipt))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {"carousel": self.carousel.to_json(), "receipt": self.receipt.to_json()}
