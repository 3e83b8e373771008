"""Several shards' slates as one: the best of each carousel, and every item once.

Rules:

1. Carousels stand in the order asked for. A group (`occasions`) stands for those that the shards made of it, in the
   order of the first shard that made any.
2. A carousel's items are those of all shards, an item that comes twice at its best score, largest score first,
   ties by item id.
3. An item appears once per slate, in the first carousel that shows it. Shards are asked for more than is shown, so
   that a carousel is still full after that.
4. Two carousels of one id are merged only where their titles agree: "Because you liked this" and "… that" are two
   stories; the first one told is kept.

Messages go in and come out: copying them into values of our own would cost more than the merge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from trunkshow import carousels
from trunkshow.v1 import recommendation_pb2 as pb

Slate = Sequence[pb.Carousel]


def merged(slates: Sequence[Slate], wanted: Sequence[str], count: int) -> list[pb.Carousel]:
    """The slates as one.

    Args:
        slates: each shard's carousels.
        wanted: ids asked for, in order; a group may stand among them.
        count: items per carousel.

    Returns:
        The carousels that have something to show.
    """
    parts: dict[str, list[pb.Carousel]] = {}
    for slate in slates:
        for carousel in slate:
            parts.setdefault(carousel.id, []).append(carousel)
    by_slot = slotted(parts, wanted)
    shown: set[str] = set()
    made = []
    for slot in wanted:
        for carousel_id in by_slot[slot][: _slot_size(slot)]:
            carousel = _one(parts[carousel_id], count, shown)
            if carousel.items:
                shown.update(item.item_id for item in carousel.items)
                made.append(carousel)
    return made


def slot_of(carousel_id: str, wanted: Collection[str]) -> str:
    """The id asked for that a carousel answers: its own, or its group's."""
    if carousel_id not in wanted and carousel_id.startswith(carousels.OCCASION_PREFIX):
        return carousels.OCCASIONS
    return carousel_id


def slotted(present: Iterable[str], wanted: Sequence[str]) -> dict[str, list[str]]:
    """By id asked for, the ids that are present; what nobody asked for is left out."""
    slots: dict[str, list[str]] = {slot: [] for slot in wanted}
    for carousel_id in present:
        slot = slots.get(slot_of(carousel_id, slots))
        if slot is not None:
            slot.append(carousel_id)
    return slots


def best_items(parts: Iterable[pb.Carousel], shown: set[str], count: int) -> list[pb.Item]:
    """The `count` best items of several carousels that are not shown yet; an item that comes twice, at its best."""
    best: dict[str, pb.Item] = {}
    for part in parts:
        for item in part.items:
            before = best.get(item.item_id)
            if item.item_id not in shown and (before is None or item.score > before.score):
                best[item.item_id] = item
    return sorted(best.values(), key=lambda item: (-item.score, item.item_id))[:count]


def unshown(slate: Slate, shown: set[str]) -> list[pb.Carousel]:
    """The carousels without the items that are shown already, to which theirs are added; those that keep any."""
    made = []
    for carousel in slate:
        fresh = [item for item in carousel.items if item.item_id not in shown]
        shown.update(item.item_id for item in fresh)
        if fresh:
            made.append(of_items(carousel, fresh))
    return made


def of_items(carousel: pb.Carousel, items: Sequence[pb.Item]) -> pb.Carousel:
    """The carousel with only these of its items; itself where that is all of them."""
    if len(items) == len(carousel.items):
        return carousel
    kept = pb.Carousel(id=carousel.id, title=carousel.title, source=carousel.source, rung=carousel.rung)
    kept.items.extend(items)
    return kept


def _slot_size(slot: str) -> int:
    return carousels.OCCASIONS_MAX if slot == carousels.OCCASIONS else 1


def _one(parts: Sequence[pb.Carousel], count: int, shown: set[str]) -> pb.Carousel:
    first = parts[0]
    same_story = [part for part in parts if part.title == first.title]
    return pb.Carousel(
        id=first.id,
        title=first.title,
        source=first.source,
        rung=max(part.rung for part in same_story),
        items=best_items(same_story, shown, count),
    )
