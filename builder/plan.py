"""The plan of a snapshot's partitions: which taste hash, which users where, which items, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from builder import partition
from builder.blocks import Searched, searched
from builder.crew.port import Crew
from builder.partition import BestItems, Placement
from trunkshow.models.protocol import Floats, Rows

DEPTHS = (50, 100, 200, 400, 800)
"""Best items per user that a partition lists: the least that covers the held-out users; the whole catalogue if none."""

DEEP_FROM = 200
"""Before lists become deeper, more users are asked."""

COVERAGE_MIN = 0.992
"""Of held-out users' exact top 20. Leaves a little to the index before recall falls below `making.INDEX_RECALL_MIN`."""


@dataclass(frozen=True)
class Plan:
    """Where users live, and which items each partition lists.

    Attributes:
        placement: of every user, by the better hash.
        lists: of each partition, its (n,) int32 item rows, ascending.
        held_out: users who had no say in the lists, with their exact best items, to measure with.
        hidden: (users, items), what a user must not be shown; None where repeats are allowed.
        measures: of both hashes, for the manifest.
    """

    placement: Placement
    lists: list[Rows]
    held_out: BestItems
    hidden: csr_matrix | None
    measures: dict[str, Any]


def make_plan(
    users: Floats, items: Floats, hidden: csr_matrix | None, *, partitions: int, seed: int, crew: Crew
) -> Plan:
    """Place users by both taste hashes, choose the better, and list what its partitions need.

    Args:
        users: (users, factors) float32.
        items: (items, factors) float32.
        hidden: (users, items), what a user must not be shown; None where repeats are allowed.
        partitions: how many; 0 chooses by the number of users.
        seed: of everything that is drawn.
        crew: looks for users' best items.
    """
    count = partitions or partition.default_partitions(len(users))
    placements = partition.place_users(users, count, seed)
    held_out, contributors = partition.draw_users(len(users), seed)
    with crew.share(searched(users, items, hidden)) as shared:
        search = Searched(crew, shared)
        measured = search.best(held_out, partition.TOP)
        best, depth = BestItems.of_nobody(), 0
        for some in partition.in_turns(contributors):
            best = best.joined(search.best(some, DEPTHS[-1]))  # looking for few takes as long as looking for many
            depth = _depth(best, measured, placements[0].homes, count, len(items))
            if 0 < depth <= DEEP_FROM:
                break
    if depth:
        lists = [partition.item_lists(best, one.homes, count, len(items), depth) for one in placements]
    else:
        depth = len(items)
        lists = [[np.arange(len(items), dtype=np.int32)] * count for _ in placements]
    measures = [
        _measures(placement, listed, measured, len(items)) for placement, listed in zip(placements, lists, strict=True)
    ]
    described = {
        **measures[0],
        "alternatives": measures[1:],
        "items_per_user": depth,
        "held_out_users": len(held_out),
    }
    return Plan(placements[0], lists[0], measured, hidden, described)


def _depth(best: BestItems, measured: BestItems, homes: Rows, partitions: int, items: int) -> int:
    """The least depth that covers the users who are measured; 0 where none does."""
    for depth in DEPTHS:
        lists = partition.item_lists(best, homes, partitions, items, depth)
        if partition.coverage(measured, homes, lists) >= COVERAGE_MIN:
            return depth
    return 0


def _measures(placement: Placement, lists: Sequence[Rows], measured: BestItems, items: int) -> dict[str, Any]:
    return {
        "hash": placement.codebook.kind,
        **placement.measures,
        "catalogue_share": partition.catalogue_share(lists, items),
        "coverage": partition.coverage(measured, placement.homes, lists),
    }
