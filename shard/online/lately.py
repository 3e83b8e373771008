"""What a user did and was shown lately, as a slate needs it: their present intent, and the order that candidates get.

A session is read once per event, when that is folded in (`shard.online.folding`); it is aged at each request. What was
shown in vain is looked up for what is to be shown now: most users have nothing that was shown often enough. Items in
hand are no events: a basket says what is wanted, but not when, and is in the user's vector anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from shard.online.state import Event, Events
from trunkshow.reordering import Discount, Reordering
from trunkshow.snapshot.kinds import Kinds, codes_of
from trunkshow.snapshot.records import UserRecord
from trunkshow.stream import fatigue
from trunkshow.stream.fatigue import ACTIONS, Impressions, key_of
from trunkshow.stream.intent import INTERESTS, NO_INTENT, SHOP_EVENTS, Intent, Interest, Session
from trunkshow.v1 import recommendation_pb2 as pb

TOLD_MAX = 5
"""Categories of an intent that a response names."""

REPEATED_MIN = int(fatigue.RULE.free) + 1
"""Impressions of an item from which on it may sink."""


class Lately(NamedTuple):
    """Of one user, now.

    Attributes:
        reordering: of candidates.
        intent: as responses tell it; None where the user did nothing within a day.
    """

    reordering: Reordering
    intent: pb.Intent | None = None


def session_of(record: UserRecord, new: Sequence[tuple[int, Event]], kinds: Kinds) -> Session | None:
    """What a user is doing; None where nothing is known of it.

    Args:
        record: as the snapshot has it: what the user usually does.
        new: item rows and the events with them.
        kinds: of items.
    """
    chosen = [(row, event.time_ms) for row, event in new if event.interaction in INTERESTS]
    if not chosen or not len(kinds.mix):
        return None
    codes = codes_of([row for row, _ in chosen], kinds.codes, kinds.since)
    lately = (Interest(time_ms, code) for (_, time_ms), code in zip(chosen, codes, strict=True))
    return Session.of(lately, _usual(record, kinds))


def lately(session: Session | None, discount: Discount | None, kinds: Kinds, now_ms: int) -> Lately | None:
    """What is to be known of a user at a moment, milliseconds since the epoch; None where that is nothing."""
    intent = session.at(now_ms) if session is not None else NO_INTENT
    if session is None or intent is NO_INTENT:
        return None if discount is None else Lately(Reordering(None, kinds.codes, discount, kinds.since))
    return Lately(Reordering(intent, kinds.codes, discount, kinds.since), told(intent, session, kinds))


def discount_of(
    shown: Impressions, events: Events, record: UserRecord | None, id_of: Callable[[int], str], now_ms: int
) -> Discount | None:
    """What an item's standing is multiplied by; None where nothing was shown often enough.

    Args:
        shown: to the user.
        events: of the user: what they acted on.
        record: of the user: what they acted on before.
        id_of: an item's id by its row.
        now_ms: milliseconds since the epoch.
    """
    repeated = shown.repeated(REPEATED_MIN)
    if not repeated:
        return None
    acted: dict[int, int] = {}
    for event in events:
        if event.interaction in ACTIONS:
            key = key_of(event.item)
            acted[key] = max(acted.get(key, -1), event.time_ms)

    def discount(row: int) -> float:
        key = key_of(id_of(row))
        minutes = repeated.get(key)
        if minutes is None:
            return 1.0
        last_ms = max(acted.get(key, -1), _had_ms(record, row))
        return fatigue.RULE.discount(fatigue.RULE.count(minutes, last_ms, now_ms))

    return discount


def told(intent: Intent, session: Session, kinds: Kinds) -> pb.Intent:
    """An intent as responses have it."""
    said = pb.Intent(window=intent.window, strength=intent.strength, changed=intent.changed_ms is not None)
    if intent.changed_ms is not None:
        said.changed_at.FromMilliseconds(intent.changed_ms)
    said.newest_event.FromMilliseconds(session.events[-1].time_ms)
    if kinds.names:
        shares = {code: lift * session.usual[code] for code, lift in intent.lifts.items()}
        mixes = intent.mixes or {}
        for code in sorted(shares, key=lambda code: (-shares[code], code))[:TOLD_MAX]:
            within = {f"share_{name}": mix.get(code, 0.0) for name, mix in mixes.items()}
            said.interests.add(category=kinds.names[code], share=shares[code], lift=intent.lifts[code], **within)
    return said


def _usual(record: UserRecord, kinds: Kinds) -> Callable[[int], float]:
    """The user's usual mix of kinds, drawn towards the shop's."""
    codes, weights = kinds.codes[record.items], np.maximum(record.weights, 0)
    known = codes >= 0
    own = np.bincount(codes[known], weights[known], len(kinds.mix))
    total = float(own.sum()) + SHOP_EVENTS
    return lambda code: (float(own[code]) + SHOP_EVENTS * float(kinds.mix[code])) / total


def _had_ms(record: UserRecord | None, row: int) -> int:
    """When a user last did something with an item, as far as their record says; -1 for never."""
    if record is None:
        return -1
    seconds = record.times[record.items == row]
    return int(seconds[0]) * 1000 if len(seconds) else -1
