"""An event in an image's address."""

from __future__ import annotations

import struct
from urllib.parse import urlencode

from router.tracking import pixel
from router.tracking.pixel import GIF, read_query


def test_the_pixel_is_a_transparent_one() -> None:
    """43 bytes: one by one, and its one colour is the transparent one."""
    assert len(GIF) == 43
    assert (GIF[:6], struct.unpack("<HH", GIF[6:10])) == (b"GIF89a", (1, 1))
    control = GIF.index(b"\x21\xf9\x04")
    assert GIF[control + 3] & 1


def test_fields_are_parameters() -> None:
    """Numbers and context among them; what else is in the address is passed over."""
    given = {
        "event_id": "mail-7-ann",
        "user_id": "ann & bob",
        "item_id": "hat",
        "interaction": "impression",
        "channel": "email",
        "position": "3",
        "value": "2.5",
        "timestamp": "1790000000000",
        "context.campaign": "spring",
        "user_token": "1.x",
        "utm_source": "mail",
        "_": "123",
    }
    (sent,) = read_query(urlencode(given).encode()).sent
    event = sent.event
    assert (event.event_id, event.user_id, event.position, event.value) == ("mail-7-ann", "ann & bob", 3, 2.5)
    assert (event.timestamp.seconds, dict(event.context), sent.user_token) == (
        1_790_000_000,
        {"campaign": "spring"},
        "1.x",
    )


def test_an_event_without_an_id_gets_one() -> None:
    """So each load counts."""
    assert [sent.event.event_id for sent in read_query(b"user_id=ann", lambda: "made").sent] == ["made"]


def test_what_cannot_be_read_is_refused_by_its_field() -> None:
    """It is for the counters; the sender gets the pixel all the same."""
    assert [one.field for one in read_query(b"interaction=impression&position=third").refused] == ["events[0].position"]
    too_many = b"&".join(b"a=1" for _ in range(pixel.PARAMETERS_MAX + 1))
    assert [one.reason for one in read_query(too_many).refused] == ["EVENT_INVALID"]
