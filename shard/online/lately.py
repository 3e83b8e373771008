"""What a user did and was shown lately, as a slate needs it: their present intent, and the order that candidates get.

A session is read once per event, and aged at each request. It is of the user's day, whatever of that a snapshot has
seen: one that is swapped in takes the intent over, though it has the events that told of it in its records. What was
shown in vain is looked up for what is to be shown now: most users have nothing that was shown often enough. Items in
hand are no events: a basket says what is wanted, but not when, and is in the user's vector anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NamedTuple

import numpy as np

from shard.online.state import Events
from trunkshow.reordering import Discount, Reordering
from trunkshow.snapshot.kinds import Kinds, codes_of
from trunkshow.snapshot.records import UserRecord
from trunkshow.stream import fatigue
from trunkshow.stream.fatigue import ACTIONS, Impressions, key_of
from trunkshow.stream.intent import (
    DAY_MS,
    EVENTS_MAX,
    INTERESTS,
    NO_INTENT,
    SHOP_EVENTS,
    Intent,
    Interest,
    Session,
)
from trunkshow.v1 import recommendation_pb2 as pb

TOLD_MAX = 5
"""Categories of an intent that a response names."""

SESSIONS_MAX = 8192
"""Users whose session is kept without an event to fold in; one takes about 2 KB."""

_S = 1000

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


def session_of(record: UserRecord, events: Events, row_of: Callable[[str], int | None], kinds: Kinds) -> Session | None:
    """What a user is doing; None where nothing is known of it.

    It does not depend on how much of that a snapshot has seen: each event counts once, out of the record where it is
    not among the events any more. Of an item the record knows the last time alone.

    Args:
        record: as the snapshot has it: what the user usually does, and what they did until then.
        events: of the user, whether the snapshot has seen them or not.
        row_of: an item's row by its id; None for one that is not in the catalogue.
        kinds: of items.
    """
    if not len(kinds.mix):
        return None
    found = [(row_of(event.item), event) for event in events]
    done = [(row, event.time_ms) for row, event in found if row is not None and event.interaction in INTERESTS]
    done += _recorded(record, {(row, event.time_ms // _S) for row, event in found})
    if not done:
        return None
    codes = codes_of([row for row, _ in done], kinds.codes, kinds.since)
    interests = (Interest(time_ms, code) for (_, time_ms), code in zip(done, codes, strict=True))
    return Session.of(interests, _usual(record, kinds))


class Sessions:
    """Of users all of whose events the snapshot has seen; each is read once, until their next event.

    Args:
        read: what a user is doing, by their record and events.
    """

    def __init__(self, read: Callable[[UserRecord, Events], Session | None]) -> None:
        self._read = read
        self._of: dict[str, tuple[Events, Session | None]] = {}  # in the order in which they were last asked for

    def of(self, user_id: str, record: UserRecord | None, events: Events, now_ms: int) -> Session | None:
        """What a user is doing; who did nothing within a day costs a look."""
        if record is None or not _is_recent(record, events, now_ms - DAY_MS):
            return None
        known = self._of.pop(user_id, None)
        if known is None or known[0] is not events:
            known = events, self._read(record, events)
        self._of[user_id] = known
        if len(self._of) > SESSIONS_MAX:
            del self._of[next(iter(self._of))]
        return known[1]

    def forget(self, user_id: str) -> None:
        """Nothing is kept of somebody."""
        self._of.pop(user_id, None)


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


def _recorded(record: UserRecord, known: Container[tuple[int | None, int]]) -> list[tuple[int, int]]:
    """Rows and times of what a record has within a day of its newest, but for what is known, by row and second."""
    if not len(record.times):
        return []
    after_s = max(int(record.times[0]) - DAY_MS // _S, 0)
    recent = slice(0, min(int(np.count_nonzero(record.times > after_s)), EVENTS_MAX))
    hidden = set(record.hidden.tolist())
    done = zip(
        record.items[recent].tolist(), record.times[recent].tolist(), record.weights[recent].tolist(), strict=True
    )
    return [
        (row, second * _S)
        for row, second, weight in done
        if weight > 0 and row not in hidden and (row, second) not in known
    ]


def _is_recent(record: UserRecord, events: Events, after_ms: int) -> bool:
    recorded = len(record.times) > 0 and int(record.times[0]) * _S > after_ms
    return recorded or any(event.time_ms > after_ms for event in events)


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
