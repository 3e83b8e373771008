"""A snapshot of 40 items and 8 users, made of the real classes over arrays that a reader can check by eye.

- item row n has the id i{n} and the taste axis n % 4; even ones are shoes, odd ones hats; i39 is not available;
- user u{n} lives in partition n % 4; u0 to u3 are of segment 0, u4 and u5 of segment 1, u6 and u7 of none;
- popular with everyone: i0, i1, i2, …; with segment 0: i20 to i24; with segment 1: nothing;
- new: i30, i31, i32; for a wedding: i33, i34, i35; the neighbours of i{n} are the next three, but i13 has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from trunkshow.models.item_neighbours import ItemNeighbours
from trunkshow.models.new_arrivals import NewArrivals
from trunkshow.models.occasions import Occasions
from trunkshow.models.popularity import Popularity
from trunkshow.models.protocol import NOTHING, Candidates, Floats, Query, Rows, Shelf
from trunkshow.snapshot import catalogue, directory
from trunkshow.snapshot.arrays import Strings
from trunkshow.snapshot.growing import GrowingCatalogue
from trunkshow.taste import Codebook

ITEMS, USERS, PARTITIONS = 40, 8, 4
VERSION = "v1"


class AxisTaste:
    """As much of the factor model as a router reads: a taste is the mean of what is in hand."""

    name = "ials"
    carousel = "for-you"
    title = "For you"

    def __init__(self) -> None:
        self.vectors = np.eye(PARTITIONS, dtype=np.float32)[np.arange(ITEMS) % PARTITIONS]

    def with_context(self, history: Rows, weights: Floats, context: Rows) -> Floats:
        """(4,) the mean of the items in hand."""
        assert not len(history)
        assert not len(weights)
        return self.vectors[context].mean(axis=0)

    def recommend(self, query: Query, shelf: Shelf, count: int) -> Candidates:
        """Nothing: a router has no partition."""
        del query, shelf, count
        return NOTHING


@dataclass
class SmallSnapshot:
    """As much of `trunkshow.snapshot.reader.Snapshot` as a router reads."""

    catalogue: GrowingCatalogue
    directory: directory.Directory
    models: dict[str, Any]
    version: str = VERSION
    partitions: int = PARTITIONS
    repeat: bool = False
    has_occasions: bool = True
    segment_names: tuple[str, ...] = ("new", "loyal")
    manifest: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            data_until="2024-01-01T00:00:00+00:00",
            created_at="2024-01-02T00:00:00+00:00",
            log_watermark="",
            forgotten_watermark="",
            log_lineage={},
        )
    )
    codebook: Codebook = field(default_factory=lambda: Codebook("sign", np.eye(PARTITIONS, dtype=np.float32)))
    carousels: frozenset[str] = frozenset(
        {"for-you", "because-you-liked", "people-like-you", "popular", "new-arrivals", "occasions"}
    )

    def close(self) -> None:
        """Give the files back."""
        self.catalogue.close()

    def with_context(self, history: Rows, weights: Floats, context: Rows) -> Floats:
        """As the factor model has it."""
        return self.ials.with_context(history, weights, context)

    @property
    def ials(self) -> AxisTaste:
        """The factor model."""
        model = self.models["ials"]
        assert isinstance(model, AxisTaste)
        return model


def make(folder: Path, sold_out: Sequence[int] = (ITEMS - 1,)) -> SmallSnapshot:
    """Write its files, and open it; these items are not available in it."""
    rows = np.arange(ITEMS)
    catalogue.write(
        folder / "catalogue",
        catalogue.Columns(
            ids=[f"i{row}" for row in rows],
            titles=[f"Item {row}" for row in rows],
            categories=(rows % 2).astype(np.int32),
            category_names=("shoes", "hats"),
            attributes={"colour": (rows % 3).astype(np.int32)},
            attribute_values={"colour": ("red", "green", "blue")},
            available=~np.isin(rows, sold_out),
            created=np.zeros(ITEMS, np.int64),
        ),
    )
    users = np.arange(USERS, dtype=np.int32)
    segments = np.array([0, 0, 0, 0, 1, 1, -1, -1], np.int32)
    directory.write(folder / "directory", [f"u{user}" for user in users], users % PARTITIONS, segments)
    models = {model.name: model for model in (AxisTaste(), _popularity(), _neighbours(), _new_arrivals(), _occasions())}
    return SmallSnapshot(GrowingCatalogue(folder / "catalogue"), directory.Directory(folder / "directory"), models)


def _popularity() -> Popularity:
    shoes, hats = list(range(0, ITEMS - 1, 2)), list(range(1, ITEMS - 1, 2))
    lists = [list(range(ITEMS - 1)), list(range(20, 25)), [], shoes, hats]
    return Popularity(
        {
            "rows": np.array([row for one in lists for row in one], np.int32),
            "scores": np.array([100.0 - place for one in lists for place in range(len(one))], np.float32),
            "starts": np.cumsum([0, *map(len, lists)]),
            "segments": np.array([2], np.int32),
        }
    )


def _neighbours() -> ItemNeighbours:
    rows = (np.arange(ITEMS)[:, None] + np.arange(1, 4)) % ITEMS
    rows[13] = -1
    scores = np.tile(np.array([0.9, 0.8, 0.7], np.float32), (ITEMS, 1))
    return ItemNeighbours({"rows": rows.astype(np.int32), "scores": scores})


def _new_arrivals() -> NewArrivals:
    return NewArrivals({"rows": np.array([30, 31, 32], np.int32), "scores": np.array([3, 2, 1], np.float32)})


def _occasions() -> Occasions:
    offsets, text = Strings.pack(["wedding"])
    return Occasions(
        {
            "name_offsets": offsets,
            "name_text": text,
            "starts": np.array([0, 3]),
            "rows": np.array([33, 34, 35], np.int32),
        }
    )
