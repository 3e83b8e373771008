"""Whatever events are sent: each is recorded or refused by itself, for a reason that is true of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkshow.errors import InvalidArgument
from trunkshow.eventlog import packing, validation
from trunkshow.eventlog.names import as_built
from trunkshow.eventlog.validation import Policy, check
from trunkshow.v1 import events_pb2 as pb
from trunkshow.v1 import log_pb2

NOW_S = 1_700_000_000.25
POLICY = Policy(age_s_max=86_400)
INTERACTIONS = [value for value in pb.Interaction.values() if value]


def event(**changed: object) -> pb.Event:
    """One that is right, but for what is changed."""
    made = pb.Event(event_id="e", user_id="u", item_id="i", interaction=pb.INTERACTION_CLICK)
    made.timestamp.seconds = int(NOW_S)
    for field, value in changed.items():
        if field == "context":
            made.ClearField("context")
            made.context.update(value)  # type: ignore[call-overload]
        elif field == "timestamp":
            made.timestamp.seconds, made.timestamp.nanos = value  # type: ignore[misc]
        else:
            setattr(made, field, value)
    return made


def bytes_of(least: int, most: int) -> st.SearchStrategy[str]:
    """Texts of so many bytes, of any characters that can be sent."""
    characters = st.characters(exclude_categories=["Cs"])
    return st.text(characters, min_size=least, max_size=most).filter(lambda text: least <= len(text.encode()) <= most)


def names() -> st.SearchStrategy[str]:
    """Texts that a user or an item can have as id."""
    return bytes_of(1, 256).filter(lambda text: text == as_built(text))


def context(entries_max: int, most: int) -> st.SearchStrategy[dict[str, str]]:
    """Contexts of so many entries."""
    return st.dictionaries(bytes_of(0, most), bytes_of(0, most), max_size=entries_max)


RIGHT = st.builds(
    event,
    event_id=bytes_of(1, 64),
    user_id=names(),
    item_id=names(),
    interaction=st.sampled_from(INTERACTIONS),
    timestamp=st.tuples(st.integers(int(NOW_S) - 86_399, int(NOW_S) + 299), st.integers(0, 999_999_999)),
    value=st.floats(allow_nan=False, allow_infinity=False, width=32),
    request_id=bytes_of(0, 256),
    carousel=bytes_of(0, 256),
    position=st.integers(0, 9_999),
    channel=st.sampled_from(list(pb.Channel.values())),
    context=context(2, 20),
)
FAULTS = [
    ({"event_id": ""}, "event_id", "EVENT_ID_EMPTY"),
    ({"event_id": "é" * 33}, "event_id", "EVENT_ID_TOO_LONG"),
    ({"user_id": ""}, "user_id", "USER_ID_EMPTY"),
    ({"user_id": "u\u00a0"}, "user_id", "USER_ID_BLANKS"),
    ({"item_id": " i"}, "item_id", "ITEM_ID_BLANKS"),
    ({"user_id": "7.0"}, "user_id", "USER_ID_ZERO_FRACTION"),
    ({"user_id": "u" * 257}, "user_id", "USER_ID_TOO_LONG"),
    ({"item_id": ""}, "item_id", "ITEM_ID_EMPTY"),
    ({"item_id": "🎈" * 65}, "item_id", "ITEM_ID_TOO_LONG"),
    ({"item_id": "i" * 257, "interaction": pb.INTERACTION_SEARCH}, "item_id", "ITEM_ID_TOO_LONG"),
    ({"interaction": 0}, "interaction", "INTERACTION_UNSPECIFIED"),
    ({"interaction": 77}, "interaction", "INTERACTION_UNKNOWN"),
    ({"timestamp": (int(NOW_S), 1_000_000_000)}, "timestamp", "TIMESTAMP_INVALID"),
    ({"timestamp": (int(NOW_S), -1)}, "timestamp", "TIMESTAMP_INVALID"),
    ({"timestamp": (int(NOW_S) + 301, 0)}, "timestamp", "TIMESTAMP_FUTURE"),
    ({"timestamp": (int(NOW_S) - 86_400, 0)}, "timestamp", "TIMESTAMP_ANCIENT"),
    ({"timestamp": (-1, 0)}, "timestamp", "TIMESTAMP_ANCIENT"),
    ({"value": math.nan}, "value", "VALUE_NOT_FINITE"),
    ({"value": -math.inf}, "value", "VALUE_NOT_FINITE"),
    ({"position": 10_000}, "position", "POSITION_TOO_LARGE"),
    ({"channel": 9}, "channel", "CHANNEL_UNKNOWN"),
    ({"request_id": "r" * 257}, "request_id", "REQUEST_ID_TOO_LONG"),
    ({"carousel": "c" * 257}, "carousel", "CAROUSEL_TOO_LONG"),
    ({"context": {str(key): "" for key in range(17)}}, "context", "CONTEXT_TOO_MANY"),
    ({"context": {"k" * 257: ""}}, "context", "CONTEXT_TOO_LONG"),
    ({"context": {"k": "é" * 129}}, "context", "CONTEXT_TOO_LONG"),
]


@settings(max_examples=40)
@given(st.lists(RIGHT, min_size=1, max_size=8))
def test_what_keeps_the_contract_is_recorded_as_it_is(events: list[pb.Event]) -> None:
    """Nothing is changed, and nothing is moved."""
    checked = check(events, NOW_S, POLICY)
    assert (list(checked.right), list(checked.refused)) == (events, [])


@settings(max_examples=40)
@given(st.lists(st.one_of(RIGHT, st.sampled_from(FAULTS)), min_size=1, max_size=8))
def test_each_is_judged_by_itself(batch: list[pb.Event | tuple[dict[str, object], str, str]]) -> None:
    """A refusal names its index, its field and its reason, and costs no other event its place."""
    events = [one if isinstance(one, pb.Event) else event(**one[0]) for one in batch]
    checked = check(events, NOW_S, POLICY)
    wanted = [(index, f"events[{index}].{one[1]}", one[2]) for index, one in enumerate(batch) if isinstance(one, tuple)]
    assert [(one.index, one.field, one.reason) for one in checked.refused] == wanted
    assert list(checked.right) == [one for one in batch if isinstance(one, pb.Event)]


@pytest.mark.parametrize(("changed", "field", "reason"), FAULTS)
def test_a_message_names_the_field_and_what_is_allowed(changed: dict[str, object], field: str, reason: str) -> None:
    """In one line, and short: it goes into an answer for each of a thousand."""
    (refusal,) = check([event(**changed)], NOW_S, POLICY).refused
    assert refusal.reason == reason
    assert refusal.message.startswith(f"events[0].{field}: ")
    assert "\n" not in refusal.message
    assert len(refusal.message) < 500
    assert len(refusal.event_id.encode()) <= validation.EVENT_ID_BYTES_MAX


def test_a_search_needs_no_item() -> None:
    """It is for a text."""
    assert not check([event(item_id="", interaction=pb.INTERACTION_SEARCH)], NOW_S, POLICY).refused


def test_an_event_without_a_time_gets_that_of_its_receipt() -> None:
    """In a copy: what the caller sent stays as it was sent."""
    sent = event()
    sent.ClearField("timestamp")
    (right,) = check([sent], NOW_S, POLICY).right
    assert (right.timestamp.seconds, right.timestamp.nanos) == (1_700_000_000, 250_000_000)
    assert not sent.HasField("timestamp")


def test_fields_of_later_releases_count_too() -> None:
    """What is not known here cannot be used to fill the log."""
    unknown = b"\xfa\x07" + b"\xa0\x8d\x06" + b"x" * 100_000  # field 127, 100,000 bytes
    fat = pb.Event.FromString(event().SerializeToString() + unknown)
    (refusal,) = check([fat], NOW_S, POLICY).refused
    assert (refusal.field, refusal.reason) == ("events[0]", "EVENT_TOO_LARGE")


@pytest.mark.parametrize(("count", "reason"), [(0, "EVENTS_EMPTY"), (1001, "EVENTS_TOO_MANY")])
def test_a_batch_that_is_none_is_refused_whole(count: int, reason: str) -> None:
    """It names the field, too."""
    with pytest.raises(InvalidArgument, match="events: ") as refused:
        check([event()] * count, NOW_S, POLICY)
    assert (refused.value.field, refused.value.reason) == ("events", reason)


@settings(max_examples=40)
@given(st.lists(RIGHT, min_size=1, max_size=12), st.integers(1, 5))
def test_records_hold_every_event_once_in_each_users_order(events: list[pb.Event], lanes: int) -> None:
    """And a user's events in one lane."""
    by_lane: dict[int, list[pb.Event]] = {}
    for packed in packing.pack(events, NOW_S, lanes):
        by_lane.setdefault(packed.lane, []).extend(log_pb2.Record.FromString(packed.data).events)
    wanted: dict[int, list[pb.Event]] = {}
    for one in events:
        wanted.setdefault(packing.lane_of(one.user_id, lanes), []).append(one)
    assert by_lane == wanted


def test_the_largest_call_is_divided_into_records_that_the_log_takes() -> None:
    """A thousand events as large as events may be."""
    context = {f"{key:>256}": "v" * 256 for key in range(16)}
    events = [event(event_id=str(number), user_id="u" * 256, context=context) for number in range(1000)]
    assert not check(events, NOW_S, POLICY).refused
    records = [packed.data for packed in packing.pack(events, NOW_S)]
    assert max(map(len, records)) <= packing.RECORD_BYTES_MAX + 64
    assert sum(len(log_pb2.Record.FromString(data).events) for data in records) == 1000
    assert len(records) == math.ceil(sum(map(len, records)) / packing.RECORD_BYTES_MAX)
