"""The metrics are those of the textbooks, on examples small enough for paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import DAY_MS, START_MS, Event, Shop
from scipy.sparse import csr_matrix

from builder import evaluate
from builder.dataset import Evaluation, load_dataset
from builder.evaluate import NothingToEvaluate
from builder.events import Events, read_events
from builder.training import Numbered, number
from trunkshow.models.popularity import decayed_counts
from trunkshow.models.protocol import Settings


def asked(wanted: Sequence[Sequence[int]], items: int, hidden: Sequence[Sequence[int]] | None = None) -> evaluate.Test:
    """A test of as many users."""

    def rows(lists: Sequence[Sequence[int]]) -> csr_matrix:
        matrix = np.zeros((len(lists), items), np.float32)
        for row, columns in enumerate(lists):
            matrix[row, list(columns)] = 1
        return csr_matrix(matrix)

    return evaluate.Test(np.arange(len(wanted), dtype=np.int32), rows(wanted), rows(hidden or [[]] * len(wanted)))


def scoring(*scores: Sequence[float]) -> evaluate.Scores:
    """The scores of each user."""
    table = np.array(scores, np.float32)
    return lambda users: table[users]


def test_recall_and_ndcg_by_hand() -> None:
    """Best three of six are 0, 1, 2. One user wants 1 and 5 (one of two, at rank 2), the other 0, 1, 2 and 3."""
    falling = [6, 5, 4, 3, 2, 1]
    found = evaluate.measure(asked([[1, 5], [0, 1, 2, 3]], 6), scoring(falling, falling), k=3)
    ideal_of_two = 1 + 1 / math.log2(3)
    assert found["recall@3"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert found["ndcg@3"] == pytest.approx(((1 / math.log2(3)) / ideal_of_two + 1) / 2)


def test_what_is_hidden_is_not_recommended() -> None:
    """It gives its place to the next."""
    found = evaluate.measure(asked([[2]], 4, hidden=[[0, 1]]), scoring([4, 3, 2, 1]), k=1)
    assert found["recall@1"] == 1


def test_fewer_items_than_k_is_no_error() -> None:
    """All of them are recommended."""
    assert evaluate.measure(asked([[0, 1]], 2), scoring([1, 2])) == pytest.approx({"recall@20": 1, "ndcg@20": 1})


def test_nobody_to_ask_is_an_error_that_says_what_to_do() -> None:
    """Not a metric of nothing."""
    with pytest.raises(NothingToEvaluate, match="test_share"):
        evaluate.measure(asked([], 3), scoring())


def test_many_users_are_measured_in_blocks_as_in_one() -> None:
    """The mean is over users, not over blocks."""
    rng = np.random.default_rng(8)
    table = rng.random((1200, 30)).astype(np.float32)
    wanted = [rng.choice(30, 3, replace=False).tolist() for _ in range(1200)]
    test = asked(wanted, 30)
    best = np.argsort(-table, axis=1)[:, :5]
    by_hand = np.mean([len(set(best[user]) & set(wanted[user])) / 3 for user in range(1200)])
    assert evaluate.measure(test, lambda users: table[users], k=5)["recall@5"] == pytest.approx(by_hand)


HISTORY = (
    Event("ann", "a", START_MS),
    Event("bob", "b", START_MS),
    Event("bob", "c", START_MS + DAY_MS),
    # the cut
    Event("ann", "a", START_MS + 10 * DAY_MS),
    Event("ann", "b", START_MS + 11 * DAY_MS),
    Event("ann", "c", START_MS + 11 * DAY_MS, "return"),
    Event("ann", "new item", START_MS + 12 * DAY_MS),
    Event("new user", "a", START_MS + 12 * DAY_MS),
)


def split(folder: Path, *, repeat: bool) -> tuple[evaluate.Test, Numbered]:
    """The history above, cut after the second day."""
    dataset = load_dataset(datasets.write(Shop(HISTORY), folder))
    events, _ = read_events(dataset)
    after = events.times >= START_MS + 5 * DAY_MS
    before = number(dataset, events, None, None, Settings(), up_to=~after)
    weights = events.weights(dataset.interactions)
    return evaluate.make_test(events, after, weights, before, repeat=repeat, seed=0), before


def named(test: evaluate.Test, known: Numbered) -> dict[str, list[str]]:
    """Who is asked for what."""
    return {
        known.user_ids[user]: [known.columns.ids[item] for item in test.wanted[row].indices]
        for row, user in enumerate(test.users)
    }


def test_where_items_come_back_they_are_wanted_again(tmp_path: Path) -> None:
    """What is new to the model, and what was returned, is not asked for."""
    assert named(*split(tmp_path, repeat=True)) == {"ann": ["a", "b"]}


def test_where_items_do_not_come_back_they_are_neither_wanted_nor_shown(tmp_path: Path) -> None:
    """Ann had a: it is hidden from her."""
    test, known = split(tmp_path, repeat=False)
    assert named(test, known) == {"ann": ["b"]}
    assert [known.columns.ids[item] for item in test.hidden[0].indices] == ["a"]


def test_where_items_come_back_nothing_is_hidden(tmp_path: Path) -> None:
    """The matrix of what is hidden is empty."""
    assert split(tmp_path, repeat=True)[0].hidden.nnz == 0


@pytest.fixture
def events(tmp_path: Path) -> Events:
    """Ten events, a day apart."""
    shop = Shop(tuple(Event("u", f"i{day}", START_MS + day * DAY_MS) for day in range(10)))
    return read_events(load_dataset(datasets.write(shop, tmp_path)))[0]


def test_the_last_share_of_events_is_the_test(events: Events) -> None:
    """Three of ten."""
    cut = evaluate.cut_time(events, Evaluation(test_share=0.3))
    assert np.count_nonzero(events.times >= cut) == 3


def test_a_cut_that_is_given_is_the_cut(events: Events) -> None:
    """To the millisecond."""
    moment = datetime(2024, 1, 4, tzinfo=UTC)
    assert evaluate.cut_time(events, Evaluation(cut=moment)) == START_MS + 3 * DAY_MS


def test_many_users_are_sampled_by_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed asks the same users."""
    monkeypatch.setattr(evaluate, "USERS_MAX", 5)
    dataset = load_dataset(datasets.write(datasets.clustered(30, 20, 8), tmp_path))
    history, _ = read_events(dataset)
    after = history.times >= START_MS + 50 * DAY_MS
    before = number(dataset, history, None, None, Settings(), up_to=~after)
    weights = history.weights(dataset.interactions)
    one, same = (evaluate.make_test(history, after, weights, before, repeat=True, seed=3) for _ in range(2))
    assert len(one.users) == 5
    assert one.users.tolist() == same.users.tolist()


def test_popularity_is_measured_as_any_scores_are(tmp_path: Path) -> None:
    """Of everyone the most popular that is not hidden from them, however much is."""
    dataset = load_dataset(datasets.write(datasets.clustered(60, 30, 20), tmp_path))
    events, _ = read_events(dataset)
    after = events.times >= evaluate.cut_time(events, dataset.evaluation)
    before = number(dataset, events, None, None, Settings(), up_to=~after)
    weights = events.weights(dataset.interactions)
    counts = decayed_counts(before.training).astype(np.float32)
    for repeat in (True, False):
        test = evaluate.make_test(events, after, weights, before, repeat=repeat, seed=0)
        for k in (3, 20, 40):
            by_scores = evaluate.measure(test, lambda users: np.broadcast_to(counts, (len(users), len(counts))), k)
            assert evaluate.measure_popularity(test, before, k) == pytest.approx(by_scores)
