"""What a shard answers for the users of a built snapshot."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import Built, Event
from scipy.sparse import csr_matrix
from whole_shard import HOME, USER, Shard, described, had, shown

from builder.pipeline import BuildSettings, build
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb


def test_a_known_user_gets_every_carousel_of_the_home_surface(shard: Shard) -> None:
    """One per occasion among them, in the surface's order, all at the rung SNAPSHOT."""
    slate, missing = shard.full()
    ids = [carousel.id for carousel in slate.carousels]
    assert ids[:5] == list(HOME[:5])
    assert sorted(ids[5:]) == ["occasion:wedding", "occasion:work week"]
    assert {carousel.rung for carousel in slate.carousels} == {pb.RUNG_SNAPSHOT}
    assert missing == {}


def test_for_you_is_of_the_users_taste(shard: Shard) -> None:
    """Most of what every tenth user is shown was made for their taste."""
    right = [
        datasets.taste_of_item(item.item_id) == datasets.taste_of_user(user)
        for user in map(datasets.user_id, range(0, 400, 10))
        for item in shard.slate(user, ("for-you",))["for-you"].items
    ]
    assert np.mean(right) > 0.7


@pytest.mark.parametrize("count", [1, 3, 25])
def test_no_carousel_is_longer_than_asked_for(shard: Shard, count: int) -> None:
    """And those that have enough items are no shorter."""
    slate = shard.slate(items_per_carousel=count)
    assert max(len(carousel.items) for carousel in slate.values()) == count


def test_without_a_wish_a_carousel_has_ten_items(shard: Shard) -> None:
    """Zero means the default."""
    assert len(shard.slate(wanted=("for-you",))["for-you"].items) == 10


def test_an_item_is_in_one_carousel_of_the_slate(shard: Shard) -> None:
    """Even of large ones."""
    items = shown(shard.slate(items_per_carousel=40))
    assert len(items) == len(set(items))


def test_what_a_user_had_is_hidden(built: Built, shard: Shard) -> None:
    """The data set says that items do not come back."""
    assert not set(shown(shard.slate(items_per_carousel=100))) & set(had(built, USER))


def test_what_a_user_had_is_shown_on_request(built: Built, shard: Shard) -> None:
    """`include_seen` is the caller's wish."""
    assert set(shown(shard.slate(items_per_carousel=100, include_seen=True))) & set(had(built, USER))


def test_excluded_items_are_never_shown(shard: Shard) -> None:
    """Excluding all that was shown gives another slate altogether."""
    first = shown(shard.slate(items_per_carousel=5))
    second = shown(shard.slate(items_per_carousel=5, exclude_item_ids=[*first, "unheard-of"]))
    assert second
    assert not set(first) & set(second)


def test_items_in_hand_are_not_recommended(shard: Shard) -> None:
    """Nobody needs to be told of what is in the basket."""
    first = shown(shard.slate())
    assert not set(first[:5]) & set(shown(shard.slate(context_item_ids=first[:5])))


def test_unavailable_items_are_hidden(built: Built, shard: Shard) -> None:
    """In every carousel, without being asked."""
    assert all(described(built, item).available for item in shown(shard.slate(items_per_carousel=100)))


def test_a_category_filter_holds_in_every_carousel(built: Built, shard: Shard) -> None:
    """Also in those whose lists know no categories."""
    slate = shard.slate(filters=pb.Filters(categories=["taste 2"]))
    assert {described(built, item).category for item in shown(slate)} == {"taste 2"}
    assert {"for-you", "popular", "people-like-you"} <= slate.keys()


def test_an_attribute_filter_holds_in_every_carousel(built: Built, shard: Shard) -> None:
    """Availability goes on holding beside it."""
    red = pb.Filters(attributes=[pb.AttributeFilter(name="colour", values=["red"])])
    items = [described(built, item) for item in shown(shard.slate(filters=red, items_per_carousel=30))]
    assert {(item.colour, item.available) for item in items} == {("red", True)}


def test_a_filtered_for_you_is_exact(built: Built, shard: Shard, snapshot: Snapshot) -> None:
    """The best of the allowed items of the home partition by inner product, none forgotten."""
    colours = pb.Filters(attributes=[pb.AttributeFilter(name="colour", values=["green"])])
    home = shard.partitions[shard.home(USER)]
    user = home.user(USER)
    assert user is not None
    seen = set(had(built, USER))
    scores = {snapshot.catalogue.id(row): float(snapshot.ials.vectors[row] @ user.vector) for row in home.items}
    allowed = [item for item in scores if described(built, item).colour == "green" and described(built, item).available]
    best = sorted((item for item in allowed if item not in seen), key=lambda item: -scores[item])[:10]
    assert [item.item_id for item in shard.slate(wanted=("for-you",), filters=colours)["for-you"].items] == best


def test_because_you_liked_names_what_the_user_had(built: Built, shard: Shard) -> None:
    """The newest item that has neighbours, by its title."""
    title = shard.slate()["because-you-liked"].title
    recent = [described(built, item).title for item in had(built, USER)[:8]]
    assert title in {f"Because you liked {one}" for one in recent}


def test_because_you_liked_names_the_item_in_hand(built: Built, shard: Shard) -> None:
    """In the title and in every reason."""
    carousel = shard.slate(context_item_ids=["item-0008"])["because-you-liked"]
    assert carousel.title == "Because you liked Article № 8"
    assert {item.reason for item in carousel.items} == {"Goes with Article № 8"}


