"""One slate on its way down the ladder: what is made so far, what is still to be asked for, and the story of both.

Rules, on top of those of `router.slates.ladder`:

1. A step asks for what is missing because somebody failed: nobody answered, or a model raised, was late, proposed
   nonsense or too little. What is empty is not asked for again: that is an answer, and another snapshot's would be no
   other. The router's own lists replace it, or it is left out.
2. An item that is shown already is excluded from what is asked next, and dropped where it comes all the same.
3. Why a carousel is missing is what was said first, at the best place.
4. Whoever was late for this request is not waited for again in it.
5. An answer is of one snapshot, which its receipt names: that of the best place that made anything. What comes from
   another one is shown only as far as that one has it, and allows it.

A descent is a value; an answer makes a new one. Nothing here waits or asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from google.protobuf.message import DecodeError

from router.asking.attempts import once
from router.slates import ladder, merge
from router.slates.receipt import NOWHERE, Reach
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

OF_MODELS = frozenset(
    {pb.REASON_MODEL_FAILED, pb.REASON_MODEL_LATE, pb.REASON_MODEL_NONSENSE, pb.REASON_CAROUSEL_SHORT}
)
"""Reasons for which a model is to blame."""

STEP_SHARE = 2 / 3
"""Of the time left that a place gets while there is another one below it: who hangs must not take the whole time."""

NOTHING_MADE: Mapping[str, pb.Reason] = {}


class Heard(NamedTuple):
    """What one step brought.

    Attributes:
        version: of the snapshot that was asked for.
        reach: whom it asked, and how far that got.
        carousels: made.
        missing: why others are not, by the id asked for; one that is in neither failed with its shard.
        reasons: why the step did not bring more.
        receipts: of the shards.
        failures: models that failed.
        intent: what the user is doing, as far as a shard said.
        hidden: items that must not stand in for what is missing.
        had: items that do so only where there is nothing else.
    """

    version: str
    reach: Reach
    carousels: Sequence[pb.Carousel] = ()
    missing: Mapping[str, pb.Reason] = NOTHING_MADE
    reasons: Sequence[pb.Reason] = ()
    receipts: Sequence[pb.Receipt] = ()
    failures: Sequence[pb.ModelFailure] = ()
    intent: pb.Intent | None = None
    hidden: Sequence[str] = ()
    had: Sequence[str] = ()


@dataclass(frozen=True)
class Descent:
    """A slate so far.

    Attributes:
        wanted: ids asked for, in order.
        made: carousels, in the order in which they came.
        missing: why the others are, by the id asked for.
        empty: of these, those that somebody found to be.
        origins: the snapshot that each carousel was made from, by its id.
        reasons: for the receipt.
        reach: of all steps.
        heard: every step, in order.
    """

    wanted: tuple[str, ...]
    made: tuple[pb.Carousel, ...] = ()
    missing: Mapping[str, pb.Reason] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[pb.Reason, ...] = ()
    reach: Reach = NOWHERE
    heard: tuple[Heard, ...] = ()

    @property
    def to_ask(self) -> tuple[str, ...]:
        """What the next step is asked for, in order."""
        made = merge.slotted((carousel.id for carousel in self.made), self.wanted)
        return tuple(slot for slot in self.wanted if not made[slot] and slot not in self.empty)

    @property
    def shown(self) -> frozenset[str]:
        """Items that must not be shown again."""
        return frozenset(item.item_id for carousel in self.made for item in carousel.items)

    @property
    def hidden(self) -> list[str]:
        """Items that the user does not want to see, as far as shards that left something open said so."""
        return [item for heard in self.heard for item in heard.hidden]

    @property
    def had(self) -> list[str]:
        """Items that they had, likewise."""
        return [item for heard in self.heard for item in heard.had]

    @property
    def version(self) -> str:
        """Of the snapshot that the answer is of (rule 5); empty where nobody made anything."""
        return self.origins[self.made[0].id] if self.made else ""

    @property
    def receipts(self) -> list[pb.Receipt]:
        """Of all shards."""
        return [receipt for heard in self.heard for receipt in heard.receipts]

    @property
    def failures(self) -> list[pb.ModelFailure]:
        """Of all models."""
        if not self.heard:  # a slate that is passed on as it came
            return []
        return [failure for heard in self.heard for failure in heard.failures]

    @property
    def intent(self) -> pb.Intent | None:
        """What the user is doing, by the best place that knew."""
        return next((heard.intent for heard in self.heard if heard.intent is not None), None)

    def worth_asking(self, holders: Collection[str]) -> bool:
        """Whether any of them was not late for this request."""
        late = {one.replica for one in self.reach.attempts if one.outcome == pb.OUTCOME_LATE}
        return not late.issuperset(holders)

    def after(self, heard: Heard) -> Descent:
        """With what a step brought."""
        missing = dict(self.missing)
        asked = self.to_ask
        for slot in asked:
            reason = heard.missing.get(slot)
            # An empty list of the shop from a lower step says nothing of the router's own one.
            if reason is not None and not (self.heard and ladder.left_out(slot, reason, self.wanted)):
                missing.setdefault(slot, reason)
        empty = {slot for slot in asked if heard.missing.get(slot) == pb.REASON_CAROUSEL_EMPTY}
        fresh = merge.unshown(heard.carousels, set(self.shown))
        told = (*heard.reasons, *(heard.missing[slot] for slot in asked if slot in heard.missing))
        return replace(
            self,
            made=(*self.made, *fresh),
            missing=missing,
            empty=self.empty | empty,
            origins={**self.origins, **{carousel.id: heard.version for carousel in fresh}},
            reasons=tuple(once((*self.reasons, *told))),
            reach=self.reach.plus(heard.reach),
            heard=(*self.heard, heard),
        )

    def of_one_snapshot(self, narrowed: Callable[[pb.Carousel], pb.Carousel]) -> Descent:
        """With the carousels of other snapshots narrowed to this one's (rule 5); those that keep nothing are gone."""
        version = self.version
        kept = [one if self.origins[one.id] == version else narrowed(one) for one in self.made]
        return replace(self, made=tuple(one for one in kept if one.items))


