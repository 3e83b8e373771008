"""What was made cheaper on a shard's way to a slate gives what the plain way gives, which stands here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import csr_matrix
from user_records import Neighbourhood

from trunkshow.candidates import kept
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.largest import MANY, STRIDE, largest
from trunkshow.models import item_neighbours
from trunkshow.models.occasions import Occasions
from trunkshow.models.protocol import Candidates, Floats, Query, Settings, Training
from trunkshow.models.user_neighbours import NEIGHBOURS, NEWEST_ITEMS, UserNeighbours
from trunkshow.snapshot.arrays import Strings
from trunkshow.snapshot.catalogue import among
from trunkshow.snapshot.records import UserRecord
from trunkshow.stream.fatigue import sink
from trunkshow.stream.ranking import best_first
from trunkshow.taste import unit

floats = st.floats(-1024, 1024, width=32)
tied = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.nan])


@given(arrays(np.float32, st.integers(0, 40), elements=tied | floats), st.integers(0, 45))
def test_the_largest_are_the_first_of_all_in_order(scores: Floats, count: int) -> None:
    """Whatever is equal, infinite, or no number."""
    assert largest(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()


@given(
    arrays(np.float32, st.integers(MANY, 2 * MANY), elements=floats, fill=tied),
    st.integers(1, 300),
    st.sampled_from(["as they come", "ascending", "descending", "all looked at"]),
)
def test_so_are_they_of_many(scores: Floats, count: int, order: str) -> None:
    """Whatever lies where it is looked first: all of the best, none of them, or the same everywhere."""
    scores = {"as they come": scores, "ascending": np.sort(scores), "descending": np.sort(scores)[::-1]}.get(
        order, scores
    )
    if order == "all looked at":
        scores[::STRIDE] = 4096 + np.arange(len(scores[::STRIDE]))
    assert largest(scores, count).tolist() == np.argsort(-scores, kind="stable")[:count].tolist()


@given(st.lists(floats | st.sampled_from([-0.0, 0.0, 1.0])))
def test_the_best_come_first_and_those_that_tie_keep_their_order(scores: list[float]) -> None:
    """As sorting by score and then by place has it."""
    assert best_first(scores) == sorted(range(len(scores)), key=lambda at: (-scores[at], at))


@given(st.lists(st.floats(0.125, 1) | st.just(1.0), max_size=40), st.integers(0, 45))
def test_the_first_to_sink_are_the_first_of_all_that_sank(discounts: list[float], most: int) -> None:
    """By rank divided by discount; of equal places the better candidate."""
    places = [rank / discount for rank, discount in enumerate(discounts, start=1)]
    everybody = sorted(range(len(discounts)), key=lambda at: (places[at], at))
    assert sink(range(len(discounts)), discounts.__getitem__) == everybody
    assert sink(range(len(discounts)), discounts.__getitem__, most) == everybody[:most]


def test_who_cannot_be_among_the_first_is_not_looked_up() -> None:
    """With nobody to sink, three of a thousand are asked for."""
    asked: list[int] = []

    def discount(candidate: int) -> float:
        asked.append(candidate)
        return 1.0

    assert sink(range(1000), discount, 3) == asked == [0, 1, 2]


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=70), elements=floats))
def test_a_vector_is_as_long_as_numpy_says(vectors: Floats) -> None:
    """To the last bit: partitions and neighbours hang on it."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    plain = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    assert unit(vectors).tobytes() == plain.tobytes()


@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.booleans(), min_size=10, max_size=10), st.booleans())
def test_a_mask_keeps_what_it_allows(rows: list[int], allowed: list[bool], own: bool) -> None:
    """Each with its score, and with its own reason where it has one."""
    reasons = [f"of {row}" for row in rows] if own else ["for all"]
    found = Candidates(rows, [float(row) for row in rows], 3, reasons)
    after = kept(found, lambda asked: np.array(allowed)[asked])
    assert list(after.rows) == [row for row in rows if allowed[row]]
    assert list(after.scores) == [float(row) for row in after.rows]
    assert after.about == 3
    if own and len(rows) != 1:
        assert list(after.reasons) == [f"of {row}" for row in after.rows]


@given(
    st.integers(1, 9).flatmap(lambda known: st.tuples(st.just(known), st.sets(st.integers(0, known - 1)))), st.data()
)
def test_a_filter_finds_the_codes_that_are_asked_for(asked: tuple[int, set[int]], data: st.DataObject) -> None:
    """And never an item that has none."""
    known, codes = asked
    column = np.array(data.draw(st.lists(st.integers(-1, known - 1))), np.int32)
    assert among(list(codes), known).take(column).tolist() == np.isin(column, list(codes)).tolist()


