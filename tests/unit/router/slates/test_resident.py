"""What the router makes by itself, where even its lists come to an end."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import small_snapshot

from router.slates.resident import Resident
from trunkshow.models.popularity import Popularity
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
