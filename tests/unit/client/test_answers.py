"""The client's values: what they keep of a message, and what they write as JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest
from scripted_router import SIMILAR, SLATE, STATUS

from trunkshow.answers import SimilarItems, Slate, SlateRequest
from trunkshow.cluster import ClusterStatus, ShardState
from trunkshow.intents import Interest
from trunkshow.receipts import Reason, Rung
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


def test_enums_are_those_of_the_contract() -> None:
    """Every rung, reason and state of the contract has its namesake with the same number."""
    assert {rung.name: rung.value for rung in Rung} == unprefixed(pb.Rung, "RUNG_")
    assert {reason.name: reason.value for reason in Reason} == unprefixed(pb.Reason, "REASON_")
    assert {state.name: state.value for state in ShardState} == unprefixed(shard_pb2.ShardState, "SHARD_STATE_")


def unprefixed(enum: object, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in enum.items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value", [Slate.from_message(SLATE), SimilarItems.from_message(SIMILAR), ClusterStatus.from_message(STATUS)]
)
def test_json_of_an_answer_is_plain(value: Slate | SimilarItems | ClusterStatus) -> None:
    """An answer's JSON survives being written and read, with nothing but plain values in it."""
    plain = value.to_json()
    assert json.loads(json.dumps(plain)) == plain


def test_json_of_a_slate_names_its_enums() -> None:
    """Rungs and reasons are written by name."""
    plain = Slate.from_message(SLATE).to_json()
    assert plain["carousels"][1]["rung"] == "POPULAR"
    assert plain["receipt"]["reasons"] == ["SHARD_LATE", "PARTITION_MISSING"]


def test_an_intent_is_kept_and_written() -> None:
    """With its moments; a slate without one has none."""
    message = pb.RecommendResponse(intent=pb.Intent(window="5m", strength=0.5, changed=True))
    message.intent.interests.add(category="party", share=0.5, lift=4, share_5m=1)
    message.intent.changed_at.FromMilliseconds(61_000)
    message.intent.newest_event.FromMilliseconds(62_000)
    intent = Slate.from_message(message).intent
    assert intent is not None
    assert intent.interests == (Interest("party", 0.5, 4, 1),)
    plain = intent.to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["changed_at"], plain["window"]) == ("1970-01-01T00:01:01+00:00", "5m")
    assert Slate.from_message(pb.RecommendResponse()).to_json()["intent"] is None


def test_a_request_of_defaults_is_an_empty_message() -> None:
    """What the caller leaves out is left to the router."""
    assert SlateRequest("bob").to_message() == pb.RecommendRequest(user_id="bob", filters=pb.Filters())


def test_answers_cannot_be_changed() -> None:
    """Answers are frozen."""
    slate = Slate.from_message(SLATE)
    with pytest.raises(FrozenInstanceError):
        slate.receipt.rung = Rung.FRESH  # type: ignore[misc]


def test_coverage_needs_partitions() -> None:
    """A cluster that knows no snapshot yet is not covered, though it lacks no partition."""
    assert not ClusterStatus("", 0, 0, (), {}, 0).covered
    assert not ClusterStatus("v1", 4, 3, (), {}, 0).covered
    assert ClusterStatus("v1", 4, 4, (), {}, 0).covered
