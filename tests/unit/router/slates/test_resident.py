"""What the router makes by itself, where even its lists come to an end."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import small_snapshot

from router.slates.resident import Resident
from trunkshow.models.popularity import Popularity
from trunkshow.online.trends import Listed, Trends
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb


def test_a_slate_is_not_empty_while_anything_may_be_shown(tmp_path: Path) -> None:
    """With everything excluded that stands in the popular list, it shows what is left and available."""
    snapshot = small_snapshot.make(tmp_path)
    lists = {"rows": np.arange(30, dtype=np.int32), "scores": np.ones(30, np.float32)}
    snapshot.models["popularity"] = Popularity(
        {**lists, "starts": np.array([0, 30, 30, 30, 30, 30]), "segments": np.array([2])}
    )
    request = pb.RecommendRequest(user_id="u", exclude_item_ids=[f"i{row}" for row in range(30)])
    resident = Resident(cast("Snapshot", snapshot))
    slate = resident.complete(("for-you",), (), {}, resident.need(request, segment=-1)).carousels
    assert [item.item_id for carousel in slate for item in carousel.items] == [f"i{row}" for row in range(30, 39)]


def test_what_trends_is_made_here_where_no_shard_did(tmp_path: Path) -> None:
    """Under its own title; what is excluded is not shown."""
    snapshot = cast("Snapshot", small_snapshot.make(tmp_path))
    now = Trends(1, 2, {"": tuple(Listed(f"i{row}", 9.0 - row, 9.0, 1.0) for row in range(4))})
    resident = Resident(snapshot, lambda: now)
    request = pb.RecommendRequest(user_id="u", exclude_item_ids=["i1"])
    slate, reasons = resident.complete(("trending", "popular"), (), {}, resident.need(request, segment=-1))
    assert (slate[0].id, slate[0].title, slate[0].rung) == ("trending", "Trending now", pb.RUNG_POPULAR)
    assert [item.item_id for item in slate[0].items] == ["i0", "i2", "i3"]
    assert reasons == []


@pytest.mark.parametrize("why", [{}, {"trending": pb.REASON_CAROUSEL_EMPTY}])
def test_where_nothing_trends_the_popular_list_stands_in_unless_it_is_there_anyway(
    tmp_path: Path, why: dict[str, pb.Reason]
) -> None:
    """The receipt says that there was nothing."""
    resident = Resident(cast("Snapshot", small_snapshot.make(tmp_path)))
    need = resident.need(pb.RecommendRequest(user_id="u"), segment=-1)
    slate, one = resident.complete(("trending",), (), why, need)
    assert [(made.id, made.source) for made in slate] == [("trending", "popularity")]
    need = resident.need(pb.RecommendRequest(user_id="u"), segment=-1)
    slate, both = resident.complete(("trending", "popular"), (), why, need)
    assert [one.id for one in slate] == ["popular"]
    assert pb.REASON_CAROUSEL_EMPTY in one
    assert pb.REASON_CAROUSEL_EMPTY in both


def test_what_a_shard_found_to_be_empty_for_a_user_is(tmp_path: Path) -> None:
    """It knows what they had; the router would show it to them again."""
    now = Trends(1, 2, {"": (Listed("i1", 9.0, 9.0, 1.0),)})
    resident = Resident(cast("Snapshot", small_snapshot.make(tmp_path)), lambda: now)
    need = resident.need(pb.RecommendRequest(user_id="u"), segment=-1)
    slate, _ = resident.complete(("trending",), (), {"trending": pb.REASON_CAROUSEL_EMPTY}, need)
    assert [one.source for one in slate] == ["popularity"]
