"""Events as browsers write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from router.tracking.reading import Batch, read_body
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import events_pb2 as pb

NOW_S = 1_790_000_000.0
WHOLE: dict[str, Any] = {
    "event_id": "e-1",
    "user_id": "ann",
    "item_id": "hat",
    "interaction": "content-impression",
    "timestamp": "2026-09-21T13:33:20.250+02:00",
    "value": 2.5,
    "request_id": "r-1",
    "carousel": "for-you",
    "position": 0,
    "channel": "email",
    "context": {"campaign": "spring"},
    "user_token": "1.x",
}


def read(given: Any) -> Batch:
    return read_body(json.dumps(given).encode(), NOW_S)


def changed(**fields: Any) -> dict[str, Any]:
    return {**WHOLE, **fields}


def test_an_event_arrives_whole() -> None:
    """Every field of it, and the token beside it."""
    (sent,) = read(WHOLE).sent
    expected = pb.Event(
        event_id="e-1",
        user_id="ann",
        item_id="hat",
        interaction=pb.INTERACTION_CONTENT_IMPRESSION,
        value=2.5,
        request_id="r-1",
        carousel="for-you",
        position=0,
        channel=pb.CHANNEL_EMAIL,
        context={"campaign": "spring"},
    )
    expected.timestamp.FromDatetime(datetime(2026, 9, 21, 11, 33, 20, 250_000, UTC))
    assert (sent.event, sent.user_token) == (expected, "1.x")


@pytest.mark.parametrize("form", [lambda one: one, lambda one: [one], lambda one: {"events": [one]}])
def test_one_a_list_or_an_object_with_a_list(form: Any) -> None:
    """All the same."""
    assert [sent.event.event_id for sent in read(form(WHOLE)).sent] == ["e-1"]


def test_a_field_that_is_null_is_not_given() -> None:
    """A page need not leave out what it does not know."""
    (sent,) = read(changed(position=None, timestamp=None, user_token=None)).sent
    assert not sent.event.HasField("position")
    assert not sent.event.HasField("timestamp")


@pytest.mark.parametrize("wrong_s", [-86_400.0, 7200.0])
def test_a_clock_that_is_wrong_costs_nothing(wrong_s: float) -> None:
    """What was done ten seconds before sending, was done ten seconds ago."""
    theirs = (NOW_S + wrong_s) * 1000
    (sent,) = read({"sent": theirs, "events": [changed(timestamp=theirs - 10_000)]}).sent
    assert sent.event.timestamp.ToNanoseconds() / 1e9 == pytest.approx(NOW_S - 10, abs=0.001)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("event_id", 7, "TEXT_NEEDED"),
        ("user_id", "\ud800", "TEXT_INVALID"),
        ("interaction", "buy", "INTERACTION_UNKNOWN"),
        ("interaction", "unspecified", "INTERACTION_UNKNOWN"),
        ("channel", "pigeon", "CHANNEL_UNKNOWN"),
        ("timestamp", "yesterday", "TIMESTAMP_INVALID"),
        ("timestamp", "2026-09-21T13:33:20", "TIMESTAMP_INVALID"),
        ("timestamp", 1e18, "TIMESTAMP_INVALID"),
        ("timestamp", True, "NUMBER_NEEDED"),
        ("value", "2.5", "NUMBER_NEEDED"),
        ("position", -1, "NUMBER_NEEDED"),
        ("position", 1.5, "NUMBER_NEEDED"),
        ("context", ["a"], "CONTEXT_INVALID"),
        ("context", {"a": 1}, "TEXT_NEEDED"),
        ("iten_id", "hat", "FIELD_UNKNOWN"),
    ],
)
def test_one_that_cannot_be_read_names_its_field(field: str, value: Any, reason: str) -> None:
    """And the others stand."""
    batch = read([WHOLE, changed(event_id="e-2", **{field: value}) if field != "event_id" else changed(event_id=value)])
    (refusal,) = batch.refused
    assert (refusal.index, refusal.field, refusal.reason) == (1, f"events[1].{field}", reason)
    assert [sent.place for sent in batch.sent] == [0]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"NaN", b"[" * 60_000, b'{"events": [{"value": Infinity}]}', b"9" * 10_000]
)
def test_what_is_no_json_is_refused_whole(body: bytes) -> None:
    """Whatever it is instead."""
    with pytest.raises(InvalidArgument) as caught:
        read_body(body, NOW_S)
    assert (caught.value.field, caught.value.reason) == ("body", "JSON_INVALID")


@pytest.mark.parametrize("given", [7, "event", None, [None], {"events": 3}, [[]]])
def test_what_is_no_event_is_refused(given: Any) -> None:
    """By its place."""
    batch = read(given)
    assert (batch.sent, [refusal.field for refusal in batch.refused]) == ([], ["events[0]"])


def test_a_sender_whose_clock_is_no_time_is_refused() -> None:
    """Its events' times would be none either."""
    with pytest.raises(InvalidArgument) as caught:
        read({"sent": "now", "events": [WHOLE]})
    assert caught.value.field == "sent"
