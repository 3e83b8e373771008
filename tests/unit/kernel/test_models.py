"""Each model recommends what its docstring says, on histories small enough to be counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from user_records import Neighbourhood

from trunkshow import models
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.models.item_neighbours import SHRINKAGE, ItemNeighbours
from trunkshow.models.new_arrivals import NewArrivals
from trunkshow.models.occasions import Occasions
from trunkshow.models.popularity import CATEGORY_ITEMS_MAX, DAY_MS, Popularity, decayed_counts
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Floats, Query, Settings, Training
from trunkshow.models.user_neighbours import UserNeighbours
from trunkshow.snapshot.records import UserRecord

NOWHERE = CatalogueShelf(np.zeros((10, 2), np.float32))
NOW = 1000 * DAY_MS

Had = tuple[int, int, float]
"""User, item, age in days."""


def training(
    had: Sequence[Had],
    *,
    users: int = 4,
    items: int = 5,
    weights: Sequence[float] | None = None,
    **more: Any,
) -> Training:
    """A history; what is not told of it is unknown."""
    ordered = sorted(zip(had, weights or [1.0] * len(had), strict=True), key=lambda one: -one[0][2])
    who = np.array([one[0][0] for one in ordered], np.int32)
    what = np.array([one[0][1] for one in ordered], np.int32)
    worth = np.array([one[1] for one in ordered], np.float32)
    return Training(
        **{
            "matrix": csr_matrix((np.maximum(worth, 0), (who, what)), shape=(users, items)),
            "users": who,
            "items": what,
            "times": np.array([NOW - int(one[0][2] * DAY_MS) for one in ordered], np.int64),
            "weights": worth,
            "segments": np.full(users, -1, np.int32),
            "segment_names": (),
            "categories": np.full(items, -1, np.int32),
            "category_names": (),
            "created": np.full(items, -1, np.int64),
            "available": np.ones(items, np.bool_),
            "occasions": {},
            "settings": Settings(popularity_half_life_days=10, new_arrival_days=7),
            **more,
        }
    )


def popular(query: Query | None = None, count: int = 10, **history: Any) -> list[int]:
    """Rows of the popular list."""
    model = Popularity.open(Popularity.fit(training(**history)))
    return list(model.recommend(query or Query(), NOWHERE, count).rows)


def test_an_event_counts_half_after_a_half_life() -> None:
    """And a quarter after two."""
    counts = decayed_counts(training([(0, 0, 0), (1, 1, 10), (2, 2, 20)]))
    assert counts.tolist() == pytest.approx([1, 0.5, 0.25, 0, 0])


def test_what_is_bought_lately_beats_what_was_bought_more_often_long_ago() -> None:
    """One purchase today against three, twenty days ago."""
    assert popular(had=[(0, 0, 20), (1, 0, 20), (2, 0, 20), (3, 1, 0)]) == [1, 0]


def test_a_return_does_not_count_against_popularity() -> None:
    """Nor for it."""
    assert decayed_counts(training([(0, 0, 0), (0, 0, 0)], weights=[1, -1])).tolist()[0] == 1


def test_what_nobody_bought_is_not_popular() -> None:
    """The list ends where the purchases do."""
    assert popular(had=[(0, 3, 1)]) == [3]


def test_what_is_not_available_is_not_popular() -> None:
    """An item out of stock would waste a place."""
    available = np.array([True, False, True, True, True])
    assert popular(had=[(0, 1, 0), (1, 1, 0), (2, 2, 0)], available=available) == [2]


SEGMENTED: dict[str, Any] = {
    "had": [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 2, 5)],
    "segments": np.array([0, 0, 1, -1], np.int32),
    "segment_names": ("loyal", "new"),
}


def test_a_segment_has_a_popular_list_of_its_own() -> None:
    """Counted over its users alone."""
    assert popular(Query(segment=1), **SEGMENTED) == [1]


@pytest.mark.parametrize("segment", [-1, 2])
def test_without_a_segment_the_list_is_everyones(segment: int) -> None:
    """Also for a segment that the model does not know."""
    assert popular(Query(segment=segment), **SEGMENTED) == [0, 1, 2]


CATEGORISED: dict[str, Any] = {
    "had": [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 2, 5)],
    "categories": np.array([0, 1, 1, 0, -1], np.int32),
    "category_names": ("clothes", "feet"),
}


def test_a_category_has_a_popular_list_of_its_own() -> None:
    """Of its items alone."""
    assert popular(Query(categories=(1,)), **CATEGORISED) == [1, 2]


def test_several_categories_are_merged_by_score() -> None:
    """Best first, over all of them."""
    assert popular(Query(categories=(0, 1)), **CATEGORISED) == [0, 1, 2]


def test_a_popular_list_is_no_longer_than_asked_for() -> None:
    """Fewer means that there are no more."""
    assert popular(count=2, **SEGMENTED) == [0, 1]


def arrivals(created_days_ago: Sequence[float], had: Sequence[Had] = ((0, 4, 0),), **more: Any) -> list[int]:
    """Rows of the new arrivals."""
    created = np.array([NOW - int(days * DAY_MS) for days in created_days_ago], np.int64)
    model = NewArrivals.open(NewArrivals.fit(training(had, created=created, **more)))
    return list(model.recommend(Query(), NOWHERE, 10).rows)


def test_new_arrivals_are_as_old_as_the_setting_says_or_younger() -> None:
    """Seven days here."""
    assert arrivals([6.9, 7, 7.1, 100, 100]) == [0, 1]


def test_wanted_arrivals_come_before_the_newest() -> None:
    """What somebody bought already, then what is newest."""
    assert arrivals([5, 1, 2, 100, 100], had=[(0, 0, 0)]) == [0, 1, 2]


def test_an_arrival_that_is_not_available_is_left_out() -> None:
    """New and out of stock is no news."""
    assert arrivals([1, 1, 100, 100, 100], available=np.array([False, True, True, True, True])) == [1]


def test_no_arrivals_is_nothing() -> None:
    """A shop where nothing is new has an empty list, not an old one."""
    assert arrivals([100] * 5) == []


def cosines(matrix: csr_matrix) -> Floats:
    """Item by item: users of both ÷ (√(users of one × users of the other) + shrinkage)."""
    had = (matrix.toarray() > 0).astype(np.float64)
    norms = np.sqrt(had.sum(axis=0))
    similar = (had.T @ had) / (np.outer(norms, norms) + SHRINKAGE)
    np.fill_diagonal(similar, 0)
    return similar.astype(np.float32)


@pytest.mark.parametrize("items", [2, 12, 150])
def test_item_neighbours_are_the_shrunk_cosines(items: int) -> None:
    """The same neighbours, in the same order, at the same scores as counted by hand."""
    rng = np.random.default_rng(5)
    had = [(int(user), int(item), 0.0) for user, item in zip(*np.nonzero(rng.random((60, items)) < 0.2), strict=True)]
    known = training(had, users=60, items=items)
    model, similar = ItemNeighbours.open(ItemNeighbours.fit(known)), cosines(known.matrix)
    for item in range(items):
        found = model.neighbours(item, 100)
        assert np.allclose(found.scores, np.sort(similar[item][similar[item] > 0])[::-1][:100], atol=1e-6)
        assert np.allclose(found.scores, similar[item][found.rows], atol=1e-6)


def test_an_item_is_not_its_own_neighbour() -> None:
    """Because you liked the hat: the hat."""
    model = ItemNeighbours.open(ItemNeighbours.fit(training([(0, 0, 0), (0, 1, 0), (1, 0, 0)])))
    assert list(model.neighbours(0, 10).rows) == [1]


PAIRED: list[Had] = [(0, 0, 9), (0, 1, 9), (1, 0, 9), (1, 1, 9), (2, 2, 9), (2, 3, 9)]


@pytest.fixture(scope="module")
def pairs() -> ItemNeighbours:
    """Items 0 and 1 go together, 2 and 3 do, 4 is alone."""
    return ItemNeighbours.open(ItemNeighbours.fit(training(PAIRED)))


def liking(items: Sequence[int], weights: Sequence[float] | None = None, context: Sequence[int] = ()) -> Query:
    """A user with a history, newest first."""
    worth = np.array(weights or [1.0] * len(items), np.float32)
    return Query(history=np.array(items, np.int32), weights=worth, context=context)


@pytest.mark.parametrize(
    ("query", "about"),
    [
        (liking([2, 0]), 2),
        (liking([4, 0]), 0),
        (liking([2, 0], weights=[-1, 1]), 0),
        (liking([2], context=[1]), 1),
        (liking([2], context=[4, 1]), 1),
        (liking([2], context=[4]), 2),
    ],
    ids=["newest", "lonely newest", "returned newest", "in hand", "lonely in hand", "nothing but lonely in hand"],
)
def test_because_you_liked_is_about_the_newest_item_with_neighbours(
    pairs: ItemNeighbours, query: Query, about: int
) -> None:
    """What is in hand comes before what was bought, and what was returned is not liked."""
    assert pairs.recommend(query, NOWHERE, 5).about == about


def test_nobody_likes_nothing(pairs: ItemNeighbours) -> None:
    """Without a history there is no item to name."""
    assert list(pairs.recommend(Query(), NOWHERE, 5).rows) == []


def shopper(
    items: Sequence[int], weights: Sequence[float] | None = None, taste: Sequence[float] = (1, 0)
) -> UserRecord:
    """A user who had some items."""
    worth = np.array(weights or [1.0] * len(items), np.float32)
    times = np.zeros(len(items), np.uint32)
    return UserRecord(-1, np.array(taste, np.float32), np.array(items, np.int32), worth, times)


def of(user: UserRecord, vector: Sequence[float] | None = None) -> Query:
    """What a user asks, of another taste where items in hand moved it."""
    taste = user.vector if vector is None else np.array(vector, np.float32)
    return Query(vector=taste, history=user.items, weights=user.weights)


def test_neighbours_vote_by_how_near_they_are() -> None:
    """Two near shoppers who had an item beat a nearer one who had another."""
    shelf = Neighbourhood((shopper([1]), 0.9), (shopper([2, 3]), 0.6), (shopper([2]), 0.5))
    found = UserNeighbours().recommend(of(shopper([0])), shelf, 10)
    assert (list(found.rows), found.scores) == ([2, 1, 3], pytest.approx([1.1, 0.9, 0.6]))


@pytest.mark.parametrize("vector", [None, (0.9, 0.1)], ids=["own taste", "taste moved by items in hand"])
def test_nobody_is_their_own_neighbour(vector: Sequence[float] | None) -> None:
    """A user's own history is no advice to them, whatever they have in hand."""
    user = shopper([7, 8])
    shelf = Neighbourhood((user, 1.0), (shopper([2]), 0.5))
    assert list(UserNeighbours().recommend(of(user, vector), shelf, 10).rows) == [2]


