"""One user's online events: a value. Applying an event is idempotent by its id, and the order does not matter.

A log gives events at least once, a replay gives them again beside what is followed live, and a lane may be read from
several places at a time. So what is kept follows from the set of events alone:

1. An event is known by its id. Of the same event at several places in the log the first place counts.
2. At most `EVENTS_MAX` are kept. Views, clicks, carts and likes go first, then what lasts (orders, rentals, returns,
   hidden items); of these the one that happened longest ago, and of one moment the least id. One that went and comes
   again goes again. Whoever applies an event is told which one went for it: not everything is known any more.

An id stands for one event for ever (the contract of `Event.event_id`): of two different events of one id either may be
kept.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import insort
from operator import indexOf, itemgetter
from typing import NamedTuple

from trunkshow.online.positions import Position
from trunkshow.v1 import events_pb2 as pb

EVENTS_MAX = 256

LASTING = frozenset(
    {pb.INTERACTION_ORDER, pb.INTERACTION_RENTAL, pb.INTERACTION_RETURN, pb.INTERACTION_HIDE},
)


class Event(NamedTuple):
    """What is kept of an event.

    Attributes:
        key: of its id, 64 bits.
        item: its id.
        interaction: type.
        time_ms: when it happened, milliseconds since the epoch.
        at: where it stands in the log.
    """

    key: int
    item: str
    interaction: int
    time_ms: int
    at: Position


Events = tuple[Event, ...]
"""A user's, in the order in which they go, the first to go first."""

NO_EVENTS: Events = ()


class Applied(NamedTuple):
    """What one more event made.

    Attributes:
        events: that are kept; the same value where nothing changed.
        gone: the one that there was no room for, which may be the one that came; None where nothing is missing.
    """

    events: Events
    gone: Event | None = None


def compact(event: pb.Event, at: Position, time_ms: int) -> Event:
    """What is kept of an event that stands there, and happened then."""
    key = int.from_bytes(hashlib.blake2b(event.event_id.encode(), digest_size=8).digest(), "little")
    # The same few items come again and again: their ids are kept once.
    return Event(key, sys.intern(event.item_id), event.interaction, time_ms, at)


def applied(events: Events, event: Event, most: int = EVENTS_MAX) -> Applied:
    """With one more event, of which at most so many are kept."""
    if event.key in map(_key, events):
        known = events[indexOf(map(_key, events), event.key)]
        if known.at <= event.at:
            return Applied(events)
        events = tuple(one for one in events if one is not known)
    more = list(events)
    insort(more, event, key=_rank)
    if len(more) <= most:
        return Applied(tuple(more))
    return Applied(events if more[0] is event else tuple(more[1:]), more[0])


_key = itemgetter(Event._fields.index("key"))


def _rank(event: Event) -> tuple[bool, int, int]:
    return event.interaction in LASTING, event.time_ms, event.key
