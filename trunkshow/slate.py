"""From models' candidates to carousels: the filter, the seen rule, one appearance per item, titles and reasons.

Shards make personal slates with it, the router its resident ones. Nothing here does I/O or knows a clock; a model
that raises is reported to the caller as missing, with the error at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from trunkshow import carousels
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Candidates, Family, Model, Query, Rows, Shelf
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.v1 import recommendation_pb2 as pb

Floats = NDArray[np.float32]

SPARE_MAX = 3
"""Spare candidates asked of a model per item wanted, at most: one for each item that must not be shown."""

CANDIDATES_MAX = 4096


class Missing(NamedTuple):
    """A carousel that could not be made, and why."""

    carousel: str
    reason: pb.Reason
    error: Exception | None = None


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
        products: Floats = self._vectors[rows] @ vector
        return products

    def nearest_users(self, vector: Floats, count: int) -> list[tuple[UserRecord, float]]:
        """Nobody lives here."""
        del vector, count
        return []


class SlateMaker:
    """Makes carousels from one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._catalogue = snapshot.catalogue
        self._models: dict[str, Model] = {model.carousel: model for model in snapshot.models.values()}

    def make(
        self,
        wanted: Sequence[str],
        query: Query,
        shelves: Sequence[Shelf],
        *,
        count: int,
        rung: pb.Rung,
        taken: set[int],
    ) -> tuple[list[pb.Carousel], list[Missing]]:
        """The carousels wanted, in order, as far as they can be made.

        Args:
            wanted: carousel ids; the group `occasions` becomes one carousel per occasion.
            query: who asks for what.
            shelves: of the partitions to look in; candidates of several are merged by score.
            count: items per carousel.
            rung: that these carousels are of.
            taken: rows that must not be shown: seen, excluded, or shown above. What is shown is added.

        Returns:
            The carousels made, none of them empty, and those that are missing.
        """
        made: list[pb.Carousel] = []
        missing: list[Missing] = []
        for carousel in wanted:
            before = len(made)
            try:
                for one in self._members(carousel, query, wanted):
                    shown = self._carousel(one, query, shelves, count, rung, taken)
                    if shown is not None:
                        made.append(shown)
            except Exception as error:  # a model may raise anything; it costs its carousel a rung
                # What a group had made before it failed stays: its items are taken.
                missing.append(Missing(carousel, pb.REASON_MODEL_FAILED, error))
                continue
            if len(made) == before:
                missing.append(Missing(carousel, pb.REASON_CAROUSEL_EMPTY))
        return made, missing

    def show(
        self, carousel: str, model: Model, found: Candidates, count: int, rung: pb.Rung, taken: set[int]
    ) -> pb.Carousel | None:
        """A carousel of the first `count` candidates that are not taken; None where there is none."""
        topic = carousel.removeprefix(carousels.OCCASION_PREFIX)
        about = self._catalogue.title(found.about) if found.about >= 0 else ""
        same_reason = len(found.reasons) == 1
        shared = found.reasons[0].replace("{item}", about) if same_reason else ""
        title = model.title.replace("{item}", about).replace("{topic}", topic)
        shown = pb.Carousel(id=carousel, title=title, source=model.name, rung=rung)
        add, item_id = shown.items.add, self._catalogue.id  # added in place: a list of items would be copied
        for position, (row, score) in enumerate(zip(found.rows, found.scores, strict=True)):
            if row in taken:
                continue
            taken.add(row)
            add(item_id=item_id(row), score=score, reason=shared if same_reason else found.reasons[position])
            count -= 1
            if not count:
                break
        return shown if shown.items else None

    def _members(self, carousel: str, query: Query, wanted: Sequence[str]) -> list[str]:
        """The carousels that one asked-for id stands for; of a group, those that are not asked for by name as well."""
        if carousel != carousels.OCCASIONS:
            return [carousel]
        family = cast("Family", self._models[carousels.OCCASIONS])
        most = carousels.OCCASIONS_MAX
        members = [carousels.OCCASION_PREFIX + topic for topic in family.topics(query, most + len(wanted))]
        return [member for member in members if member not in wanted][:most]

    def _carousel(
        self,
        carousel: str,
        query: Query,
        shelves: Sequence[Shelf],
        count: int,
        rung: pb.Rung,
        taken: set[int],
    ) -> pb.Carousel | None:
        """One carousel; None where there is nothing to show."""
        if carousel.startswith(carousels.OCCASION_PREFIX):
            model = self._models[carousels.OCCASIONS]
            query.topic = carousel.removeprefix(carousels.OCCASION_PREFIX)
        else:
            model = self._models[carousel]
        found = self._enough(model, query, shelves, count, taken)
        return self.show(carousel, model, found, count, rung, taken)

    @staticmethod
    def _enough(model: Model, query: Query, shelves: Sequence[Shelf], count: int, taken: set[int]) -> Candidates:
        """Candidates, at least `count` of every shelf's which may be shown, or all that there are.

        Of every shelf: what one that was cut short has left might beat what another has shown.
        """
        ask = count + min(len(taken), SPARE_MAX * count)
        while True:
            parts, short = [], False
            for shelf in shelves:
                found = model.recommend(query, shelf, ask)
                more = len(found.rows) >= ask
                if query.mask is not None and found.rows:
                    found = _keep(found, query.mask(np.asarray(found.rows, np.int32)))
                short = short or (more and len(found.rows) - len(taken.intersection(found.rows)) < count)
                parts.append(found)
            if not short or ask >= CANDIDATES_MAX:
                return parts[0] if len(parts) == 1 else merge(parts)
            ask *= 4


def merge(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of several shelves as one list, best first; an item that comes twice keeps its best score."""
    best: dict[int, tuple[float, str]] = {}
    for part in parts:
        for position, (row, score) in enumerate(zip(part.rows, part.scores, strict=True)):
            if row not in best or score > best[row][0]:
                best[row] = score, part.reasons[0 if len(part.reasons) == 1 else position]
    ordered = sorted(best.items(), key=lambda entry: (-entry[1][0], entry[0]))
    reasons = [reason for _, (_, reason) in ordered]
    return Candidates(
        [row for row, _ in ordered],
        [score for _, (score, _) in ordered],
        next((part.about for part in parts if part.rows), -1),
        reasons if len(set(reasons)) > 1 else reasons[:1] or [""],
    )


def _keep(found: Candidates, allowed: NDArray[np.bool_]) -> Candidates:
    kept = np.flatnonzero(allowed).tolist()
    return Candidates(
        [found.rows[position] for position in kept],
        [found.scores[position] for position in kept],
        found.about,
        found.reasons if len(found.reasons) == 1 else [found.reasons[position] for position in kept],
    )