def test_what_a_neighbour_returned_is_no_vote() -> None:
    """Only what they kept."""
    shelf = Neighbourhood((shopper([1, 2], weights=[-1, 1]), 0.9))
    assert list(UserNeighbours().recommend(of(shopper([0])), shelf, 10).rows) == [2]


def test_a_neighbour_on_the_other_side_has_no_vote() -> None:
    """Opposite tastes say nothing of what to show."""
    shelf = Neighbourhood((shopper([1]), -0.5))
    assert list(UserNeighbours().recommend(of(shopper([0])), shelf, 10).rows) == []


def test_the_reason_counts_the_neighbours() -> None:
    """How many of how many had it."""
    shelf = Neighbourhood((shopper([1]), 0.9), (shopper([1, 2]), 0.6))
    found = UserNeighbours().recommend(of(shopper([0])), shelf, 1)
    assert found.reasons == ["2 of 2 shoppers nearest to your taste had it"]


def occasions(**more: Any) -> Occasions:
    """Two occasions: the wedding has items 0, 1, 2, the work week 3 and 4; item 1 is the most popular."""
    members = {"work week": np.array([3, 4], np.int32), "wedding": np.array([0, 1, 2], np.int32)}
    known = training([(0, 1, 0), (1, 1, 0), (2, 0, 0)], occasions=members, **more)
    return Occasions.open(Occasions.fit(known))


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        (Query(), ["wedding", "work week"]),
        (liking([4]), ["work week", "wedding"]),
        (liking([0, 1], context=[3, 3, 4]), ["work week", "wedding"]),
    ],
    ids=["nobody", "history", "items in hand"],
)
def test_the_occasions_of_what_one_had_come_first(query: Query, topics: list[str]) -> None:
    """Then the largest."""
    assert occasions().topics(query, 5) == topics


