"""Kinds of items: the catalogue's categories, or items of one taste; and how much of what users do is of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import Built

from builder.kinds import ITEMS_PER_KIND, KINDS_MAX, clusters
from builder.pipeline import BuildSettings, build
from trunkshow.snapshot import kinds
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store


def test_the_catalogues_categories_are_the_kinds(built: Built, snapshot: Snapshot) -> None:
    """With each one's share in what was bought."""
    found = snapshot.kinds
    assert found.names == tuple(f"taste {taste}" for taste in range(datasets.TASTES))
    bought = [datasets.taste_of_item(event.item) for event in built.shop.events]
    assert found.mix == pytest.approx(np.bincount(bought) / len(bought))
    assert found.codes is snapshot.catalogue.categories


def test_without_categories_kinds_are_of_one_taste(tmp_path: Path) -> None:
    """They have no names."""
    shop = replace(datasets.clustered(users=200, items=240), items=(), segments=())
    dataset = datasets.write(shop, tmp_path / "data")
    build(dataset, tmp_path / "store", BuildSettings(partitions=2, factors=8))
    snapshot = Snapshot.open(open_store(tmp_path / "store"))
    try:
        found = snapshot.kinds
        codes, mix = found.codes, found.mix
        assert (len(codes), found.names) == (len(snapshot.catalogue), ())
        assert set(codes.tolist()) <= set(range(len(mix)))
        assert len(mix) <= len(codes) // ITEMS_PER_KIND
        assert float(mix.sum()) == pytest.approx(1)
        assert (mix > 0).all()
    finally:
        snapshot.close()


def test_a_snapshot_from_before_there_were_kinds_is_read(snapshot: Snapshot, tmp_path: Path) -> None:
    """By its categories, and their shares in the catalogue."""
    found = kinds.read(tmp_path / "none", snapshot.catalogue)
    assert (found.codes is snapshot.catalogue.categories, len(found.mix)) == (True, datasets.TASTES)
    assert found.mix == pytest.approx(0.25)


def test_items_that_point_the_same_way_are_of_one_kind() -> None:
    """However long their vectors are; the same seed finds the same."""
    rng = np.random.default_rng(3)
    directions = np.eye(4, 8)[np.arange(400) % 4] + 0.05 * rng.standard_normal((400, 8))
    vectors = (directions * rng.uniform(0.1, 10, (400, 1))).astype(np.float32)
    found = clusters(vectors, seed=1, count=16)
    assert all(len(set((np.flatnonzero(found == one) % 4).tolist())) == 1 for one in set(found.tolist()))
    assert (clusters(vectors, seed=1, count=16) == found).all()


@pytest.mark.parametrize("items", [0, 1, 30, 500])
def test_there_are_never_more_kinds_than_items_allow(items: int) -> None:
    """Nor more than the limit; a small catalogue has one kind, or none."""
    found = clusters(np.random.default_rng(0).standard_normal((items, 4)).astype(np.float32), seed=0)
    assert len(found) == items
    assert len(set(found.tolist())) <= max(1, min(KINDS_MAX, items // ITEMS_PER_KIND))
