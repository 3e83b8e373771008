"""What a driver counts of an answer."""

from __future__ import annotations

import pytest

from cli.chaos.driver import LATE_MS, count
from cli.chaos.tally import Tally
from trunkshow.v1 import recommendation_pb2 as pb


@pytest.mark.parametrize(
    ("rung", "took_ms", "stood_ms", "good", "late", "held_up"),
    [
        (pb.RUNG_FRESH, 20, 0, 1, 0, 0),
        (pb.RUNG_SNAPSHOT, 20, 0, 1, 0, 0),
        (pb.RUNG_PREVIOUS, 20, 0, 0, 0, 0),
        (pb.RUNG_POPULAR, 20, 0, 0, 0, 0),
        (pb.RUNG_UNSPECIFIED, 20, 0, 0, 0, 0),  # one of a batch that would rather have had an error
        (pb.RUNG_FRESH, 250, 0, 0, 1, 0),
        (pb.RUNG_POPULAR, 250, 0, 0, 1, 0),
        (pb.RUNG_FRESH, 250, 100, 1, 0, 1),  # the caller itself stood still
    ],
)
def test_an_answer_is_good_or_late_or_neither(
    rung: pb.Rung, took_ms: float, stood_ms: float, good: int, late: int, held_up: int
) -> None:
    """By its rung and its time; one that is late takes nothing off those that are good."""
    tally = Tally()
    count(tally, pb.Receipt(rung=rung), took_ms, LATE_MS, stood_ms=stood_ms)
    assert (tally.good, tally.late, tally.held_up, tally.requests) == (good, late, held_up, 1)
    assert Tally.from_json(tally.to_json()).good == good
