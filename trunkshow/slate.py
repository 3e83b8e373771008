"""From models' candidates to carousels: the seen rule, one appearance per item, titles and reasons.

Shards make personal slates with it, the router its resident ones. Nothing here does I/O, waits or knows a clock. What
models are asked, and when it is enough, is `trunkshow.proposals`' business. A model that raises, or proposes what
cannot be, is reported to the caller as missing, with the error at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trunkshow import carousels
from trunkshow.candidates import Nonsense, Unasked, Unfit
from trunkshow.models.protocol import Candidates, Source
from trunkshow.proposals import NO_PROPOSALS, Asking, Proposals, Proposed, Proposer
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb


class Missing(NamedTuple):
    """A carousel that could not be made, why, and the model that should have made it where that is to blame."""

    carousel: str
    reason: pb.Reason
    error: Exception | None = None
    model: str = ""


class SlateMaker:
    """Makes carousels from one snapshot.

    Args:
        snapshot: opened.
        live: sources of candidates that no snapshot has.

    Attributes:
        proposer: asks the snapshot's models.
    """

    def __init__(self, snapshot: Snapshot, live: Sequence[Source] = ()) -> None:
        self.proposer = Proposer(snapshot, live)
        self._catalogue = snapshot.catalogue

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
                for one, found in self._proposed(carousel, asking, proposals):
                    best = found
                    if asking.reordering is not None:
                        best = asking.reordering.ordered(one, found, asking.taken, asking.items)
                    shown = self.show(one, self.proposer.model(one), best, asking.items, rung, asking.taken)
                    if shown is not None:
                        made.append(shown)
            except Exception as error:  # a model may raise anything; it costs its carousel a rung
                # What a group had made before it failed stays: its items are taken.
                missing.append(self._lost(carousel, error))
                continue
            if len(made) == before:
                missing.append(Missing(carousel, pb.REASON_CAROUSEL_EMPTY))
        return made, missing

    def show(
        self, carousel: str, model: Source, found: Candidates, count: int, rung: pb.Rung, taken: set[int]
    ) -> pb.Carousel | None:
        """A carousel of the first `count` candidates that are not taken; None where there is none.

        Raises:
            Nonsense: one of them is no item of the catalogue.
        """
        topic = carousel.removeprefix(carousels.OCCASION_PREFIX)
        about = self._catalogue.title(found.about) if found.about >= 0 else ""
        same_reason = len(found.reasons) == 1
        shared = found.reasons[0].replace("{item}", about) if same_reason else ""
        title = model.title.replace("{item}", about).replace("{topic}", topic)
        shown = pb.Carousel(id=carousel, title=title, source=model.name, rung=rung)
        add, item_id = shown.items.add, self._catalogue.id  # added in place: a list of items would be copied
        try:
            for position, (row, score) in enumerate(zip(found.rows, found.scores, strict=True)):
                if row in taken:
                    continue
                add(item_id=item_id(row), score=score, reason=shared if same_reason else found.reasons[position])
                taken.add(row)
                count -= 1
                if not count:
                    break
        except IndexError as error:
            raise Nonsense(f"item {row}; the catalogue has {len(self._catalogue)}") from error
        return shown if shown.items else None

    def _lost(self, carousel: str, error: Exception) -> Missing:
        reason = error.reason if isinstance(error, Unfit) else pb.REASON_MODEL_FAILED
        return Missing(carousel, reason, error, "" if isinstance(error, Unasked) else self.proposer.source(carousel))

    def _proposed(self, carousel: str, asking: Asking, proposals: Proposals) -> Iterable[Proposed]:
        """What was proposed elsewhere, or else here."""
        ready = proposals.get(carousel)
        if ready is None:
            return self.proposer.candidates(carousel, asking, asking.items)
        if isinstance(ready, Exception):
            raise ready
        return ready
