"""Asking a snapshot's models for candidates: how many, of which shelves, and whether what they propose is enough.

A model that must not be asked on an event loop (`trunkshow.models.runs_inline`) is asked elsewhere, ahead, with
`propose`; everybody else when their carousel's turn has come. What a model may propose is checked in
`trunkshow.candidates`; what is shown of it is left to `trunkshow.slate`.

A carousel is short where its model proposed fewer than half of the items asked for, and nothing explains it: the model
does not say of itself that it `may_be_short`, the request has no filters, and the catalogue has as many items that may
be shown as were asked for. To propose nothing at all is explained where nothing is known of the user, and where the
model is one of ours. Different items count, and all that were proposed, not what is left of them: what the user had,
excluded or sees further up is no fault of the model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, cast

from trunkshow import carousels, models
from trunkshow.candidates import Nonsense, Short, Unasked, checked, finite, kept, merge
from trunkshow.models.protocol import NO_NEW_ITEMS, Candidates, Family, NewItems, Query, Shelf, Source
from trunkshow.reordering import Reordering
from trunkshow.snapshot.reader import Snapshot

SPARE_MAX = 3
"""Spare candidates asked of a model per item wanted, at most: one for each item that must not be shown."""

MASKED_SPARE = 5
"""Spare candidates asked for where a mask may drop some: most drop hardly any, and asking again costs more."""

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


class Asking(NamedTuple):
    """What is asked of every model of a slate.

    Attributes:
        wanted: carousel ids, in order; the group `occasions` becomes one carousel per occasion.
        query: who asks for what.
        shelves: of the partitions to look in; candidates of several are merged by score.
        items: per carousel.
        taken: rows that must not be shown: seen, excluded, or shown above. What is shown is added.
        work: how much to do.
        reordering: what the user did lately, where it changes the order of candidates.
        new: items that came since the snapshot was built.
    """

    wanted: Sequence[str]
    query: Query
    shelves: Sequence[Shelf]
    items: int
    taken: set[int]
    work: Work = FULL
    reordering: Reordering | None = None
    new: NewItems = NO_NEW_ITEMS


class Proposed(NamedTuple):
    """A carousel's candidates, best first, not yet shown."""

    carousel: str
    found: Candidates


Proposals = Mapping[str, Sequence[Proposed] | Exception]
"""Of carousels asked for elsewhere: the candidates of each of their members, or why there are none."""

NO_PROPOSALS: Proposals = MappingProxyType({})


