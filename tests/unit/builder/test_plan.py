"""The plan of the partitions: lists as short as cover the users who had no say in them."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest

import builder.plan as plan
from builder import partition
from builder.crew.port import Alone
from builder.dataset import load_dataset
from builder.events import read_events
from builder.partition import BestItems
from builder.training import number
from trunkshow.models.protocol import Rows, Settings, Training


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


def test_users_are_asked_in_turns_of_whom_each_comes_once() -> None:
    """A quarter, another one, and the rest; few are asked at once."""
    drawn = np.arange(0, 3 * partition.CONTRIBUTORS_MAX, 3, dtype=np.int32)
    turns = partition.in_turns(drawn)
    assert [len(turn) for turn in turns] == [len(drawn) // 4, len(drawn) // 4, len(drawn) // 2]
    assert np.sort(np.concatenate(turns)).tolist() == drawn.tolist()
    assert all((np.diff(turn) > 0).all() for turn in turns)
    (alone,) = partition.in_turns(drawn[:100])
    assert alone.tolist() == drawn[:100].tolist()


@pytest.mark.parametrize(("deep_from", "turns"), [(plan.DEPTHS[-1], 1), (0, 3)])
def test_more_users_are_asked_before_lists_become_deep(
    training: Training, monkeypatch: pytest.MonkeyPatch, deep_from: int, turns: int
) -> None:
    """A quarter of them where that covers the others without; then all, and the lists cover as well."""
    asked: list[int] = []

    class Counted(plan.Searched):
        def best(self, users: Rows, count: int) -> BestItems:
            asked.append(len(users))
            return super().best(users, count)

    monkeypatch.setattr(plan, "Searched", Counted)
    monkeypatch.setattr(plan, "DEEP_FROM", deep_from)
    monkeypatch.setattr(partition, "CONTRIBUTORS_MAX", 320)
    made = planned(training)
    assert asked == [40, *[80, 80, 160][:turns]]
    assert made.measures["coverage"] >= plan.COVERAGE_MIN
