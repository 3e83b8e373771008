"""What a reply is worth: status OK says little, since a cluster that is broken still answers something.

whole      the carousels that were asked for, each with as many items
short      fewer carousels or items: a user may have no more
wrong      no item at all, a carousel nobody asked for or one twice, too many items, or one twice in a carousel

Which rung of the ladder made a slate is counted apart. What travels is judged as bytes, once it has come.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.message import DecodeError

from trunkshow.bundles import each
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

Kind = Literal["slate", "batch", "shard", "bytes"]
"""What is answered: a router's slate, a router's batch, a shard's slate in its wrapping, or any bytes."""

COMPLAINTS_MAX = 10


@dataclass(frozen=True)
class Wanted:
    """What a whole slate has.

    Attributes:
        carousels: their names, in order; any where empty.
        items: of each.
        slates: in one reply.
    """

    carousels: tuple[str, ...] = ()
    items: int = 10
    slates: int = 1


@dataclass
class Judged:
    """Slates by what they are worth; counts that add up.

    Attributes:
        counts: whole, short, wrong.
        rungs: by the name of the receipt's rung.
        complaints: the first that went wrong, in words.
        kept: of the slates, those that a shard had kept and sent again.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    kept: int = 0

    @property
    def slates(self) -> int:
        """How many were judged."""
        return self.counts.total()

    @property
    def stepped_down(self) -> int:
        """Of a lower rung than the current snapshot's."""
        return self.slates - self.rungs["FRESH"] - self.rungs["SNAPSHOT"]

    def complain(self, text: str) -> None:
        """Count something wrong, and say what."""
        self.counts["wrong"] += 1
        self.note(text)

    def note(self, text: str) -> None:
        """Keep words that were not said before, while there is room."""
        if len(self.complaints) < COMPLAINTS_MAX and text not in self.complaints:
            self.complaints.append(text)

    def slate(self, slate: pb.RecommendResponse, wanted: Wanted) -> None:
        """Take one."""
        self.rungs[pb.Rung.Name(slate.receipt.rung).removeprefix("RUNG_")] += 1
        self.kept += slate.receipt.HasField("kept_age_ms")
        if wrong := wrong_with(slate, wanted):
            self.complain(wrong)
        else:
            self.counts["whole" if is_whole(slate, wanted) else "short"] += 1


def wrong_with(slate: pb.RecommendResponse, wanted: Wanted) -> str:
    """What no user may explain; empty where nothing is."""
    names = [one.id for one in slate.carousels]
    if not any(one.items for one in slate.carousels):
        return f"an empty slate, of rung {pb.Rung.Name(slate.receipt.rung)}"
    if wanted.carousels and (strange := set(names).difference(wanted.carousels)):
        return f"nobody asked for {min(strange)!r}"
    if len(set(names)) != len(names):
        return f"a carousel comes twice: {names}"
    for one in slate.carousels:
        if len(one.items) > wanted.items:
            return f"{one.id!r} has {len(one.items)} items of {wanted.items}"
        if len({item.item_id for item in one.items}) != len(one.items):
            return f"{one.id!r} shows an item twice"
    return ""


def is_whole(slate: pb.RecommendResponse, wanted: Wanted) -> bool:
    """Whether nothing is missing."""
    there = [one.id for one in slate.carousels if len(one.items) == wanted.items]
    return tuple(there) == wanted.carousels if wanted.carousels else len(there) == len(slate.carousels)


def judge(kind: Kind, messages: Sequence[bytes], wanted: Wanted, judged: Judged) -> None:
    """Count what one call was answered with."""
    try:
        _JUDGES[kind](messages, wanted, judged)
    except DecodeError:
        judged.complain("a reply that is no message of ours")


def _bytes(messages: Sequence[bytes], wanted: Wanted, judged: Judged) -> None:
    del wanted
    judged.rungs["SNAPSHOT"] += 1  # there is no ladder
    if messages[0]:
        judged.counts["whole"] += 1
    else:
        judged.complain("an empty reply")


def _slate(messages: Sequence[bytes], wanted: Wanted, judged: Judged) -> None:
    judged.slate(pb.RecommendResponse.FromString(messages[0]), wanted)


def _shard(messages: Sequence[bytes], wanted: Wanted, judged: Judged) -> None:
    judged.slate(pb.RecommendResponse.FromString(shard_pb2.PredictResponse.FromString(messages[0]).slate), wanted)


def _batch(messages: Sequence[bytes], wanted: Wanted, judged: Judged) -> None:
    waiting = set(range(wanted.slates))
    parsed = map(pb.RecommendBatchResponse.FromString, messages)
    for one in itertools.chain.from_iterable(map(each, parsed)):
        if one.index in waiting:
            waiting.remove(one.index)
            judged.slate(one.response, wanted)
        else:
            judged.complain(f"the batch's request {one.index} was answered twice, or never asked")
    for index in sorted(waiting):
        judged.complain(f"the batch's request {index} was not answered")


_JUDGES: dict[Kind, Callable[[Sequence[bytes], Wanted, Judged], None]] = {
    "slate": _slate,
    "batch": _batch,
    "shard": _shard,
    "bytes": _bytes,
}
