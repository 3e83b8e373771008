"""Each limit of the contract, and what a refusal says."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from router.slates import validate
from router.slates.validate import Known
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import recommendation_pb2 as pb

KNOWN = Known(frozenset({"for-you", "popular", "occasions", "trending"}), ("colour",))
RED = pb.AttributeFilter(name="colour", values=["red"])


def filters(**fields: Any) -> dict[str, Any]:
    """Fields of a request that filters so."""
    return {"filters": pb.Filters(**fields)}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user_id": "x" * 256},
        {"surface": "last_call"},
        {"context_item_ids": ["i"] * 100},
        {"items_per_carousel": 100},
        {"exclude_item_ids": ["i"] * 1000},
        {"at_least_as_fresh": "events-17/0:1234,15:9"},
        {"partial": pb.PARTIAL_ABORT, "worst_rung": pb.RUNG_POPULAR},
        {"carousels": ["popular", "occasions", "trending", "occasion:wedding"]},
        {"carousels": ["popular"] * 20},
        filters(categories=["c"] * 100),
        filters(attributes=[RED] * 20),
        filters(attributes=[pb.AttributeFilter(name="colour", values=["v"] * 100)]),
    ],
)
def test_what_the_contract_allows_is_let_through(fields: dict[str, Any]) -> None:
    """A request at its limits is valid."""
    validate.check(pb.RecommendRequest(**({"user_id": "u"} | fields)), KNOWN)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"user_id": ""}, "user_id", "USER_ID_EMPTY"),
        ({"user_id": "x" * 257}, "user_id", "USER_ID_TOO_LONG"),
        ({"user_id": "ü" * 129}, "user_id", "USER_ID_TOO_LONG"),
        ({"surface": "cart"}, "surface", "SURFACE_UNKNOWN"),
        ({"context_item_ids": ["i"] * 101}, "context_item_ids", "CONTEXT_ITEMS_TOO_MANY"),
        ({"items_per_carousel": 101}, "items_per_carousel", "ITEMS_PER_CAROUSEL_TOO_MANY"),
        ({"exclude_item_ids": ["i"] * 1001}, "exclude_item_ids", "EXCLUDED_TOO_MANY"),
        ({"at_least_as_fresh": "yesterday"}, "at_least_as_fresh", "WATERMARK"),
        ({"at_least_as_fresh": "log/" + ",".join(f"{n}:1" for n in range(999))}, "at_least_as_fresh", "WATERMARK"),
        ({"partial": 3}, "partial", "PARTIAL_UNKNOWN"),
        ({"partial": -1}, "partial", "PARTIAL_UNKNOWN"),
        ({"partial": pb.PARTIAL_ABORT, "worst_rung": 7}, "worst_rung", "WORST_RUNG_UNKNOWN"),
        ({"carousels": ["popular"] * 21}, "carousels", "CAROUSELS_TOO_MANY"),
        ({"carousels": ["popular", "hats"]}, "carousels[1]", "CAROUSEL_UNKNOWN"),
        ({"carousels": ["occasion:"]}, "carousels[0]", "CAROUSEL_UNKNOWN"),
        ({"carousels": ["occasion:" + "x" * 300]}, "carousels[0]", "CAROUSEL_UNKNOWN"),
        (filters(categories=["c"] * 101), "filters.categories", "CATEGORIES_TOO_MANY"),
        (filters(attributes=[RED] * 21), "filters.attributes", "ATTRIBUTES_TOO_MANY"),
        (
            filters(attributes=[RED, pb.AttributeFilter(name="size", values=["9"])]),
            "filters.attributes[1].name",
            "ATTRIBUTE_UNKNOWN",
        ),
        (
            filters(attributes=[pb.AttributeFilter(name="colour")]),
            "filters.attributes[0].values",
            "ATTRIBUTE_VALUES_EMPTY",
        ),
        (
            filters(attributes=[pb.AttributeFilter(name="colour", values=["v"] * 101)]),
            "filters.attributes[0].values",
            "ATTRIBUTE_VALUES_TOO_MANY",
        ),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(fields: dict[str, Any], field: str, reason: str) -> None:
    """A refusal names the field and a stable reason, and its message begins with the field."""
    with pytest.raises(InvalidArgument) as caught:
        validate.check(pb.RecommendRequest(**({"user_id": "u"} | fields)), KNOWN)
    refused = caught.value
    assert (refused.field, refused.reason, refused.message.startswith(f"{field}: ")) == (field, reason, True)


def test_a_refusal_says_what_is_allowed() -> None:
    """A person can fix the request from the message alone."""
    with pytest.raises(InvalidArgument, match="home, product, basket, last_call, search, email"):
        validate.check(pb.RecommendRequest(user_id="u", surface="cart"), KNOWN)


def test_a_refusal_repeats_only_so_much_of_what_was_sent() -> None:
    """A status travels in headers, which are small."""
    with pytest.raises(InvalidArgument) as caught:
        validate.check(pb.RecommendRequest(user_id="u", surface="x" * 100_000), KNOWN)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("requests", "field", "reason"),
    [
        ([], "requests", "BATCH_EMPTY"),
        ([pb.RecommendRequest(user_id="u")] * 1001, "requests", "BATCH_TOO_LARGE"),
        ([pb.RecommendRequest(user_id="u"), pb.RecommendRequest()], "requests[1].user_id", "USER_ID_EMPTY"),
    ],
)
def test_a_batch_is_refused_as_a_whole(requests: list[pb.RecommendRequest], field: str, reason: str) -> None:
    """One invalid request refuses the call, naming its index."""
    with pytest.raises(InvalidArgument) as caught:
        validate.check_batch(pb.RecommendBatchRequest(requests=requests), partial(validate.check, known=KNOWN))
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"item_id": ""}, "item_id", "ITEM_ID_EMPTY"),
        ({"item_id": "x" * 257}, "item_id", "ITEM_ID_TOO_LONG"),
        ({"items": 101}, "items", "ITEMS_TOO_MANY"),
        (filters(attributes=[pb.AttributeFilter(name="size")]), "filters.attributes[0].name", "ATTRIBUTE_UNKNOWN"),
    ],
)
def test_similar_items_has_limits_too(fields: dict[str, Any], field: str, reason: str) -> None:
    """The same habits for the smaller method."""
    with pytest.raises(InvalidArgument) as caught:
        validate.check_similar(pb.SimilarItemsRequest(**({"item_id": "i"} | fields)), KNOWN)
    assert (caught.value.field, caught.value.reason) == (field, reason)