def test_no_more_occasions_than_asked_for() -> None:
    """A slate is not a list of everything."""
    assert occasions().topics(Query(), 1) == ["wedding"]


def test_an_occasions_items_are_by_popularity_for_somebody_unknown() -> None:
    """Those that nobody bought come last."""
    assert list(occasions().recommend(Query(topic="wedding"), NOWHERE, 5).rows) == [1, 0, 2]


def test_an_occasions_items_are_by_taste_for_somebody_known() -> None:
    """By the product of the vectors."""
    shelf = CatalogueShelf(np.array([[1, 0], [2, 0], [3, 0], [0, 0], [0, 0]], np.float32))
    query = Query(vector=np.array([1, 0], np.float32), topic="wedding")
    assert list(occasions().recommend(query, shelf, 2).rows) == [2, 1]


def test_an_occasion_with_nothing_available_is_not_offered() -> None:
    """A carousel of what cannot be had is none."""
    available = np.array([True, True, True, False, False])
    assert occasions(available=available).topics(Query(), 5) == ["wedding"]


def test_an_occasion_that_is_not_there_is_empty() -> None:
    """Asking for it by name is no error."""
    assert list(occasions().recommend(Query(topic="funeral"), NOWHERE, 5).rows) == []


@pytest.mark.parametrize("name", sorted(models.installed()))
def test_every_model_can_be_fitted_to_almost_nothing(name: str) -> None:
    """One user, one item, one event: whatever it learns from that, it opens and answers."""
    model = models.installed()[name]
    known = training([(0, 0, 0)], users=1, items=1, settings=Settings(factors=2, epochs=1))
    opened = model.open(model.fit(known))
    query = Query(np.ones(2, np.float32), NO_ROWS, NO_FLOATS)
    assert len(opened.recommend(query, CatalogueShelf(np.zeros((1, 2), np.float32)), 5).rows) <= 1