def heard_of_home(
    answer: shard_pb2.PredictResponse | None, reasons: Sequence[pb.Reason], version: str, reach: Reach
) -> Heard:
    """What one shard's answer for one partition brought; `reasons` say why where there is none."""
    if answer is None:
        return Heard(version, reach, reasons=reasons)
    failed = Heard(version, reach, reasons=(*reasons, pb.REASON_SHARD_FAILED))
    if not (answer.slate or answer.missing):
        return failed
    try:
        slate = pb.RecommendResponse.FromString(answer.slate)
    except DecodeError:
        return failed
    return Heard(
        version,
        reach._replace(answered=reach.asked),
        slate.carousels,
        {one.carousel: one.reason for one in answer.missing},
        reasons,
        [slate.receipt],
        failures_of(answer),
        slate.intent if slate.HasField("intent") else None,
        answer.hidden,
        answer.had,
    )


def failures_of(answer: shard_pb2.PredictResponse) -> list[pb.ModelFailure]:
    """The models that an answer blames."""
    return [
        pb.ModelFailure(carousel=one.carousel, model=one.model, reason=one.reason)
        for one in answer.missing
        if one.reason in OF_MODELS
    ]


def share_of(shards_by: Deadline, now: float) -> Deadline:
    """Until when a place is waited for that has another one below it."""
    return shards_by.shortened(shards_by.remaining_ms(now) * (1 - STEP_SHARE))


def request_excluding(request: pb.RecommendRequest, shown: Collection[str]) -> bytes:
    """A request, serialised, that also rules out what is shown already."""
    more = pb.RecommendRequest()
    more.CopyFrom(request)
    more.exclude_item_ids.extend(sorted(shown))
    return more.SerializeToString()
