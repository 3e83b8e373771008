"""Which carousels there are, and which a surface shows. Values only: making them is the models' work.

A carousel is made by one model (`trunkshow.models`), which names it; these are the names that the product itself
knows, for defaults and for the titles of what replaces a carousel that could not be made.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

FOR_YOU = "for-you"
BECAUSE_YOU_LIKED = "because-you-liked"
PEOPLE_LIKE_YOU = "people-like-you"
POPULAR = "popular"
TRENDING = "trending"
NEW_ARRIVALS = "new-arrivals"
OCCASIONS = "occasions"
OCCASION_PREFIX = "occasion:"
SIMILAR_ITEMS = "similar-items"

ITEMS_DEFAULT = 10
"""Items per carousel where the caller does not say."""

OCCASIONS_MAX = 5
"""How many occasions the group `occasions` stands for: those nearest to the user's taste."""

DEFAULT_SURFACE = "home"
SURFACES: dict[str, tuple[str, ...]] = {
    "home": (FOR_YOU, BECAUSE_YOU_LIKED, PEOPLE_LIKE_YOU, TRENDING, POPULAR, NEW_ARRIVALS, OCCASIONS),
    "product": (BECAUSE_YOU_LIKED, FOR_YOU),
    "basket": (BECAUSE_YOU_LIKED, FOR_YOU, POPULAR),
    "last_call": (BECAUSE_YOU_LIKED, POPULAR),
    "search": (FOR_YOU, POPULAR),
    "email": (FOR_YOU, BECAUSE_YOU_LIKED, NEW_ARRIVALS),
}

PERSONAL = frozenset({FOR_YOU, BECAUSE_YOU_LIKED, PEOPLE_LIKE_YOU})
"""Carousels that need a user or items in hand; a surface's default leaves them out where there is neither."""


def resolve(
    asked: Sequence[str], surface: str, *, impersonal: bool, has_occasions: bool = True, has_trends: bool = False
) -> tuple[str, ...]:
    """The carousels of a slate, in order: those asked for, or the surface's own.

    Args:
        asked: from the request; wins where not empty.
        surface: a key of `SURFACES`; empty means the default one.
        impersonal: nothing is known of the user. Defaults then start with the popular list instead of three
            carousels that would all step down to it; what was asked for by name is kept.
        has_occasions: the catalogue knows any; a default without them is not one that lacks something.
        has_trends: anything trends now; likewise.
    """
    if asked:
        return tuple(dict.fromkeys(asked))
    chosen = SURFACES[surface or DEFAULT_SURFACE]
    lacking = {*(() if has_occasions else (OCCASIONS,)), *(() if has_trends else (TRENDING,))}
    if lacking:
        chosen = tuple(carousel for carousel in chosen if carousel not in lacking)
    if not impersonal:
        return chosen
    kept = tuple(carousel for carousel in chosen if carousel not in PERSONAL)
    return kept if POPULAR in kept else (POPULAR, *kept)


def is_known(carousel: str, of_models: Collection[str]) -> bool:
    """Whether a carousel can be asked for: the product's own, an occasion, or one that a plugged-in model makes."""
    return (
        carousel in (OCCASIONS, TRENDING)
        or carousel in of_models
        or (carousel.startswith(OCCASION_PREFIX) and len(carousel) > len(OCCASION_PREFIX))
    )
