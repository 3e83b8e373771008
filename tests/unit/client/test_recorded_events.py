"""Events as a client writes them."""

from __future__ import annotations

import pytest

from trunkshow.events import REQUEST_BYTES, STREAMED_EVENTS, Channel, Event, Interaction, grouped, stream_of
from trunkshow.v1 import events_pb2 as pb


def test_names_are_those_of_the_contract() -> None:
    """Every interaction and channel has its namesake with the same number."""
    assert {f"INTERACTION_{one.name}": one.value for one in Interaction} == {
        name: number for name, number in pb.Interaction.items() if number
    }
    assert {f"CHANNEL_{one.name}": one.value for one in Channel} == dict(pb.Channel.items())


@pytest.mark.parametrize("name", ["content-impression", "CONTENT_IMPRESSION", " Content-Impression "])
def test_an_interaction_may_be_written_as_people_do(name: str) -> None:
    """In either case, with a hyphen or an underscore."""
    assert Event("u", "banner", name).to_message().interaction == pb.INTERACTION_CONTENT_IMPRESSION


def test_what_is_not_known_of_an_event_is_not_sent() -> None:
    """A value of nothing is another thing than none."""
    bare, said = Event("u", "i", "view").to_message(), Event("u", "i", "view", value=0, position=0).to_message()
    assert [bare.HasField(name) for name in ("timestamp", "value", "position")] == [False] * 3
    assert [said.HasField(name) for name in ("value", "position")] == [True] * 2


def test_a_stream_is_divided_by_number_and_by_size() -> None:
    """A router takes no request of more than a mebibyte, however few events it holds."""
    small = [len(one.events) for one in stream_of(Event("u", "i", "view") for _ in range(STREAMED_EVENTS + 1))]
    context = {str(number): "x" * 250 for number in range(16)}
    large = list(stream_of(Event("u", "i", "view", context=context) for _ in range(STREAMED_EVENTS)))
    assert small == [STREAMED_EVENTS, 1]
    assert sum(len(one.events) for one in large) == STREAMED_EVENTS
    assert all(one.ByteSize() < 2 * REQUEST_BYTES for one in large)
    assert len(large) > 1


def test_what_is_too_large_for_any_group_is_one_of_its_own() -> None:
    """Who takes it, says so."""
    assert list(grouped([1, REQUEST_BYTES + 1, 2], 10, int)) == [[1], [REQUEST_BYTES + 1], [2]]
