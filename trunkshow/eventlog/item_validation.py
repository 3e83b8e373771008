"""Which items may be recorded: the contract's limits on each, one by one.

As of events (`trunkshow.eventlog.validation`) what is right in a batch is kept, and what is not is refused, each by
itself (`faults`). Pure: the time comes in.

What the builder would read another way is refused rather than recorded: it takes blanks around a text for none, and an
item `7.0` for the item `7`. A category or a value of an attribute that it would write another way, `2` for `2.0`, is
recorded as it would be built: else it would be like no item that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from trunkshow.eventlog.faults import Fault, check_count, cut, too_large, too_long
from trunkshow.eventlog.names import as_built, rewritten
from trunkshow.eventlog.validation import EVENT_BYTES_MAX, FUTURE_S_MAX, ID_BYTES_MAX
from trunkshow.v1 import events_pb2 as pb

ITEMS_MAX = 1000
TITLE_BYTES_MAX = 1024
TEXT_BYTES_MAX = 256
"""Of a category, an attribute's name, its value, and an occasion."""

ATTRIBUTES_MAX = 32
OCCASIONS_MAX = 32
ITEM_BYTES_MAX = EVENT_BYTES_MAX
_NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """Why an item is not recorded.

    Attributes:
        index: of the item in its batch.
        item_id: as it was sent, cut to what an id may have.
        field: at fault, such as `items[3].category`.
        reason: a stable word.
        message: for a person, with what is allowed.
    """

    index: int
    item_id: str
    field: str
    reason: str
    message: str

    def to_message(self) -> pb.RefusedItem:
        """As the contract has it."""
        return pb.RefusedItem(**asdict(self))


class CheckedItems(NamedTuple):
    """A batch, sorted out: items to record, each with its time, in the batch's order; and the others."""

    right: Sequence[pb.NewItem]
    refused: Sequence[RefusedItem]


def check(items: Sequence[pb.NewItem], now_s: float) -> CheckedItems:
    """Sort a batch out.

    Args:
        items: of one call; none of them is changed.
        now_s: seconds since the epoch.

    Raises:
        InvalidArgument: there are none, or too many.
    """
    check_count("items", items, ITEMS_MAX)
    right, refused = [], []
    for index, item in enumerate(items):
        fault = _fault(item, now_s)
        if fault is None:
            right.append(_as_built(item, now_s))
        else:
            refused.append(_refusal(index, item, fault))
    return CheckedItems(right, refused)


def _fault(item: pb.NewItem, now_s: float) -> Fault | None:
    """The first thing that is wrong with an item."""
    return (
        _id_fault(item.id)
        or too_long("title", item.title, TITLE_BYTES_MAX)
        or (_text_fault("category", "CATEGORY", item.category, TEXT_BYTES_MAX) if item.category else None)
        or _attributes_fault(item)
        or _created_fault(item, now_s)
        or _occasions_fault(item)
        or too_large(item, ITEM_BYTES_MAX, "ITEM")
    )


def _id_fault(item_id: str) -> Fault | None:
    fault = _text_fault("id", "ITEM_ID", item_id, ID_BYTES_MAX)
    if fault is None and (found := rewritten(item_id)) is not None:
        reason, what = found
        return Fault("id", f"ITEM_ID_{reason}", what)
    return fault


def _text_fault(field: str, reason: str, value: str, bytes_max: int) -> Fault | None:
    if not value.strip():
        return Fault(field, f"{reason}_EMPTY", f"empty; 1 to {bytes_max} bytes are allowed")
    if value != value.strip():
        return Fault(field, f"{reason}_BLANKS", "has blanks before or after it, which a build would take away")
    return too_long(field, value, bytes_max, reason)


def _attributes_fault(item: pb.NewItem) -> Fault | None:
    if len(item.attributes) > ATTRIBUTES_MAX:
        what = f"{len(item.attributes)} given; at most {ATTRIBUTES_MAX} are allowed"
        return Fault("attributes", "ATTRIBUTES_TOO_MANY", what)
    texts = (text for pair in sorted(item.attributes.items()) for text in pair)
    return _first("attributes", "ATTRIBUTE", texts)


def _occasions_fault(item: pb.NewItem) -> Fault | None:
    if len(item.occasions) > OCCASIONS_MAX:
        what = f"{len(item.occasions)} given; at most {OCCASIONS_MAX} are allowed"
        return Fault("occasions", "OCCASIONS_TOO_MANY", what)
    return _first("occasions", "OCCASION", item.occasions)


def _first(field: str, reason: str, texts: Iterable[str]) -> Fault | None:
    faults = (_text_fault(field, reason, text, TEXT_BYTES_MAX) for text in texts)
    return next((fault for fault in faults if fault is not None), None)


def _created_fault(item: pb.NewItem, now_s: float) -> Fault | None:
    if not item.HasField("created"):
        return None
    if not 0 <= item.created.nanos < _NANOS or item.created.seconds < 0:
        what = f"{item.created.seconds} s and {item.created.nanos} ns; a time since 1970 is needed"
        return Fault("created", "CREATED_INVALID", what)
    ahead_s = item.created.seconds + item.created.nanos / _NANOS - now_s
    if ahead_s > FUTURE_S_MAX:
        what = f"{ahead_s:.0f} s in the future; at most {FUTURE_S_MAX:g} s are allowed"
        return Fault("created", "CREATED_FUTURE", what)
    return None


def _refusal(index: int, item: pb.NewItem, fault: Fault) -> RefusedItem:
    field = fault.at("items", index)
    return RefusedItem(index, cut(item.id, ID_BYTES_MAX), field, fault.reason, f"{field}: {fault.what}")


def _as_built(item: pb.NewItem, now_s: float) -> pb.NewItem:
    """With its category and its attributes as a build writes them, and the time where it has none."""
    if item.HasField("created") and not any(map(rewritten, (item.category, *item.attributes.values()))):
        return item
    made = pb.NewItem()
    made.CopyFrom(item)
    made.category = as_built(item.category)
    for name, value in item.attributes.items():
        made.attributes[name] = as_built(value)
    if not item.HasField("created"):
        made.created.seconds = int(now_s)
    return made