@pytest.mark.parametrize("name", sorted(models.installed()))
def test_a_models_name_is_its_entry_points(name: str) -> None:
    """A carousel's source can be looked up."""
    assert models.installed()[name].name == name


def test_the_usual_share_of_an_item_is_what_its_list_says_or_at_most() -> None:
    """Of one that stands in no list, as much as the last of its category's; they add up to 1."""
    scores = np.array([80.0, 20.0, 80.0, *np.linspace(60, 10, CATEGORY_ITEMS_MAX), 7.0], np.float32)
    listed = np.arange(10, 10 + CATEGORY_ITEMS_MAX)
    rows = np.array([0, 1, 0, *listed, 2], np.int32)
    starts = np.cumsum([0, 2, 1, CATEGORY_ITEMS_MAX, 1])
    model = Popularity({"rows": rows, "scores": scores, "starts": starts, "segments": np.array([1])})
    categories = np.full(200, -1, np.int32)
    categories[listed], categories[150], categories[[2, 3]] = 0, 0, 1
    shares = model.shares(categories)
    assert shares.sum() == pytest.approx(1)
    worth = shares / shares[0] * 80.5
    assert worth[[1, 10, 150, 2, 3, 199]] == pytest.approx([20.5, 60.5, 10.5, 7.5, 0.5, 0.5])
