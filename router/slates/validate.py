"""The contract's limits on what callers may ask. A request that breaks one is refused before any work is done.

Every refusal names the field as the contract writes it, has a stable reason, and says what is allowed. Pure: what
the snapshot knows comes in as `Known`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass

from trunkshow import carousels
from trunkshow.errors import InvalidArgument
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import recommendation_pb2 as pb

ID_BYTES_MAX = 256
CONTEXT_ITEMS_MAX = 100
CAROUSELS_MAX = 20
ITEMS_MAX = 100
EXCLUDED_MAX = 1000
CATEGORIES_MAX = 100
ATTRIBUTES_MAX = 20
ATTRIBUTE_VALUES_MAX = 100
BATCH_MAX = 1000
PARTIALS: Mapping[int, str] = {value: name for name, value in pb.Partial.items()}
RUNGS: Mapping[int, str] = {value: name for name, value in pb.Rung.items()}

_SHOWN_CHARACTERS_MAX = 60
"""Of a caller's own value in a message: a status travels in headers, which are small."""


@dataclass(frozen=True)
class Known:
    """What the snapshot has that a request can name.

    Attributes:
        carousels: ids that can be asked for, but for occasions by name.
        attributes: names that an attribute filter can ask for.
    """

    carousels: frozenset[str]
    attributes: Sequence[str]


def check(request: pb.RecommendRequest, known: Known) -> None:
    """Refuse a slate that cannot be asked for.

    Raises:
        InvalidArgument: naming the first field at fault.
    """
    check_id("user_id", "USER_ID", request.user_id)
    if request.surface and request.surface not in carousels.SURFACES:
        allowed = ", ".join(carousels.SURFACES)
        raise _refusal("surface", "SURFACE_UNKNOWN", f"{_shown(request.surface)} is not one of {allowed}")
    check_count("context_item_ids", "CONTEXT_ITEMS", request.context_item_ids, CONTEXT_ITEMS_MAX)
    _check_number("items_per_carousel", "ITEMS_PER_CAROUSEL", request.items_per_carousel, ITEMS_MAX)
    check_count("exclude_item_ids", "EXCLUDED", request.exclude_item_ids, EXCLUDED_MAX)
    if request.carousels:
        _check_carousels(request.carousels, known)
    if request.HasField("filters"):
        check_filters(request.filters, known)
    if request.at_least_as_fresh:
        _check_watermark(request.at_least_as_fresh)
    _check_named("partial", "PARTIAL", request.partial, PARTIALS)
    _check_named("worst_rung", "WORST_RUNG", request.worst_rung, RUNGS)


def check_batch(batch: pb.RecommendBatchRequest, check_one: Callable[[pb.RecommendRequest], None]) -> None:
    """Refuse a batch, naming the index of the first request at fault.

    Args:
        batch: of requests.
        check_one: refuses one.

    Raises:
        InvalidArgument: also where there are none, or too many.
    """
    if not batch.requests:
        raise _refusal("requests", "BATCH_EMPTY", f"none given; 1 to {BATCH_MAX} are allowed")
    if len(batch.requests) > BATCH_MAX:
        raise _refusal("requests", "BATCH_TOO_LARGE", f"{len(batch.requests)} given; at most {BATCH_MAX} are allowed")
    for index, request in enumerate(batch.requests):
        try:
            check_one(request)
        except InvalidArgument as error:
            place = f"requests[{index}]."
            raise InvalidArgument(place + error.message, field=place + error.field, reason=error.reason) from None


def check_similar(request: pb.SimilarItemsRequest, known: Known) -> None:
    """Refuse what cannot be asked of an item.

    Raises:
        InvalidArgument: naming the first field at fault.
    """
    check_id("item_id", "ITEM_ID", request.item_id)
    _check_number("items", "ITEMS", request.items, ITEMS_MAX)
    if request.HasField("filters"):
        check_filters(request.filters, known)


def check_filters(filters: pb.Filters, known: Known) -> None:
    """Refuse filters that are too many or name an attribute that the catalogue does not have.

    Raises:
        InvalidArgument: naming the first field at fault.
    """
    check_count("filters.categories", "CATEGORIES", filters.categories, CATEGORIES_MAX)
    check_count("filters.attributes", "ATTRIBUTES", filters.attributes, ATTRIBUTES_MAX)
    for index, attribute in enumerate(filters.attributes):
        place = f"filters.attributes[{index}]"
        if attribute.name not in known.attributes:
            allowed = ", ".join(known.attributes) or "none"
            what = f"the catalogue has no attribute {_shown(attribute.name)}; it has: {allowed}"
            raise _refusal(f"{place}.name", "ATTRIBUTE_UNKNOWN", what)
        if not attribute.values:
            what = f"none given; 1 to {ATTRIBUTE_VALUES_MAX} are allowed"
            raise _refusal(f"{place}.values", "ATTRIBUTE_VALUES_EMPTY", what)
        check_count(f"{place}.values", "ATTRIBUTE_VALUES", attribute.values, ATTRIBUTE_VALUES_MAX)


def _check_carousels(asked: Sequence[str], known: Known) -> None:
    check_count("carousels", "CAROUSELS", asked, CAROUSELS_MAX)
    for index, carousel in enumerate(asked):
        if len(carousel.encode()) > ID_BYTES_MAX or not carousels.is_known(carousel, known.carousels):
            allowed = f"{', '.join(sorted(known.carousels))} and {carousels.OCCASION_PREFIX}NAME"
            what = f"{_shown(carousel)} is not one of {allowed}"
            raise _refusal(f"carousels[{index}]", "CAROUSEL_UNKNOWN", what)


def _check_watermark(text: str) -> None:
    try:
        Watermark.parse(text)
    except ValueError:
        what = f"{_shown(text)} is no watermark; send one that RecordEvents answered with"
        raise _refusal("at_least_as_fresh", "WATERMARK", what) from None


def check_id(field: str, reason: str, value: str) -> None:
    """Refuse an id that is empty or too long.

    Raises:
        InvalidArgument: naming the field.
    """
    if not value:
        raise _refusal(field, f"{reason}_EMPTY", f"empty; 1 to {ID_BYTES_MAX} bytes are allowed")
    # Fewer characters than a quarter of the limit cannot be too many bytes: no encoding for the usual id.
    if len(value) > ID_BYTES_MAX // 4 and (size := len(value.encode())) > ID_BYTES_MAX:
        raise _refusal(field, f"{reason}_TOO_LONG", f"{size} bytes; at most {ID_BYTES_MAX} are allowed")


def check_count(field: str, reason: str, values: Sized, allowed: int) -> None:
    """Refuse too many of something.

    Raises:
        InvalidArgument: naming the field.
    """
    if len(values) > allowed:
        raise _refusal(field, f"{reason}_TOO_MANY", f"{len(values)} given; at most {allowed} are allowed")


def _check_number(field: str, reason: str, value: int, allowed: int) -> None:
    if value > allowed:
        raise _refusal(field, f"{reason}_TOO_MANY", f"{value} asked for; at most {allowed} are allowed")


def _check_named(field: str, reason: str, value: int, names: Mapping[int, str]) -> None:
    """Refuse a number that the contract has no name for: protobuf lets every number through."""
    if value not in names:
        raise _refusal(field, f"{reason}_UNKNOWN", f"{value} is not one of {', '.join(names.values())}")


def _refusal(field: str, reason: str, what: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {what}", field=field, reason=reason)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "…")
