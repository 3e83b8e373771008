"""For-you in the order that a blend says: its formula, what counts as a seed, and what stays as it was without one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from bench import gowalla
from trunkshow.models import neighbour_blend
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.neighbour_blend import ITEM_DAMPING, USER_DAMPING, NeighbourBlend, nearest, worths
from trunkshow.models.protocol import Floats, Query, Rows, Settings, Training
from trunkshow.snapshot.records import Neighbours, UserRecord

SHARE = 0.25
ITEMS = 40


class Everything:
    """The shelf of a partition that lists the whole catalogue."""

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors

    def nearest_items(self, vector: Floats, count: int) -> tuple[Rows, Floats]:
        scores = self._vectors @ vector
        order = np.argsort(-scores, kind="stable")[:count].astype(np.int32)
        return order, scores[order]

    def best_items_where(self, vector: Floats, mask: object, count: int) -> tuple[Rows, Floats]:
        raise NotImplementedError

    def scores(self, vector: Floats, rows: Rows) -> Floats:
        return self._vectors[rows] @ vector

    def nearest_users(self, vector: Floats, count: int) -> list[tuple[UserRecord, float]]:
        raise NotImplementedError

    def neighbours(self, vector: Floats, count: int, most: int, but: Rows) -> Neighbours:
        raise NotImplementedError


def histories(seed: int = 0) -> csr_matrix:
    """(60, 40) users who have items of one of two kinds, some more than once."""
    rng = np.random.default_rng(seed)
    had = (rng.random((60, ITEMS)) < 0.15) & ((np.arange(60)[:, None] + np.arange(ITEMS)) % 2 == 0)
    had[np.arange(60), (np.arange(60) * 7) % ITEMS] = True
    return csr_matrix(had * rng.integers(1, 4, had.shape).astype(np.float32))


def training(share: float = SHARE) -> Training:
    """Of these histories."""
    return gowalla.training(histories(), Settings(factors=8, epochs=3, neighbour_share=share))


@pytest.fixture(scope="module")
def model() -> ImplicitALS:
    """A factor model with a blend."""
    return ImplicitALS.open(ImplicitALS.fit(training()))


def query_of(model: ImplicitALS, user: int) -> Query:
    """A user's question."""
    matrix = histories()
    mine = slice(matrix.indptr[user], matrix.indptr[user + 1])
    items, weights = matrix.indices[mine].astype(np.int32), matrix.data[mine]
    return Query(vector=model.equations.solve(items, weights), history=items, weights=weights)


def blend() -> NeighbourBlend:
    """Of four items: 0 and 1 are neighbours, 2 is one of 1 alone, 3 has none."""
    rows = np.array([[1, -1], [0, 2], [1, -1], [-1, -1]], np.int32)
    return NeighbourBlend(rows, np.array([[0.5, 0], [0.5, 0.25], [0.25, 0], [0, 0]], np.float16), SHARE)


FOUR = np.arange(4, dtype=np.int32)
ALIKE = np.full(4, 0.4, np.float32)


def test_the_filter_is_that_of_the_formula() -> None:
    """Damped on both sides, nearest first, an item itself among its neighbours."""
    matrix = histories()
    had = (matrix.toarray() > 0).astype(float)
    damped = had / had.sum(1, keepdims=True) ** USER_DAMPING / np.maximum(had.sum(0), 1) ** ITEM_DAMPING
    similar = damped.T @ damped
    rows, scores = nearest(matrix)
    for item in range(ITEMS):
        held = rows[item] >= 0
        assert held.sum() == (similar[item] > 0).sum()
        assert scores[item][held] == pytest.approx(similar[item, rows[item][held]])
        assert (np.diff(scores[item]) <= 0).all()


def test_only_the_nearest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first few of what would be kept otherwise."""
    rows, _ = nearest(histories())
    monkeypatch.setattr(neighbour_blend, "NEIGHBOURS_MAX", 3)
    assert np.array_equal(nearest(histories())[0], rows[:, :3])


def test_what_goes_with_the_users_items_comes_first() -> None:
    """Of candidates that the factors score alike; and the scores are those of the formula."""
    query = Query(history=np.array([1], np.int32), weights=np.ones(1, np.float32))
    rows, scores = blend().reordered(query, FOUR, ALIKE, 4)
    assert rows.tolist() == [0, 2, 1, 3]
    assert scores == pytest.approx([0.3 + 0.5, 0.3 + 0.25, 0.3, 0.3])


def test_a_sum_over_many_items_is_held_to_the_root_of_their_number() -> None:
    """Both neighbours of item 1 are had, each counting once."""
    near = blend().near(np.array([0, 2], np.int32), np.ones(2, np.float32), FOUR)
    assert near == pytest.approx([0, 0.75 / 2**0.5, 0, 0])


def test_an_item_in_hand_is_a_seed_like_one_of_the_history() -> None:
    """Also for a stranger, who has no history."""
    by_history = blend().reordered(Query(history=FOUR[1:2], weights=np.ones(1, np.float32)), FOUR, ALIKE, 4)
    in_hand = blend().reordered(Query(context=[1]), FOUR, ALIKE, 4)
    assert [part.tolist() for part in in_hand] == [part.tolist() for part in by_history]


def test_what_was_returned_is_no_seed() -> None:
    """Nor is what counts nothing."""
    query = Query(history=FOUR[1:3], weights=np.array([-1, 0], np.float32))
    rows, scores = blend().reordered(query, FOUR, ALIKE, 4)
    assert rows.tolist() == FOUR.tolist()
    assert scores.tolist() == ALIKE.tolist()


def test_only_the_newest_items_are_summed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a long history costs no more than a limit."""
    monkeypatch.setattr(neighbour_blend, "SEEDS_MAX", 1)
    query = Query(history=np.array([2, 1], np.int32), weights=np.ones(2, np.float32))
    items, worth = neighbour_blend.seeds(query)
    assert (items.tolist(), worth.tolist()) == ([2], [1.0])


