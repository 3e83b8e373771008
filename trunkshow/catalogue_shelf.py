"""The shelf of whoever holds no partition: the vectors of all items, without lists or users of its own.

The router makes its resident slates with it, and shards warm stand-ins up with it. What a shelf is, is
`trunkshow.models.protocol`'s to say; the shelves of partitions are `trunkshow.snapshot.partition`'s.
"""

from __future__ import annotations

from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Floats, Rows
from trunkshow.snapshot.records import NOBODY_NEAR, Neighbours, UserRecord


class CatalogueShelf:
    """The shelf of no partition: scores any item, and lists none.

    Args:
        vectors: (items, factors) float32.
    """

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors

    def nearest_items(self, vector: Floats, count: int) -> tuple[Rows, Floats]:
        """Nothing: this shelf has no items of its own."""
        del vector, count
        return NO_ROWS, NO_FLOATS

    def best_items_where(self, vector: Floats, mask: object, count: int) -> tuple[Rows, Floats]:
        """Nothing: this shelf has no items of its own."""
        del vector, mask, count
        return NO_ROWS, NO_FLOATS

    def scores(self, vector: Floats, rows: Rows) -> Floats:
        """Inner products of a (factors,) vector with the items of `rows`."""
        products: Floats = self._vectors.take(rows, 0) @ vector
        return products

    def vectors_of(self, rows: Rows) -> Floats:
        """(k, factors) copies of the vectors of the items of (k,) `rows`."""
        return self._vectors.take(rows, 0)

    def nearest_users(self, vector: Floats, count: int) -> list[tuple[UserRecord, float]]:
        """Nobody lives here."""
        del vector, count
        return []

    def neighbours(self, vector: Floats, count: int, most: int, but: Rows) -> Neighbours:
        """Nobody lives here."""
        del vector, count, most, but
        return NOBODY_NEAR

    def lend(self) -> CatalogueShelf:
        """Itself: any thread may read it."""
        return self

    def close(self) -> None:
        """Nothing is open."""
