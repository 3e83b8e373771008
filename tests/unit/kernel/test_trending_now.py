"""The carousel of what trends: the segment's first, then everybody's, of this catalogue and available alone."""

from __future__ import annotations

from trunkshow.models.protocol import Query
from trunkshow.models.trending import TrendingNow, reason
from trunkshow.online.trends import NO_TRENDS, Listed, Trends
from trunkshow.snapshot.reader import Snapshot


def listed(snapshot: Snapshot, row: int, surge: float) -> Listed:
    """An item that trends."""
    return Listed(snapshot.catalogue.id(row), surge, 9.0, 1.0)


def test_a_segments_list_comes_before_everybodys(snapshot: Snapshot) -> None:
    """An item stands there once, and scores order the list."""
    segment = snapshot.segment_names[1]
    now = Trends(
        1,
        2,
        {
            "": (listed(snapshot, 3, 9.0), listed(snapshot, 4, 2.5)),
            segment: (listed(snapshot, 5, 4.0), listed(snapshot, 3, 2.2)),
        },
    )
    model = TrendingNow(snapshot.catalogue, snapshot.segment_names, lambda: now)
    found = model.recommend(Query(segment=1), None, 10)  # type: ignore[arg-type]
    assert (found.rows, found.scores) == ([5, 3, 4], [4.0, 2.2, 2.2])
    assert found.reasons[0] == "At least 4 times as many as usual among shoppers like you"
    assert found.reasons[2] == "At least 2.5 times as many as usual"
    for other in (-1, 0, 99):
        assert model.recommend(Query(segment=other), None, 1).rows == [3]  # type: ignore[arg-type]


def test_what_this_catalogue_does_not_have_is_left_out(snapshot: Snapshot) -> None:
    """It may be of the next one."""
    now = Trends(1, 2, {"": (Listed("no such item", 5.0, 9.0, 1.0), listed(snapshot, 2, 3.0))})
    model = TrendingNow(snapshot.catalogue, snapshot.segment_names, lambda: now)
    assert model.recommend(Query(), None, 10).rows == [2]  # type: ignore[arg-type]


def test_the_list_is_the_newest_one(snapshot: Snapshot) -> None:
    """Nothing, where nothing trends."""
    now = NO_TRENDS
    model = TrendingNow(snapshot.catalogue, snapshot.segment_names, lambda: now)
    assert not model.recommend(Query(), None, 10).rows  # type: ignore[arg-type]
    for row in (2, 7):
        now = Trends(1, 2, {"": (listed(snapshot, row, 3.0),)})
        assert model.recommend(Query(), None, 10).rows == [row]  # type: ignore[arg-type]


def test_a_reason_says_how_many_times() -> None:
    """Of a small surge more precisely."""
    assert [reason(surge).split()[2] for surge in (2.0, 2.44, 3.1, 17.8)] == ["2", "2.4", "3", "18"]