class Proposer:
    """Asks the models of one snapshot.

    Args:
        snapshot: opened.
        live: sources that no snapshot has; a model of the snapshot that makes the same carousel wins.

    Attributes:
        isolated: carousels and groups whose models must not be asked on an event loop.
    """

    def __init__(self, snapshot: Snapshot, live: Sequence[Source] = ()) -> None:
        self._items = len(snapshot.catalogue)
        self._models: dict[str, Source] = {model.carousel: model for model in (*live, *snapshot.models.values())}
        self._ours = frozenset(model.name for model in self._models.values() if models.is_ours(model))
        self.isolated = frozenset(name for name, model in self._models.items() if not models.runs_inline(model))

    def model(self, carousel: str) -> Source:
        """The model that makes a carousel.

        Raises:
            KeyError: none does.
        """
        return self._models[_family(carousel)]

    def candidates(self, carousel: str, asking: Asking, needed: int) -> Iterator[Proposed]:
        """The candidates of a carousel, or of each of a group's; of one when the one before was shown."""
        for one in self._members(carousel, asking):
            if one.startswith(carousels.OCCASION_PREFIX):
                asking.query.topic = one.removeprefix(carousels.OCCASION_PREFIX)
            found = self._enough(self.model(one), asking, needed, pool(one, asking))
            yield Proposed(one, found)

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
        return list(self.candidates(carousel, own, asking.items * (shown + most)))

    def apart(self, wanted: Sequence[str]) -> list[str]:
        """Those of the carousels wanted whose models must not be asked on an event loop."""
        return [carousel for carousel in wanted if _family(carousel) in self.isolated] if self.isolated else []

    def ours(self, wanted: Sequence[str]) -> bool:
        """Whether models of this package make all of these: what they propose follows from what they are asked."""
        return all(self.source(carousel) in self._ours for carousel in wanted)

    def source(self, carousel: str) -> str:
        """The name of the model that makes a carousel; empty where none does."""
        model = self._models.get(_family(carousel))
        return model.name if model is not None else ""

    def _members(self, carousel: str, asking: Asking) -> list[str]:
        """The carousels that one asked-for id stands for; of a group, those that are not asked for by name as well."""
        if carousel != carousels.OCCASIONS:
            return [carousel]
        family = cast("Family", self._models[carousels.OCCASIONS])
        most, wanted = carousels.OCCASIONS_MAX, asking.wanted
        members = [carousels.OCCASION_PREFIX + topic for topic in family.topics(asking.query, most + len(wanted))]
        return [member for member in members if member not in wanted][:most]

    def _enough(self, model: Source, asking: Asking, needed: int, least: int) -> Candidates:
        """Candidates, at least `needed` of every shelf's which may be shown, or all that there are.

        `least` are asked for in any case. Of every shelf: what one that was cut short has left might beat what another
        has shown.
        """
        _, query, shelves, count, taken, work, _, new = asking
        if not work.costly and getattr(model, "costly", False):
            raise Unasked(f"{model.name} takes longer than there is time")
        ours = model.name in self._ours
        ask = needed + min(len(taken), work.spare_max * needed)
        if query.mask is not None:
            ask += MASKED_SPARE
        if needed > count:  # asked for apart, where asking again costs a second time: so with something over
            ask += ask // 2
        ask = max(ask, least)
        while True:
            parts, short = [], False
            proposed: set[int] = set()
            for shelf in shelves:
                found = model.recommend(query, shelf, ask)
                found = finite(found) if ours else checked(found, self._items, ask)
                proposed.update(found.rows)
                more = len(found.rows) >= ask
                if query.mask is not None and found.rows:
                    found = kept(found, query.mask)
                short = short or (more and len(found.rows) - len(taken.intersection(found.rows)) < needed)
                parts.append(found)
            if len(new.rows):
                parts += self._of_new(model, query, new, ask)
            if not short or ask >= CANDIDATES_MAX or not work.again:
                break
            ask *= 4
        if 2 * len(proposed) < count and self._could_be_longer(model, asking, bool(proposed)):
            raise Short(f"{len(proposed)} items proposed where {count} were asked for")
        return parts[0] if len(parts) == 1 else merge(parts)

    def _of_new(self, model: Source, query: Query, new: NewItems, ask: int) -> list[Candidates]:
        """Candidates among items that no build has seen; a mask narrows them first, so that one asking is enough."""
        recommend = getattr(model, "recommend_new", None)
        if recommend is None:
            return []
        allowed = new.where(query.mask)
        found = recommend(query, allowed, ask)
        if model.name in self._ours:
            return [finite(found)] if found.rows else []
        found = checked(found, int(new.rows.max()) + 1, ask)
        if not set(found.rows) <= set(allowed.rows.tolist()):
            raise Nonsense("what was proposed as new is not")
        return [found]

    def _could_be_longer(self, model: Source, asking: Asking, proposed: bool) -> bool:
        """Whether nothing but the model explains a short list; one that is empty unless something was `proposed`."""
        if getattr(model, "may_be_short", False) or asking.query.filtered:
            return False
        if not proposed and (model.name in self._ours or not asking.query.vector.any()):
            return False
        return self._items - len(asking.taken) >= asking.items


def pool(carousel: str, asking: Asking) -> int:
    """How many candidates a carousel should have to choose from; 0 where the first ones will do, or time is short."""
    return asking.reordering.pool(carousel) if asking.reordering is not None and asking.work.again else 0


def _family(carousel: str) -> str:
    """The carousel that stands for a model: itself, or the group that it is of."""
    return carousels.OCCASIONS if carousel.startswith(carousels.OCCASION_PREFIX) else carousel
