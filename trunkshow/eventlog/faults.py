"""What is wrong with one record of those that were sent, and how its sender is told: the same for events and for items.

Every refusal names the field as the contract writes it, such as `events[3].timestamp`, has a stable reason, and says
what is allowed. Which limits there are is left to `validation` and `item_validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import Message

from trunkshow.errors import InvalidArgument


class Fault(NamedTuple):
    """What is wrong with a record.

    Attributes:
        field: its own name; empty for the whole.
        reason: a stable word.
        what: is wrong, with what is allowed.
    """

    field: str
    reason: str
    what: str

    def at(self, records: str, index: int) -> str:
        """The field as the contract writes it, of one record among others."""
        return f"{records}[{index}].{self.field}" if self.field else f"{records}[{index}]"


def check_count(records: str, given: Sequence[Message], most: int) -> None:
    """Refuse a call that has none, or too many.

    Raises:
        InvalidArgument: it has.
    """
    if not given:
        message = f"{records}: none given; 1 to {most} are allowed"
        raise InvalidArgument(message, field=records, reason=f"{records.upper()}_EMPTY")
    if len(given) > most:
        message = f"{records}: {len(given)} given; at most {most} are allowed"
        raise InvalidArgument(message, field=records, reason=f"{records.upper()}_TOO_MANY")


def too_long(field: str, value: str, bytes_max: int, name: str = "") -> Fault | None:
    """Whether a text is; the reason begins with `name`, or the field's own."""
    # Fewer characters than a quarter of the limit cannot be too many bytes: no encoding for the usual id.
    if len(value) <= bytes_max // 4 or (size := len(value.encode())) <= bytes_max:
        return None
    return Fault(field, f"{name or field.upper()}_TOO_LONG", f"{size} bytes; at most {bytes_max} are allowed")


def too_large(record: Message, bytes_max: int, name: str) -> Fault | None:
    """Whether a whole record is."""
    size = record.ByteSize()
    if size <= bytes_max:
        return None
    return Fault("", f"{name}_TOO_LARGE", f"{size} bytes; at most {bytes_max} are allowed")


def cut(text: str, bytes_max: int) -> str:
    """As much of a text as fits."""
    return text.encode()[:bytes_max].decode(errors="ignore")
