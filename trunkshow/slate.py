"""From models' candidates to carousels: the filter, the seen rule, one appearance per item, titles and reasons.

Shards make personal slates with it, the router its resident ones. Nothing here does I/O, waits or knows a clock. A
model that raises, or proposes what cannot be, is reported to the caller as missing, with the error at hand.

A model that must not be asked on an event loop (`trunkshow.models.runs_inline`) is asked elsewhere, ahead, with
`propose`; `make` then takes what it proposed, checked like everybody's.

A carousel is short, and missing, where its model proposed candidates, but fewer than half of the items asked for, and
nothing explains it: the model does not say of itself that it `may_be_short`, the request has no filters, and the
catalogue has as many items that may be shown as were asked for. What was proposed counts, not what is left of it: what
the user had, excluded or sees further up is no fault of the model's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from trunkshow import carousels, models
from trunkshow.candidates import Short, Unasked, Unfit, checked
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Candidates, Family, Model, Query, Rows, Shelf
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.records import UserRecord
from trunkshow.v1 import recommendation_pb2 as pb

Floats = NDArray[np.float32]

SPARE_MAX = 3
"""Spare candidates asked of a model per item wanted, at most: one for each item that must not be shown."""

CANDIDATES_MAX = 4096


class Work(NamedTuple):
    """How much may be done for a slate.

    Attributes:
        spare_max: candidates beyond those to show, per item to show.
        again: a model whose candidates may not be shown is asked for more of them.
        costly: models that say so of themselves are asked as well.
    """

    spare_max: int = SPARE_MAX
    again: bool = True
    costly: bool = True


FULL = Work()


class Missing(NamedTuple):
    """A carousel that could not be made, why, and the model that should have made it where that is to blame."""

    carousel: str
    reason: pb.Reason
    error: Exception | None = None
    model: str = ""


class Proposed(NamedTuple):
    """A carousel's candidates, best first, not yet shown."""

    carousel: str
    found: Candidates


Proposals = Mapping[str, Sequence[Proposed] | Exception]
"""Of carousels asked for elsewhere: the candidates of each of their members, or why there are none."""

NO_PROPOSALS: Proposals = MappingProxyType({})


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

    def lend(self) -> CatalogueShelf:
        """Itself: any thread may read it."""
        return self

    def close(self) -> None:
        """Nothing is open."""


class Asking(NamedTuple):
    """What is asked of every model of a slate.

    Attributes:
        wanted: carousel ids, in order; the group `occasions` becomes one carousel per occasion.
        query: who asks for what.
        shelves: of the partitions to look in; candidates of several are merged by score.
        items: per carousel.
        taken: rows that must not be shown: seen, excluded, or shown above. What is shown is added.
        work: how much to do.
    """

    wanted: Sequence[str]
    query: Query
    shelves: Sequence[Shelf]
    items: int
    taken: set[int]
    work: Work = FULL