histories = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from([-1.0, 0.0, 1.0, 2.0])), max_size=60, unique_by=lambda one: one[0]
)


def shopper(history: list[tuple[int, float]]) -> UserRecord:
    """A user with a history."""
    items, weights = np.array([row for row, _ in history], np.int32), np.array([w for _, w in history], np.float32)
    return UserRecord(-1, np.ones(2, np.float32), items, weights, np.zeros(len(items), np.uint32))


@given(histories, st.lists(st.tuples(histories, st.floats(-0.5, 1)), max_size=35), st.integers(1, 60))
def test_neighbours_vote_once_for_each_item_that_they_kept(
    own: list[tuple[int, float]], drawn: list[tuple[list[tuple[int, float]], float]], count: int
) -> None:
    """Counted one by one; who has the very same history is the user."""
    near = sorted(drawn, key=lambda one: -one[1])
    user = shopper(own)
    found = UserNeighbours().recommend(
        Query(vector=user.vector, history=user.items, weights=user.weights),
        Neighbourhood(*((shopper(history), cosine) for history, cosine in near)),
        count,
    )
    others = [
        (history, cosine)
        for history, cosine in near[: NEIGHBOURS + 1]
        if cosine > 0 and [row for row, _ in history] != [row for row, _ in own]
    ][:NEIGHBOURS]
    votes: dict[int, list[float]] = {}
    for history, cosine in others:
        for row, weight in history[:NEWEST_ITEMS]:
            if weight > 0:
                votes.setdefault(row, []).append(cosine)
    best = sorted(votes, key=lambda row: (-sum(votes[row]), row))[:count]
    assert list(found.rows) == best
    assert list(found.scores) == [sum(votes[row]) for row in best]
    if best:
        assert [int(reason.split()[0]) for reason in found.reasons] == [len(votes[row]) for row in best]


@pytest.mark.parametrize("most", [64, 1, 0])
def test_an_occasion_is_scored_alike_whether_its_vectors_are_at_hand_or_not(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first time, at later ones, and where no more of them are kept."""
    monkeypatch.setattr("trunkshow.models.occasions.GATHERED_MAX", most)
    rng = np.random.default_rng(0)
    shelf = CatalogueShelf(rng.standard_normal((50, 4)).astype(np.float32))
    offsets, text = Strings.pack(["wedding", "work week"])
    members = rng.permutation(50).astype(np.int32)
    model = Occasions({"name_offsets": offsets, "name_text": text, "starts": np.array([0, 30, 50]), "rows": members})
    for _ in range(3):
        for topic, rows in (("wedding", members[:30]), ("work week", members[30:])):
            query = Query(vector=rng.standard_normal(4).astype(np.float32), topic=topic)
            found = model.recommend(query, shelf, 7)
            scores = shelf.scores(query.vector, rows)
            order = np.argsort(-scores, kind="stable")[:7]
            assert list(found.rows) == rows[order].tolist()
            assert list(found.scores) == scores[order].tolist()


@given(st.lists(st.sets(st.integers(0, 6)), min_size=1, max_size=9), st.sampled_from([1, 3, 1000]), st.integers(1, 3))
def test_items_are_nearest_by_cosine_however_they_are_counted(
    users: list[set[int]], pairs_at_once: int, threads: int
) -> None:
    """In blocks of any size, by any number of threads: of equal ones the lower row first, and none without users."""
    had = np.zeros((len(users), 7), np.float32)
    for user, items in enumerate(users):
        had[user, list(items)] = 2.5
    training = cast("Training", SimpleNamespace(matrix=csr_matrix(had), settings=Settings(threads=threads)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_neighbours, "PAIRS_AT_ONCE", pairs_at_once)
        patch.setattr(item_neighbours, "NEIGHBOURS_MAX", 4)
        found = item_neighbours.ItemNeighbours.fit(training)
    shared = (had > 0).T.astype(float) @ (had > 0)
    sizes = np.sqrt(np.diag(shared))
    near = shared / (np.outer(sizes, sizes) + item_neighbours.SHRINKAGE)
    np.fill_diagonal(near, 0)
    for item in range(7):
        best = [other for other in np.argsort(-near[item], kind="stable")[:4] if near[item, other] > 0]
        assert found["rows"][item].tolist() == [*best, *[-1] * (4 - len(best))]
        assert found["scores"][item] == pytest.approx([*near[item, best], *[0.0] * (4 - len(best))])
