"""What the accuracy bench measures beside recall and NDCG, and the data that it makes up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from bench import accuracy, accuracy_data, gowalla
from bench.accuracy_data import Data
from builder.evaluate import Test as HeldOut
from trunkshow.models.protocol import Settings

ITEMS = 40


def data() -> Data:
    """Four users: one has items 0 to 3, one has 0 and 1, two have item 0; each goes for item 5."""
    had = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0), (3, 0)]
    matrix = csr_matrix((np.ones(len(had), np.float32), tuple(zip(*had, strict=True))), shape=(4, ITEMS))
    users = np.arange(4, dtype=np.int32)
    wanted = csr_matrix((np.ones(4, np.float32), (users, [5] * 4)), shape=(4, ITEMS))
    return Data(gowalla.training(matrix, Settings()), HeldOut(users, wanted, matrix))


def favouring(*items: int) -> accuracy.Scores:
    """Scores that rank some items first, in this order, and all others behind by their number."""
    scores = -np.arange(ITEMS, dtype=np.float32)
    scores[list(items)] = 1000 - np.arange(len(items))
    return lambda users: np.broadcast_to(scores, (len(users), ITEMS))


def test_coverage_counts_items_that_anybody_is_shown() -> None:
    """Items 1 to 20 for whoever had item 0, and up to item 23 for whoever had those before."""
    assert accuracy.measured(data(), favouring())["coverage"] == 23 / ITEMS


def test_novelty_is_in_bits() -> None:
    """What one user of four had is two bits; so is what nobody had, which counts as one user's."""
    shown = np.array([[0], [1], [2], [5]])
    found = [accuracy.beyond(data(), row[None])["novelty"] for row in shown]
    assert found == [0, 1, 2, 2]


def test_what_is_wanted_and_shown_first_is_a_full_hit() -> None:
    """And shown last of twenty it is worth less in NDCG, the same in recall."""
    first, last = (accuracy.measured(data(), favouring(*items)) for items in ([5], [*range(10, 29), 5]))
    assert (first["recall@20"], first["ndcg@20"]) == (1, 1)
    assert last["recall@20"] == 1
    assert last["ndcg@20"] == pytest.approx(1 / np.log2(21))


def test_what_a_user_had_is_not_shown() -> None:
    """However high its score."""
    shown = accuracy.lists(data().test, favouring(0, 1, 2, 3))
    assert not {0, 1, 2, 3} & set(shown[0].tolist())
    assert shown[2].tolist()[:3] == [1, 2, 3]


def test_the_dense_data_are_of_movielens_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a tenth as many users: no item twice, nobody with too few, the head far above the tail."""
    monkeypatch.setattr(accuracy_data, "USERS", 604)
    monkeypatch.setattr(accuracy_data, "RATINGS", 100_021)
    made = accuracy_data.made_up()
    train, test = made.training.matrix, made.test
    whole = np.diff(train.indptr)[test.users] + np.diff(test.wanted.indptr)
    assert train.shape == (604, accuracy_data.ITEMS)
    assert train.nnz + test.wanted.nnz == pytest.approx(100_021, rel=0.05)
    assert whole.min() >= accuracy_data.ITEMS_PER_USER_MIN
    assert set(train.data.tolist()) == {1.0}
    assert train[test.users].multiply(test.wanted).nnz == 0
    counts = np.sort(np.bincount(train.indices, minlength=accuracy_data.ITEMS))[::-1]
    assert counts[:370].sum() > 0.3 * counts.sum()
