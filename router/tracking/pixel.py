"""The pixel: an event in an image's address, for e-mails and for pages without scripts. Pure.

    /p.gif?user_id=…&item_id=…&interaction=impression&event_id=…&channel=email&context.campaign=spring

Parameters are the fields of an event. Without an `event_id` one is made here, and every load counts; with one, which is
right for e-mails, all loads of a day count once (docs/tracking.md). What is no field is passed over: senders of mails
add parameters of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from router.tracking import reading
from router.tracking.reading import Batch

GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""One transparent pixel, in 43 bytes."""

NEVER_CACHED = {"Cache-Control": "no-store, no-cache, must-revalidate, max-age=0", "Pragma": "no-cache", "Expires": "0"}
PARAMETERS_MAX = 64
_CONTEXT = "context."


def read_query(query: bytes, made_id: Callable[[], str] = lambda: secrets.token_hex(16)) -> Batch:
    """Read an address's query.

    Args:
        query: what stands behind the question mark.
        made_id: gives an event its id, where it came without.
    """
    try:
        given = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
    except ValueError:
        return reading.read_all([None])
    parameters = dict(given)
    event: dict[str, Any] = {name: _value(name, text) for name, text in parameters.items() if name in reading.FIELDS}
    event["context"] = {
        name.removeprefix(_CONTEXT): text for name, text in parameters.items() if name.startswith(_CONTEXT)
    }
    return reading.read_all([{"event_id": made_id(), **event}])


def _value(name: str, text: str) -> Any:
    """As JSON would have it; what is no number stays a text, and is refused as one."""
    with suppress(ValueError):
        return _NUMBERS[name](text) if name in _NUMBERS else text
    return text


_NUMBERS: Mapping[str, Callable[[str], float]] = {"value": float, "position": int, "timestamp": int}