def test_a_long_history_widens_the_pool_up_to_a_limit() -> None:
    """Since the user's own items lead the list; and who asks for more gets more."""
    asked = [(10, 0), (10, 100), (10, 5000), (3000, 0)]
    found = [blend().pool(Query(history=np.zeros(had, np.int32)), count) for count, had in asked]
    assert found == [neighbour_blend.POOL, neighbour_blend.POOL + 100, neighbour_blend.POOL_MAX, 3000]


def test_what_was_had_often_counts_more_but_not_as_often() -> None:
    """Once is 1."""
    assert worths(np.array([1, 3, 15], np.float32)).tolist() == [1, 2, 4]


def test_the_model_recommends_by_the_score_that_it_is_evaluated_by(model: ImplicitALS) -> None:
    """Where the pool is all there is, a shelf's list is the top of `scores`."""
    for user in range(10):
        found = model.recommend(query_of(model, user), Everything(model.vectors), 12)
        mine = histories()[user]
        scores = model.scores(model.user_vectors(mine), mine)[0]
        assert found.scores == pytest.approx(np.sort(scores)[::-1][:12], abs=1e-5)
        assert scores[list(found.rows)] == pytest.approx(found.scores, abs=1e-5)


def test_a_list_is_the_beginning_of_a_longer_one(model: ImplicitALS) -> None:
    """As whoever asks again for more takes for granted."""
    query, shelf = query_of(model, 3), Everything(model.vectors)
    assert model.recommend(query, shelf, 5).rows == model.recommend(query, shelf, 20).rows[:5]


def test_both_summands_are_of_one_size(model: ImplicitALS) -> None:
    """At the top of users' lists: so a share is a share."""
    assert model.blend is not None
    matrix, near, far = histories(), [], []
    for user in range(matrix.shape[0]):
        query = query_of(model, user)
        others = np.setdiff1d(np.arange(ITEMS, dtype=np.int32), query.history)
        said = model.blend.near(query.history, worths(query.weights), others)
        assert said is not None
        near.append(np.sort(said)[-20:].mean() / SHARE)
        far.append(np.sort(model.vectors[others] @ query.vector)[-20:].mean())
    assert np.mean(near) == pytest.approx(np.mean(far), rel=0.02)


def test_two_threads_do_not_mix_their_users_up(model: ImplicitALS) -> None:
    """Each has its own place to sum in."""
    shelf, queries = Everything(model.vectors), [query_of(model, user) for user in range(60)]
    alone = [model.recommend(query, shelf, 10) for query in queries]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: model.recommend(query, shelf, 10), queries * 5))
    assert together == alone * 5


def test_without_a_share_nothing_is_kept_or_changed(model: ImplicitALS) -> None:
    """Its arrays are those of releases that knew no blend, and so are its lists."""
    plain = ImplicitALS.fit(training(share=0))
    assert set(plain) == {"vectors", "gram", "item_scale", "parameters"}
    opened = ImplicitALS.open(plain)
    assert opened.blend is None
    assert np.array_equal(opened.vectors, model.vectors)
    query = query_of(opened, 0)
    rows, scores = Everything(opened.vectors).nearest_items(query.vector, 7)
    found = opened.recommend(query, Everything(opened.vectors), 7)
    assert (found.rows, found.scores) == (rows.tolist(), scores.tolist())


def test_a_history_of_nobody_fits_no_blend() -> None:
    """There is nothing to be a neighbour by."""
    empty = replace(training(), matrix=csr_matrix((3, 4), dtype=np.float32))
    assert neighbour_blend.fit(empty, np.zeros((4, 2), np.float32), lambda matrix: np.zeros((0, 2), np.float32)) == {}


def test_the_same_history_gives_the_same_bytes() -> None:
    """Of the blend as of the factors."""
    one, other = (ImplicitALS.fit(training()) for _ in range(2))
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in other.items()
    }
