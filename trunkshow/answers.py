"""What a caller asks for and what they get: frozen values around the contract of `recommendation.proto`.

Nothing here does I/O; `trunkshow.client` moves these values over the wire. Every answer has `to_json`, a dict
of plain values with enums by name. What an answer says of itself is `trunkshow.receipts`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from google.protobuf.message import Message

from trunkshow.errors import InvalidArgument
from trunkshow.intents import Intent
from trunkshow.receipts import Receipt, Rung
from trunkshow.v1 import recommendation_pb2 as pb

Written = TypeVar("Written", bound=Message)

NO_ATTRIBUTES: Mapping[str, Sequence[str]] = MappingProxyType({})


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
        worst_rung: rather no answer (`PartialAborted`) than a carousel of a lower rung; None takes what can be had.
        at_least_as_fresh: watermark of recorded events that are to be in the slate; where they did not arrive in time,
            the receipt says `NOT_AS_FRESH`.
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
    worst_rung: Rung | None = None
    at_least_as_fresh: str = ""

    def to_message(self) -> pb.RecommendRequest:
        """The request as the contract writes it.

        Raises:
            InvalidArgument: a field cannot be written, such as a negative number or half a surrogate pair.
        """
        return written(
            pb.RecommendRequest,
            user_id=self.user_id,
            surface=self.surface,
            context_item_ids=self.items,
            carousels=self.carousels,
            items_per_carousel=self.items_per_carousel,
            exclude_item_ids=self.exclude,
            filters=filters(self.categories, self.attributes, include_unavailable=self.include_unavailable),
            include_seen=self.include_seen,
            partial=pb.PARTIAL_UNSPECIFIED if self.worst_rung is None else pb.PARTIAL_ABORT,
            worst_rung=pb.RUNG_UNSPECIFIED if self.worst_rung is None else self.worst_rung.value,
            at_least_as_fresh=self.at_least_as_fresh,
        )


def filters(
    categories: Sequence[str], attributes: Mapping[str, Sequence[str]], *, include_unavailable: bool
) -> pb.Filters:
    """What may be shown, as the contract writes it.

    Raises:
        InvalidArgument: a field cannot be written.
    """
    return written(
        pb.Filters,
        "filters.",
        categories=categories,
        attributes=[
            written(pb.AttributeFilter, "filters.attributes.", name=name, values=values)
            for name, values in attributes.items()
        ],
        include_unavailable=include_unavailable,
    )


def similar_items_request(item_id: str, items: int, allowed: pb.Filters) -> pb.SimilarItemsRequest:
    """A question for similar items, as the contract writes it.

    Raises:
        InvalidArgument: a field cannot be written.
    """
    return written(pb.SimilarItemsRequest, item_id=item_id, items=items, filters=allowed)


def written(kind: type[Written], within: str = "", /, **fields: Any) -> Written:
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
class Slate:
    """One user's page: carousels in the order asked for, the receipt, and what the user is doing where it is known."""

    carousels: tuple[Carousel, ...]
    receipt: Receipt
    intent: Intent | None = None

    @classmethod
    def from_message(cls, message: pb.RecommendResponse) -> Slate:
        """The slate of an answer."""
        carousels = tuple(map(Carousel.from_message, message.carousels))
        intent = Intent.from_message(message.intent) if message.HasField("intent") else None
        return cls(carousels, Receipt.from_message(message.receipt), intent)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "carousels": [carousel.to_json() for carousel in self.carousels],
            "receipt": self.receipt.to_json(),
            "intent": self.intent.to_json() if self.intent is not None else None,
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
