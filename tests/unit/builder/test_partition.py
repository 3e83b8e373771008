"""Partitions: how many, who lives in them, what they list, and how that is measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from builder import partition

RNG = np.random.default_rng(6)
USERS = RNG.standard_normal((60, 5)).astype(np.float32)
ITEMS = RNG.standard_normal((40, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("users", "partitions"),
    [(1, 1), (128, 1), (255, 1), (256, 2), (1000, 4), (8192, 64), (3_200_000, 64), (3_200_001, 128), (10**9, 4096)],
)
def test_partitions_are_chosen_by_the_number_of_users(users: int, partitions: int) -> None:
    """A power of two: with enough users in each up to 64, with not too many in each beyond, at most 4,096."""
    assert partition.default_partitions(users) == partitions


@pytest.mark.parametrize("partitions", [1, 3, 7, 16])
def test_both_hashes_are_tried_and_the_better_one_comes_first(partitions: int) -> None:
    """By locality; both within the bound."""
    placements = partition.place_users(USERS, partitions, 0)
    localities = [placement.measures["locality"] for placement in placements]
    assert {placement.codebook.kind for placement in placements} == {"sign", "spherical"}
    assert localities == sorted(localities, reverse=True)
    assert max(np.bincount(placement.homes).max() for placement in placements) <= max(
        1.25 * 60 / partitions, -(-60 // partitions)
    )


def test_locality_is_the_share_of_nearest_neighbours_at_home() -> None:
    """Counted by hand for every user."""
    homes = (np.arange(60) % 3).astype(np.int32)
    points = USERS / np.linalg.norm(USERS, axis=1, keepdims=True)
    near = points @ points.T
    np.fill_diagonal(near, -np.inf)
    nearest = np.argsort(-near, axis=1)[:, : partition.NEIGHBOURS]
    by_hand = np.mean([homes[others] == homes[user] for user, others in enumerate(nearest)])
    assert partition.locality(partition.near_users(USERS, 0), homes) == pytest.approx(by_hand)


@pytest.mark.parametrize("users", [1, 2, 5])
def test_locality_of_a_few_users_is_a_share(users: int) -> None:
    """With fewer neighbours than are looked for."""
    assert 0 <= partition.locality(partition.near_users(USERS[:users], 0), np.zeros(users, np.int32)) <= 1


def test_neighbours_are_found_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among few points at a time as among all at once."""
    whole = partition.near_users(USERS, 0)
    monkeypatch.setattr(partition, "_POINTS", 7)
    monkeypatch.setattr(partition, "rows_at_once", lambda columns: 13)
    assert partition.near_users(USERS, 0).near.tolist() == whole.near.tolist()


def test_nobody_is_measured_by_what_they_decided() -> None:
    """Held-out users and those who make the lists are different people, all of them somebody."""
    held_out, contributors = partition.draw_users(500, 3)
    assert not set(held_out) & set(contributors)
    assert len(held_out) == 50
    assert sorted([*held_out, *contributors]) == list(range(500))


def test_best_items_are_exact() -> None:
    """Brute force agrees, and what is hidden is not among them."""
    hidden = csr_matrix(RNG.random((60, 40)) < 0.2, dtype=np.float32)
    users = np.array([3, 17, 59], np.int32)
    scores = np.where(hidden.toarray() > 0, -np.inf, USERS @ ITEMS.T)
    assert partition.best_items(users, USERS, ITEMS, hidden, 6).items.tolist() == [
        np.argsort(-scores[user])[:6].tolist() for user in users
    ]


def test_asking_for_more_best_items_than_there_are_gives_all() -> None:
    """Every row once."""
    found = partition.best_items(np.array([0], np.int32), USERS, ITEMS, None, 100)
    assert sorted(found.items[0].tolist()) == list(range(40))


BEST = partition.BestItems(np.array([0, 1, 2], np.int32), np.array([[5, 1], [1, 7], [9, 2]], np.int32))


def test_a_partition_lists_the_best_of_its_users() -> None:
    """The union, ascending."""
    lists = partition.item_lists(BEST, np.array([0, 0, 1], np.int32), 2, 40, 2)
    assert [rows.tolist() for rows in lists] == [[1, 5, 7], [2, 9]]


def test_a_shallow_list_takes_the_best_alone() -> None:
    """One item per user here."""
    lists = partition.item_lists(BEST, np.array([0, 0, 1], np.int32), 2, 40, 1)
    assert [rows.tolist() for rows in lists] == [[1, 5], [9]]


def test_a_partition_that_nobody_speaks_for_lists_everyones_best() -> None:
    """Somebody may be sent there all the same."""
    lists = partition.item_lists(BEST, np.array([0, 0, 0], np.int32), 2, 40, 2)
    assert lists[1].tolist() == [1, 2, 5, 7, 9]


def test_without_any_users_to_ask_a_partition_lists_something() -> None:
    """The first items."""
    nobody = partition.BestItems(np.empty(0, np.int32), np.empty((0, 3), np.int32))
    lists = partition.item_lists(nobody, np.zeros(0, np.int32), 1, 40, 3)
    assert lists[0].tolist() == [0, 1, 2]


def test_coverage_is_the_share_of_best_items_listed() -> None:
    """Three of the six."""
    lists = [np.array([1, 5], np.int32), np.array([3], np.int32)]
    assert partition.coverage(BEST, np.array([0, 0, 1], np.int32), lists) == pytest.approx(3 / 6)


def test_the_catalogue_share_is_the_mean_of_the_lists() -> None:
    """One item of forty and three of forty."""
    lists = [np.array([1], np.int32), np.array([1, 2, 3], np.int32)]
    assert partition.catalogue_share(lists, 40) == pytest.approx(2 / 40)
