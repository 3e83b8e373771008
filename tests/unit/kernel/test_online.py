"""Where events stand, which of them a snapshot has seen, and what they count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_snapshots import PLAIN

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import OVERLAP_RECORDS, Position, Since, position_of
from trunkshow.online.weights import SHARES, weights_of
from trunkshow.v1 import events_pb2 as pb


@pytest.mark.parametrize(
    ("before", "now", "where"),
    [
        (None, "log/0:7", Position("log", 0, 7)),
        ("log/0:7", "log/0:9", Position("log", 0, 9)),
        ("log/0:7,1:3", "log/0:7,1:4", Position("log", 1, 4)),
        ("log/0:7", "log/0:7,4:1", Position("log", 4, 1)),
        ("log/0:7", "another/0:1", Position("another", 0, 1)),
        ("log/0:7", "log/0:3", Position("log", 0, 3)),
        ("log/0:7,1:9", "log/0:7,1:4", Position("log", 1, 4)),
        ("log/0:7,1:9", "log/0:8,1:4", Position("log", 0, 8)),
    ],
)
def test_a_record_stands_where_the_watermark_moved(before: str | None, now: str, where: Position) -> None:
    """In the lane of which more was read, or, in a log that went back, less."""
    assert position_of(Watermark.parse(before) if before else None, Watermark.parse(now)) == where


def test_without_a_move_there_is_no_record() -> None:
    """A reader that stood still read nothing."""
    with pytest.raises(ValueError, match="no record"):
        position_of(Watermark("log", {0: 3}), Watermark("log", {0: 3}))


def test_a_snapshot_with_a_watermark_has_seen_what_stands_before_it() -> None:
    """By the place, whatever the time; in lanes that it does not name, and in other logs, it has seen nothing."""
    since = Since.of(replace(PLAIN, log_watermark="log/0:7"))
    places = [("log", 0, 7), ("log", 0, 8), ("log", 1, 1), ("another", 0, 1)]
    assert [since.is_new(Position(*place), 0) for place in places] == [False, True, True, True]


def test_what_happened_after_the_last_event_is_new_wherever_it_stands() -> None:
    """A log that was restored from an older copy gives its place the number of what the snapshot was built with."""
    since = Since.of(replace(PLAIN, log_watermark="log/0:7", data_until="2026-01-01T00:00:00+00:00"))
    until = 1_767_225_600_000
    assert [since.is_new(Position("log", 0, 3), until + more) for more in (-1, 0, 1)] == [False, False, True]
    assert not since.lacks(Position("log", 0, 3), until + 1)


def test_a_snapshot_without_one_has_seen_what_happened_before_its_last_event() -> None:
    """Wherever it stands."""
    since = Since.of(replace(PLAIN, data_until="2026-01-01T00:00:00+00:00"))
    until = 1_767_225_600_000
    assert [since.is_new(Position("log", 0, 1), until + more) for more in (-1, 0, 1)] == [False, False, True]
    assert since.start is None


def test_a_snapshot_knows_nothing_of_what_came_after_it_was_made() -> None:
    """Though an event of it is said to have happened later."""
    since = Since.of(replace(PLAIN, created_at="2026-01-01T00:00:00+00:00", data_until="2099-01-01T00:00:00+00:00"))
    until = 1_767_225_600_000
    assert [since.is_new(Position("log", 0, 1), until + more) for more in (0, 1)] == [False, True]


def test_reading_begins_a_little_before_the_watermark() -> None:
    """So that what was sent twice is known; never before the beginning."""
    since = Since(Watermark("log", {0: OVERLAP_RECORDS + 5, 1: 3}), 0)
    assert since.start == Watermark("log", {0: 5, 1: 0})


def test_weights_are_the_data_sets_own_where_it_has_them() -> None:
    """By name, whatever its case; the others are shares of the largest."""
    weights = weights_of({"interactions": {"Purchase": 5.0, "CLICK": 1.0, "return": -2.0}})
    assert weights[pb.INTERACTION_CLICK] == 1.0
    assert weights[pb.INTERACTION_RETURN] == -2.0
    assert (weights[pb.INTERACTION_ORDER], weights[pb.INTERACTION_VIEW]) == (5.0, 1.0)


@pytest.mark.parametrize("parameters", [{}, {"interactions": {}}, {"interactions": {"return": -1.0}}])
def test_without_a_positive_weight_the_unit_is_one(parameters: dict[str, object]) -> None:
    """A data set without weights is trained with ones."""
    assert weights_of(parameters)[pb.INTERACTION_LIKE] == SHARES[pb.INTERACTION_LIKE]


def test_what_was_merely_shown_or_looked_for_has_no_weight() -> None:
    """Whatever the data set says."""
    weights = weights_of({"interactions": {"impression": 1.0, "search": 1.0}})
    assert not {pb.INTERACTION_SEARCH, pb.INTERACTION_IMPRESSION, pb.INTERACTION_CONTENT_IMPRESSION} & set(weights)