class SlateMaker:
    """Makes carousels from one snapshot.

    Attributes:
        isolated: carousels and groups whose models must not be asked on an event loop.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._catalogue = snapshot.catalogue
        self._items = len(snapshot.catalogue)
        self._models: dict[str, Model] = {model.carousel: model for model in snapshot.models.values()}
        self._ours = frozenset(model.name for model in self._models.values() if models.is_ours(model))
        self.isolated = frozenset(name for name, model in self._models.items() if not models.runs_inline(model))

    def make(
        self, asking: Asking, rung: pb.Rung, proposals: Proposals = NO_PROPOSALS
    ) -> tuple[list[pb.Carousel], list[Missing]]:
        """The carousels wanted, in order, as far as they can be made.

        Args:
            asking: for what.
            rung: that these carousels are of.
            proposals: what was proposed elsewhere; these models are not asked again.

        Returns:
            The carousels made, none of them empty, and those that are missing.
        """
        made: list[pb.Carousel] = []
        missing: list[Missing] = []
        for carousel in asking.wanted:
            before = len(made)
            try:
                for one, found in self._candidates(carousel, asking, proposals):
                    shown = self.show(one, self._model(one), found, asking.items, rung, asking.taken)
                    if shown is not None:
                        made.append(shown)
            except Exception as error:  # a model may raise anything; it costs its carousel a rung
                # What a group had made before it failed stays: its items are taken.
                missing.append(self._lost(carousel, error))
                continue
            if len(made) == before:
                missing.append(Missing(carousel, pb.REASON_CAROUSEL_EMPTY))
        return made, missing

    def propose(self, carousel: str, asking: Asking) -> list[Proposed]:
        """Candidates of one of the carousels wanted, enough for whatever will be shown above it; on any thread.

        Nothing of what is asked is changed.

        Raises:
            Unfit: they cannot be shown.
            Exception: whatever the model raises.
        """
        above = asking.wanted[: list(asking.wanted).index(carousel)]
        shown = len(above) + (carousels.OCCASIONS_MAX - 1) * list(above).count(carousels.OCCASIONS)
        own = asking._replace(query=replace(asking.query), taken=set(asking.taken))
        most = carousels.OCCASIONS_MAX if carousel == carousels.OCCASIONS else 1
        return list(self._proposed(carousel, own, asking.items * (shown + most)))

    def apart(self, wanted: Sequence[str]) -> list[str]:
        """Those of the carousels wanted whose models must not be asked on an event loop."""
        return [carousel for carousel in wanted if _family(carousel) in self.isolated] if self.isolated else []

    def source(self, carousel: str) -> str:
        """The name of the model that makes a carousel; empty where none does."""
        model = self._models.get(_family(carousel))
        return model.name if model is not None else ""

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

    def _lost(self, carousel: str, error: Exception) -> Missing:
        reason = error.reason if isinstance(error, Unfit) else pb.REASON_MODEL_FAILED
        return Missing(carousel, reason, error, "" if isinstance(error, Unasked) else self.source(carousel))

    def _candidates(self, carousel: str, asking: Asking, proposals: Proposals) -> Iterable[Proposed]:
        """What was proposed elsewhere, or else here."""
        ready = proposals.get(carousel)
        if ready is None:
            return self._proposed(carousel, asking, asking.items)
        if isinstance(ready, Exception):
            raise ready
        return ready

    def _model(self, carousel: str) -> Model:
        return self._models[_family(carousel)]

    def _members(self, carousel: str, asking: Asking) -> list[str]:
        """The carousels that one asked-for id stands for; of a group, those that are not asked for by name as well."""
        if carousel != carousels.OCCASIONS:
            return [carousel]
        family = cast("Family", self._models[carousels.OCCASIONS])
        most, wanted = carousels.OCCASIONS_MAX, asking.wanted
        members = [carousels.OCCASION_PREFIX + topic for topic in family.topics(asking.query, most + len(wanted))]
        return [member for member in members if member not in wanted][:most]

    def _proposed(self, carousel: str, asking: Asking, needed: int) -> Iterator[Proposed]:
        """The candidates of a carousel, or of each of a group's; of one when the one before was shown."""
        for one in self._members(carousel, asking):
            if one.startswith(carousels.OCCASION_PREFIX):
                asking.query.topic = one.removeprefix(carousels.OCCASION_PREFIX)
            yield Proposed(one, self._enough(self._model(one), asking, needed))

    def _enough(self, model: Model, asking: Asking, needed: int) -> Candidates:
        """Candidates, at least `needed` of every shelf's which may be shown, or all that there are.

        Of every shelf: what one that was cut short has left might beat what another has shown.
        """
        _, query, shelves, count, taken, work = asking
        if not work.costly and getattr(model, "costly", False):
            raise Unasked(f"{model.name} takes longer than there is time")
        ours = model.name in self._ours
        ask = needed + min(len(taken), work.spare_max * needed)
        if needed > count:  # asked for apart, where asking again costs a second time: so with something over
            ask += ask // 2
        while True:
            parts, short, proposed = [], False, 0
            for shelf in shelves:
                found = model.recommend(query, shelf, ask)
                if not ours:
                    found = checked(found, self._items, ask)
                proposed += len(found.rows)
                more = len(found.rows) >= ask
                if query.mask is not None and found.rows:
                    found = _keep(found, query.mask(np.asarray(found.rows, np.int32)))
                short = short or (more and len(found.rows) - len(taken.intersection(found.rows)) < needed)
                parts.append(found)
            if not short or ask >= CANDIDATES_MAX or not work.again:
                break
            ask *= 4
        if 0 < 2 * proposed < count and self._could_be_longer(model, asking):
            raise Short(f"{proposed} items proposed where {count} were asked for")
        return parts[0] if len(parts) == 1 else merge(parts)

    def _could_be_longer(self, model: Model, asking: Asking) -> bool:
        """Whether nothing but the model explains a short list."""
        if getattr(model, "may_be_short", False) or asking.query.filtered:
            return False
        return self._items - len(asking.taken) >= asking.items


def _family(carousel: str) -> str:
    """The carousel that stands for a model: itself, or the group that it is of."""
    return carousels.OCCASIONS if carousel.startswith(carousels.OCCASION_PREFIX) else carousel


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
