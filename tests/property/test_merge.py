"""What holds for every merge of slates, whatever the shards answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.slates.merge import merged
from trunkshow.v1 import recommendation_pb2 as pb

IDS = ("for-you", "popular", "occasion:wedding", "occasion:work")
WANTED = ("for-you", "popular", "occasions")

# Few items and few scores, so that ties and duplicates are common.
items = st.dictionaries(
    st.sampled_from([f"i{n}" for n in range(12)]), st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]), max_size=12
)
slates = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(IDS, items)), max_size=4)
counts = st.integers(1, 8)


def carousel(carousel_id: str, scores: dict[str, float]) -> pb.Carousel:
    """A carousel as a shard makes it: best first."""
    ordered = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    return pb.Carousel(
        id=carousel_id,
        title=carousel_id,
        rung=pb.RUNG_SNAPSHOT,
        items=[pb.Item(item_id=item, score=score) for item, score in ordered],
    )


def of_shards(answers: list[dict[str, dict[str, float]]]) -> list[list[pb.Carousel]]:
    """The shards' slates."""
    return [[carousel(one, scores) for one, scores in answer.items()] for answer in answers]


def ranked(scores: dict[str, float]) -> list[str]:
    """Items by score, best first, ties by id."""
    return [item for item, _ in sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))]


@given(st.lists(items, max_size=4), counts)
def test_merging_top_lists_gives_the_top_list_of_all(parts: list[dict[str, float]], count: int) -> None:
    """The best n of the shards' best n are the best n of everything that the shards have."""
    union: dict[str, float] = {}
    for part in parts:
        for item, score in part.items():
            union[item] = max(score, union.get(item, score))
    cut = [[carousel("for-you", {item: part[item] for item in ranked(part)[:count]})] for part in parts]
    got = [item.item_id for made in merged(cut, ("for-you",), count) for item in made.items]
    assert got == ranked(union)[:count]


@given(slates, counts)
def test_no_item_stands_twice_in_a_slate(answers: list[dict[str, dict[str, float]]], count: int) -> None:
    """One appearance per item and slate."""
    shown = [item.item_id for made in merged(of_shards(answers), WANTED, count) for item in made.items]
    assert len(shown) == len(set(shown))


@given(slates, counts)
def test_items_stand_by_score_and_then_by_id(answers: list[dict[str, dict[str, float]]], count: int) -> None:
    """The order within a carousel is total: two routers give the same page."""
    for made in merged(of_shards(answers), WANTED, count):
        order = [(-item.score, item.item_id) for item in made.items]
        assert order == sorted(order)


@given(slates, counts)
def test_no_carousel_is_empty_or_too_long(answers: list[dict[str, dict[str, float]]], count: int) -> None:
    """The contract: items are never empty, and never more than asked for."""
    assert all(1 <= len(made.items) <= count for made in merged(of_shards(answers), WANTED, count))


@given(slates, counts)
def test_carousels_stand_in_the_order_asked_for(answers: list[dict[str, dict[str, float]]], count: int) -> None:
    """The order of the page is the caller's, a group in place of its name."""
    slots = [
        WANTED.index("occasions" if made.id.startswith("occasion:") else made.id)
        for made in merged(of_shards(answers), WANTED, count)
    ]
    assert slots == sorted(slots)


@given(slates, counts)
def test_the_order_of_the_shards_does_not_matter_to_a_single_carousel(
    answers: list[dict[str, dict[str, float]]], count: int
) -> None:
    """Who answers first does not change what is shown."""
    forth = merged(of_shards(answers), ("for-you",), count)
    back = merged(of_shards(answers[::-1]), ("for-you",), count)
    assert forth == back


def test_carousels_about_different_things_are_not_mixed() -> None:
    """Two titles are two stories; the first one told is kept."""
    first = pb.Carousel(id="because-you-liked", title="Because you liked A", items=[pb.Item(item_id="a", score=1)])
    second = pb.Carousel(id="because-you-liked", title="Because you liked B", items=[pb.Item(item_id="b", score=2)])
    assert merged([[first], [second]], ("because-you-liked",), 5) == [first]
