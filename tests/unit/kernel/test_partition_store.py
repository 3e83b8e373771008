"""A partition's folder answers for the users and items that were put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import user_records

from trunkshow.snapshot import index, kv, partition
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.records import UserRecord
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.taste import unit

RNG = np.random.default_rng(2)
VECTORS = RNG.standard_normal((50, 4)).astype(np.float32)
LISTED = np.arange(0, 50, 2, dtype=np.int32)
USERS = [f"user-{number:02d}" for number in range(12)]
TASTES = RNG.standard_normal((12, 4)).astype(np.float32)


def record(number: int) -> UserRecord:
    """A user who had one item."""
    one = np.array([number])
    return UserRecord(number - 1, TASTES[number], one.astype(np.int32), one.astype(np.float32), one.astype(np.uint32))


RECORDS = user_records.columns([record(number) for number in range(12)], 4)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Partition]:
    """A dozen users, and every other item of the catalogue."""
    partition.write(tmp_path / "p", USERS, RECORDS, LISTED, VECTORS[LISTED])
    opened = Partition(tmp_path / "p", VECTORS)
    yield opened
    opened.close()


def by_score(rows: np.ndarray, vector: np.ndarray) -> list[int]:
    """Rows by inner product, largest first."""
    return rows[np.argsort(-(VECTORS[rows] @ vector), kind="stable")].tolist()


def test_a_user_is_found_by_id(shelf: Partition) -> None:
    """With vector and history."""
    found = shelf.user("user-03")
    assert found is not None
    assert (found.segment, found.items.tolist()) == (2, [3])
    assert np.allclose(found.vector, TASTES[3], rtol=0, atol=np.abs(TASTES[3]).max() / 1024)


def test_somebody_who_lives_elsewhere_is_none(shelf: Partition) -> None:
    """That is no error."""
    assert shelf.user("user-99") is None


def test_nearest_items_are_the_partitions_own_by_score(shelf: Partition) -> None:
    """Exactly, for a partition as small as this."""
    rows, scores = shelf.nearest_items(TASTES[0], 7)
    assert rows.tolist() == by_score(LISTED, TASTES[0])[:7]
    assert np.allclose(scores, VECTORS[rows] @ TASTES[0], atol=1e-5)


def test_asking_for_more_items_than_there_are_gives_all(shelf: Partition) -> None:
    """And no row twice, nor one that does not exist."""
    rows, _ = shelf.nearest_items(TASTES[0], 1000)
    assert sorted(rows.tolist()) == LISTED.tolist()


def test_masked_items_are_searched_exactly(shelf: Partition) -> None:
    """The best of those that the mask allows, however few."""
    rows, _ = shelf.best_items_where(TASTES[1], lambda rows: rows % 10 == 0, 3)
    assert rows.tolist() == by_score(np.arange(0, 50, 10), TASTES[1])[:3]


def test_nearest_users_are_by_cosine(shelf: Partition) -> None:
    """The user comes first, with a cosine of one."""
    (first, cosine), *_ = shelf.nearest_users(3 * TASTES[5], 3)
    assert (first.items.tolist(), cosine) == ([5], pytest.approx(1, abs=1e-3))


def test_what_neighbours_had_last_is_of_the_nearest_users(shelf: Partition) -> None:
    """All of them but who has the history of whoever asks."""
    nearest = shelf.nearest_users(TASTES[5], 4)
    found = shelf.neighbours(TASTES[5], 4, 40, np.array([5], np.int32))
    assert found.near == [cosine for _, cosine in nearest[1:]]
    assert (found.counts, found.items.tolist()) == ([1, 1, 1], [user.items[0] for user, _ in nearest[1:]])


def test_a_sample_of_users_is_spread_over_the_partition(shelf: Partition) -> None:
    """As many as asked for, all different, all living here."""
    sample = shelf.sample_users(4)
    assert len(set(sample)) == 4
    assert set(sample) <= set(USERS)


@pytest.mark.parametrize("count", [0, 1, 12, 100])
def test_a_sample_is_never_larger_than_asked_for(shelf: Partition, count: int) -> None:
    """Nor than there are users."""
    assert len(shelf.sample_users(count)) == min(count, 12)


def test_a_partition_without_users_answers(tmp_path: Path) -> None:
    """A small shop may have one; strangers are sent there all the same."""
    partition.write(tmp_path / "p", [], user_records.columns([], 4), LISTED, VECTORS[LISTED])
    empty = Partition(tmp_path / "p", VECTORS)
    assert (empty.users, empty.nearest_users(TASTES[0], 5), empty.sample_users(3)) == (0, [], [])
    empty.close()


def test_a_large_index_is_quantised_and_still_finds_the_best(tmp_path: Path) -> None:
    """Recall@20 of at least 0.99 against exact search."""
    many = np.random.default_rng(4).standard_normal((index.FLAT_ITEMS_MAX + 1, 16)).astype(np.float32)
    kind = index.build(many, tmp_path / "items.faiss")
    opened, queries = index.VectorIndex(tmp_path / "items.faiss"), many[:100] + 0.1
    exact = np.argsort(-(queries @ many.T), axis=1)[:, :20]
    found, _ = opened.search_many(queries, 20)
    recall = np.mean([np.isin(want, got).mean() for want, got in zip(exact, found, strict=True)])
    assert kind != "Flat"
    assert recall >= 0.99


@pytest.mark.parametrize("count", [index.FLAT_ITEMS_MAX, index.FLAT_ITEMS_MAX + 1])
def test_an_index_in_half_precision_finds_the_nearest_too(tmp_path: Path, count: int) -> None:
    """Recall@30 of at least 0.99, in little more than half of the room."""
    many = unit(np.random.default_rng(4).standard_normal((count, 16)).astype(np.float32))
    index.build_halved(many, tmp_path / "users.faiss")
    opened, queries = index.VectorIndex(tmp_path / "users.faiss"), many[:100]
    exact = np.argsort(-(queries @ many.T), axis=1)[:, :30]
    found, _ = opened.search_many(queries, 30)
    assert np.mean([np.isin(want, got).mean() for want, got in zip(exact, found, strict=True)]) >= 0.99
    assert (tmp_path / "users.faiss").stat().st_size < 0.7 * many.nbytes


def test_a_partition_leaves_a_compact_copy_of_every_user(tmp_path: Path) -> None:
    """Found by id; the vector is right to half precision."""
    partition.write(tmp_path / "p", USERS, RECORDS, LISTED, VECTORS[LISTED])
    opened = StandIns(tmp_path / "p", 4)
    found = opened.user("user-03")
    opened.close()
    assert found is not None
    assert (found.segment, found.items.tolist()) == (2, [3])
    assert np.allclose(found.vector, TASTES[3], rtol=0, atol=np.abs(TASTES[3]).max() / 1024)


@pytest.mark.parametrize("count", [0, 1, 5, 12, 100])
def test_a_sample_of_stand_ins_is_of_users_who_have_one(tmp_path: Path, count: int) -> None:
    """As many as asked for, as far as there are so many."""
    partition.write(tmp_path / "p", USERS, RECORDS, LISTED, VECTORS[LISTED])
    opened = StandIns(tmp_path / "p", 4)
    sample = opened.sample_users(count)
    opened.close()
    assert len(set(sample) & set(USERS)) == min(count, 12)


@pytest.mark.parametrize("spoilt", ["items.faiss", "users.faiss", "homes.lmdb"])
def test_a_partition_that_does_not_open_leaves_nothing_open(tmp_path: Path, spoilt: str) -> None:
    """A mapped file that nobody closes would be read on after it was fetched anew."""
    partition.write(tmp_path / "p", USERS, RECORDS, LISTED, VECTORS[LISTED])
    (tmp_path / "p" / spoilt).write_bytes(b"nonsense" * 2000)
    before = dict(kv._maps)
    with pytest.raises(Exception, match=r"faiss|LMDB"):
        Partition(tmp_path / "p", VECTORS)
    assert kv._maps == before