def test_people_like_you_is_not_the_user(built: Built, shard: Shard) -> None:
    """With seen items allowed, a user's history does not come back as other people's advice."""
    item = described(built, had(built, USER)[0])
    slate = shard.slate(wanted=("people-like-you",), include_seen=True, context_item_ids=["item-0003"])
    counted = {one.item_id: int(one.reason.split()[0]) for one in slate["people-like-you"].items}
    others = sum(item.id in had(built, other) for other in map(datasets.user_id, range(400)) if other != USER)
    assert counted.get(item.id, 0) <= others


def test_popular_is_the_users_segments(shard: Shard) -> None:
    """Not everyone's."""
    assert {item.reason for item in shard.slate()["popular"].items} == {"Popular with shoppers like you"}


def test_an_occasion_shows_its_members_alone(built: Built, shard: Shard) -> None:
    """Under its own name."""
    carousel = shard.slate(wanted=("occasion:wedding",))["occasion:wedding"]
    assert carousel.title == "wedding"
    assert all("wedding" in described(built, item.item_id).occasions.split("|") for item in carousel.items)


def test_scores_fall_within_a_carousel(shard: Shard) -> None:
    """Best first, whatever made it."""
    for carousel in shard.slate(wanted=("for-you", "because-you-liked", "people-like-you", "popular")).values():
        scores = [item.score for item in carousel.items]
        assert scores == sorted(scores, reverse=True), carousel.id


def test_the_same_request_gets_the_same_slate(shard: Shard) -> None:
    """Serving draws no lots."""
    assert shard.full()[0].carousels == shard.full()[0].carousels


def test_somebody_folded_in_gets_the_best_of_all_partitions(shard: Shard, snapshot: Snapshot) -> None:
    """For-you is the global top of what the partitions list, and reasons name their item."""
    context = [snapshot.catalogue.row("item-0001"), snapshot.catalogue.row("item-0005")]
    nothing = np.empty(0, np.int32)
    taste = snapshot.ials.with_context(nothing, nothing.astype(np.float32), np.array(context, np.int32))
    in_hand = ["item-0001", "item-0005"]
    slate = shard.slate("stranger", vector=taste, context_item_ids=in_hand)
    listed = np.unique(np.concatenate([shelf.items for shelf in shard.partitions.values()]))
    ordered = listed[np.argsort(-(snapshot.ials.vectors[listed] @ taste), kind="stable")]
    allowed = snapshot.catalogue.filter().mask
    assert allowed is not None
    best = [snapshot.catalogue.id(row) for row in ordered[allowed(ordered)].tolist()]
    assert [item.item_id for item in slate["for-you"].items] == [item for item in best if item not in in_hand][:10]
    assert {item.reason for item in slate["because-you-liked"].items} == {"Goes with Article № 1"}


def test_a_merging_router_may_ask_for_more_than_a_caller(shard: Shard, snapshot: Snapshot) -> None:
    """Twice the longest carousel, from partitions that list so much, in full and every item once."""
    taste = snapshot.ials.vectors[0]
    slate = shard.slate("stranger", ("for-you", "popular"), taste, items_per_carousel=200)
    items = shown(slate)
    assert len(slate["for-you"].items) == 200
    assert len(items) == len(set(items))


def test_where_items_come_back_what_a_user_had_is_shown(tmp_path: Path) -> None:
    """Groceries: `repeat = true`."""
    buyers = [Event(f"u{user}", f"i{item}", datasets.START_MS + item) for user in range(5) for item in range(4)]
    again = [Event(f"u{user}", "i0", datasets.START_MS + 100) for user in range(5)]
    dataset = datasets.write(datasets.Shop((*buyers, *again)), tmp_path / "data", serving="repeat = true")
    build(dataset, tmp_path / "store", BuildSettings(factors=4))
    shop = Shard(Snapshot.open(open_store(tmp_path / "store")))
    assert "i0" in [item.item_id for item in shop.slate("u0")["for-you"].items]
    shop.close()


def test_an_occasion_asked_for_by_name_is_not_shown_again_with_the_group(shard: Shard) -> None:
    """One carousel per id, whichever comes first."""
    slate, _ = shard.full(wanted=("occasions", "occasion:wedding"))
    ids = [carousel.id for carousel in slate.carousels]
    assert ids.count("occasion:wedding") == 1
    assert len(set(ids)) == len(ids) > 1


def test_a_snapshot_built_with_neighbours_serves_the_blend_that_it_was_evaluated_by(tmp_path: Path) -> None:
    """For-you is the best of what the home lists by the blended score, and the manifest says what it was built with."""
    dataset = datasets.write(datasets.clustered(), tmp_path / "data")
    report = build(dataset, tmp_path / "store", BuildSettings(partitions=2, factors=8, neighbour_share=0.4))
    assert report.manifest.parameters["neighbour_share"] == 0.4
    shop = Shard(Snapshot.open(open_store(tmp_path / "store")))
    ials, home = shop.snapshot.ials, shop.partitions[shop.home(USER)]
    user = home.user(USER)
    assert user is not None
    matrix = csr_matrix((user.weights, ([0] * len(user.items), user.items)), shape=(1, len(ials.vectors)))
    scores = ials.scores(user.vector[None], matrix)[0]
    listed = np.setdiff1d(home.items, user.items)
    allowed = shop.snapshot.catalogue.filter().mask
    assert allowed is not None
    listed = listed[allowed(listed)]
    best = [shop.snapshot.catalogue.id(row) for row in listed[np.argsort(-scores[listed], kind="stable")][:10].tolist()]
    slate = shop.slate(wanted=("for-you",))
    assert shown(slate) == best
    assert best != sorted(best, key=lambda item: -ials.vectors[shop.snapshot.catalogue.row(item)] @ user.vector)
    shop.close()
