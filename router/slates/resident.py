"""What the router can make by itself, from the snapshot's shared files: the lowest rungs, and the shop's own lists.

Which carousel gets which rung is `router.slates.ladder`'s to say; this makes them. Nothing here waits for anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
import structlog

from router.slates import ladder, merge
from trunkshow import carousels
from trunkshow.candidates import kept
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.models.popularity import Popularity
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Candidates, Floats, Query, Rows
from trunkshow.models.trending import TrendingNow
from trunkshow.online.trends import NO_TRENDS, Trends
from trunkshow.proposals import Asking
from trunkshow.serving.telemetry import Throttle
from trunkshow.slate import Missing, SlateMaker
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb

SPARE_LIKE = 5
"""Items like a new one that are looked at, per item shown: filters may not allow all of them."""

log = structlog.get_logger()


@dataclass(slots=True)
class Need:
    """A request, in rows of this catalogue.

    Attributes:
        count: items per carousel.
        query: what the models are asked.
        segment: of the user, -1 where none is known.
        taken: rows that must not be shown; grows with what is.
        had: of these, those that are shown rather than nothing.
    """

    count: int
    query: Query
    segment: int = -1
    taken: set[int] = field(default_factory=set)
    had: set[int] = field(default_factory=set)


class Completed(NamedTuple):
    """A slate with its gaps filled, as far as they can be."""

    carousels: list[pb.Carousel]
    reasons: list[pb.Reason]


class Resident:
    """Makes carousels without asking anybody.

    Args:
        snapshot: the router's.
        trends: what trends as of now.
    """

    def __init__(self, snapshot: Snapshot, trends: Callable[[], Trends] = lambda: NO_TRENDS) -> None:
        self._snapshot, self._catalogue = snapshot, snapshot.catalogue
        self._fold_in = snapshot.with_context
        self._popularity = cast("Popularity", snapshot.models[Popularity.name])
        trending = TrendingNow(snapshot.catalogue, snapshot.segment_names, trends)
        self._maker = SlateMaker(snapshot, [trending])
        self._shelves = (CatalogueShelf(snapshot.ials.vectors),)
        self._throttle = Throttle()

    def rows(self, item_ids: Sequence[str]) -> list[int]:
        """Rows of the items that the catalogue knows."""
        return [row for item_id in item_ids if (row := self._catalogue.row(item_id)) is not None]

    def context_reasons(self, request: pb.RecommendRequest) -> tuple[pb.Reason, ...]:
        """What the receipt has to say of the items in hand."""
        in_hand = request.context_item_ids
        if in_hand and len(self.rows(in_hand)) < len(in_hand):
            return (pb.REASON_CONTEXT_ITEM_UNKNOWN,)
        return ()

    def taste(self, context: Sequence[int]) -> Floats:
        """(factors,) taste of somebody of whom only the items in hand are known; empty where they say nothing."""
        if not context:
            return NO_FLOATS
        rows: Rows = np.array(context, np.int32)
        vector = self._fold_in(NO_ROWS, NO_FLOATS, rows)
        return vector if vector.any() else NO_FLOATS

    def need(self, request: pb.RecommendRequest, segment: int, vector: Floats = NO_FLOATS) -> Need:
        """A request in rows."""
        context = self.rows(request.context_item_ids)
        chosen = self._catalogue.filter(request.filters if request.HasField("filters") else None)
        built = [row for row in context if row < len(self._catalogue)]  # models have no others' rows
        query = Query(vector=vector, context=built, categories=chosen.categories, mask=chosen.mask)
        taken = {*self.rows(request.exclude_item_ids), *context}
        return Need(request.items_per_carousel or carousels.ITEMS_DEFAULT, query, segment, taken)

    def avoid(self, need: Need, hidden: Sequence[str], had: Sequence[str]) -> None:
        """What is missing is never replaced by what the user hid, and by what they had only in place of nothing."""
        need.taken.update(self.rows(hidden))
        need.had.update(set(self.rows(had)) - need.taken)
        need.taken |= need.had

    def complete(
        self,
        wanted: Sequence[str],
        made: Sequence[pb.Carousel],
        missing: Mapping[str, pb.Reason],
        need: Need,
    ) -> Completed:
        """The slate in the order asked for, every gap stepped down as `router.slates.ladder` rules.

        Args:
            wanted: ids asked for.
            made: what there is of them.
            missing: why each of the others is missing; one that is not named failed with its shard.
            need: the request.
        """
        by_id = {carousel.id: carousel for carousel in made}
        by_slot = merge.slotted(by_id, wanted)
        need.taken.update(self.rows([item.item_id for carousel in made for item in carousel.items]))
        slate: list[pb.Carousel] = []
        reasons: list[pb.Reason] = []
        for slot in wanted:
            if slot in missing:
                reasons.append(missing[slot])
            if by_slot[slot]:
                slate.extend(by_id[one] for one in by_slot[slot])
                continue
            why = missing.get(slot, pb.REASON_SHARD_FAILED)
            filled = [] if ladder.left_out(slot, why, wanted) else self._filled(slot, why, wanted, need)
            if not filled or (slot == carousels.TRENDING and filled[0].source == Popularity.name):
                reasons.append(pb.REASON_CAROUSEL_EMPTY)
            slate.extend(filled)
        if not slate:
            need.taken -= need.had
            slate = self._replaced(wanted[0], need) or self._whatever_is_left(wanted[0], need)
        return Completed(slate, reasons)

    def narrowed(self, carousel: pb.Carousel, need: Need) -> pb.Carousel:
        """Another snapshot's carousel without the items that this catalogue does not have, or may not show."""
        known = self.rows([item.item_id for item in carousel.items])
        allowed = set(self._allowed(np.array(known, np.int32), need, carousel.id).tolist())
        return merge.of_items(
            carousel, [item for item in carousel.items if self._catalogue.row(item.item_id) in allowed]
        )

    def similar(self, row: int, count: int, filters: pb.Filters | None) -> pb.Carousel:
        """The items nearest to one, nearest first; without items where it has no neighbour that may be shown."""
        chosen = self._catalogue.filter(filters)
        query = Query(context=[row], categories=chosen.categories, mask=chosen.mask)
        if row < len(self._catalogue):
            found = self._made(carousels.BECAUSE_YOU_LIKED, query, count, pb.RUNG_SNAPSHOT, {row})
        else:
            found = self._like(row, query, count)
        carousel = found[0] if found else pb.Carousel(rung=pb.RUNG_SNAPSHOT)
        carousel.id = carousels.SIMILAR_ITEMS
        carousel.title = f"Goes with {self._catalogue.title(row)}"
        return carousel

    def _like(self, row: int, query: Query, count: int) -> list[pb.Carousel]:
        """What is like a new item; nobody had that together with anything yet."""
        rows, near = self._snapshot.like(row, SPARE_LIKE * count)
        found = Candidates(rows.tolist(), near.tolist(), about=row, reasons=("Like {item}",))
        if query.mask is not None and len(rows):
            found = kept(found, query.mask)
        model = self._maker.proposer.model(carousels.BECAUSE_YOU_LIKED)
        shown = self._maker.show(carousels.SIMILAR_ITEMS, model, found, count, pb.RUNG_SNAPSHOT, set())
        return [shown] if shown is not None else []

    def _filled(self, slot: str, why: pb.Reason, wanted: Sequence[str], need: Need) -> list[pb.Carousel]:
        """A missing carousel: the shop's own list made here, or what replaces a personal one."""
        if slot == carousels.POPULAR or not ladder.of_the_shop(slot):
            return self._replaced(slot, need)
        need.query.segment = need.segment if slot == carousels.TRENDING else -1
        # What a shard found to be empty for this user is so: it knows what they had.
        is_empty = why == pb.REASON_CAROUSEL_EMPTY
        found = [] if is_empty else self._made(slot, need.query, need.count, pb.RUNG_POPULAR, need.taken)
        if found or ladder.left_out(slot, pb.REASON_CAROUSEL_EMPTY, wanted):
            return found
        return self._replaced(slot, need)

    def _replaced(self, slot: str, need: Need) -> list[pb.Carousel]:
        """The popular list of the first rung below that has something to show, under the id asked for."""
        for rung in ladder.steps_down(pb.RUNG_SNAPSHOT, self._offered(need)):
            need.query.segment = need.segment if rung == pb.RUNG_SEGMENT else -1
            found = self._made(carousels.POPULAR, need.query, need.count, rung, need.taken)
            if found:
                found[0].id = slot
                return found
        return []

    def _whatever_is_left(self, slot: str, need: Need) -> list[pb.Carousel]:
        """Anything that may be shown: popular lists end somewhere, and filters may allow only what nobody bought."""
        rows = self._allowed(np.arange(len(self._catalogue), dtype=np.int32), need, carousels.POPULAR)
        spare = rows[: need.count + len(need.taken)].tolist()
        found = Candidates(spare, [0.0] * len(spare), reasons=("From our catalogue",))
        shown = self._maker.show(slot, self._popularity, found, need.count, pb.RUNG_POPULAR, need.taken)
        return [shown] if shown is not None else []

    def _allowed(self, rows: Rows, need: Need, carousel: str) -> Rows:
        """Those of the rows that may stand in a carousel; what is in a list of the shop's is always available."""
        available = self._catalogue.filter().mask if ladder.of_the_shop(carousel) else None
        for mask in (available, need.query.mask):
            rows = rows if mask is None else rows[mask(rows)]
        return rows

    def _offered(self, need: Need) -> frozenset[pb.Rung]:
        """The resident rungs that this user has. Categories have lists of their own, which know no segments."""
        if need.query.categories or not self._popularity.of_segment(need.segment, 1).rows:
            return frozenset({pb.RUNG_POPULAR})
        return ladder.RESIDENT

    def _made(self, carousel: str, query: Query, count: int, rung: pb.Rung, taken: set[int]) -> list[pb.Carousel]:
        new = self._catalogue.additions.offered
        made, missing = self._maker.make(Asking([carousel], query, self._shelves, count, taken, new=new), rung)
        for lost in missing:
            self._report(lost)
        return made

    def _report(self, lost: Missing) -> None:
        if lost.error is not None:
            self._throttle.log(log.error, "model.failed", carousel=lost.carousel, exc_info=lost.error)
