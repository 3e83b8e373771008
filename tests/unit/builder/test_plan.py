"""The plan of the partitions: lists as short as cover the users who had no say in them."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest

import builder.plan as plan
from builder.crew.port import Alone
from builder.dataset import load_dataset
from builder.events import read_events
from builder.training import number
from trunkshow.models.protocol import Settings, Training


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A history to plan for."""
    path = datasets.write(datasets.clustered(), tmp_path_factory.mktemp("plan"))
    dataset = load_dataset(path)
    events, _ = read_events(dataset)
    return number(dataset, events, None, None, Settings()).training


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)


def planned(training: Training) -> plan.Plan:
    users, items = (vectors(count, seed) for seed, count in enumerate(training.matrix.shape))
    return plan.make_plan(users, items, training.matrix, partitions=4, seed=0, crew=Alone(Path()))


def test_the_lists_cover_the_users_who_had_no_say(training: Training) -> None:
    """By the depth that was found to be enough."""
    made = planned(training)
    assert made.measures["coverage"] >= plan.COVERAGE_MIN
    assert made.measures["items_per_user"] in (*plan.DEPTHS, training.matrix.shape[1])


def test_where_no_depth_is_enough_the_whole_catalogue_is_listed(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than publish partitions that hide what their users would want."""
    monkeypatch.setattr(plan, "DEPTHS", (1,))
    made = planned(training)
    items = training.matrix.shape[1]
    assert [len(rows) for rows in made.lists] == [items] * 4
    assert (made.measures["coverage"], made.measures["items_per_user"]) == (1.0, items)
    assert all(rows.tolist() == list(range(items)) for rows in made.lists)


def test_both_hashes_are_described(training: Training) -> None:
    """The chosen one, and what the other would have been worth."""
    measures = planned(training).measures
    (other,) = measures["alternatives"]
    assert {measures["hash"], other["hash"]} == {"sign", "spherical"}
    assert set(other) == {"hash", "locality", "largest_to_mean", "catalogue_share", "coverage"}
