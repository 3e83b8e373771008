"""New items, to be recorded, and what became of them: frozen values around the contract of `events.proto`.

Nothing here does I/O; `trunkshow.client` moves these values over the wire. The same item again replaces what was
recorded of it, so that whatever fails may be sent again as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from trunkshow.answers import written
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import events_pb2 as pb

ITEMS_MAX = 1000
"""Of one call."""

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item that no build has seen yet.

    Attributes:
        id: 1 to 256 bytes.
        title: for shoppers; the id where empty.
        category: by its name in the catalogue.
        attributes: by the names of the catalogue's columns; at most 32.
        available: False withdraws the item.
        created: since when it is new, with its time zone; None is the time at which the router receives it.
        occasions: that it belongs to, from the next build on.
    """

    id: str
    title: str = ""
    category: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    available: bool = True
    created: datetime | None = None
    occasions: Sequence[str] = ()

    def to_message(self) -> pb.NewItem:
        """The item as the contract writes it.

        Raises:
            InvalidArgument: a field cannot be written, such as a time without its zone.
        """
        if self.created is not None and self.created.tzinfo is None:
            raise InvalidArgument("created: it has no time zone; use datetime.now(UTC)", field="created")
        return written(
            pb.NewItem,
            id=self.id,
            title=self.title,
            category=self.category,
            attributes=self.attributes,
            available=None if self.available else False,
            created=self.created,
            occasions=self.occasions,
        )


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """An item that was not recorded: where it stood in the call, its field at fault, why as a word and in words."""

    index: int
    item_id: str
    field: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RecordedItems:
    """What became of items.

    Attributes:
        recorded: how many are in their log.
        refused: those that break the contract, and why.
        watermark: of the items' log once it had these; empty where none was recorded.
    """

    recorded: int
    refused: tuple[RefusedItem, ...]
    watermark: str

    @classmethod
    def from_message(cls, message: pb.RecordItemsResponse) -> RecordedItems:
        """The answer of a call."""
        refused = (RefusedItem(one.index, one.item_id, one.field, one.reason, one.message) for one in message.refused)
        return cls(message.recorded, tuple(refused), message.watermark)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self)


def items_request(items: NewItem | Iterable[NewItem]) -> pb.RecordItemsRequest:
    """A call's request.

    Raises:
        InvalidArgument: an item cannot be written; its field says which.
    """
    several = (items,) if isinstance(items, NewItem) else items
    return pb.RecordItemsRequest(items=[_message(one, index) for index, one in enumerate(several)])


def _message(item: NewItem, index: int) -> pb.NewItem:
    try:
        return item.to_message()
    except InvalidArgument as error:
        field = f"items[{index}].{error.field}"
        raise InvalidArgument(f"items[{index}].{error.message}", field=field) from error
