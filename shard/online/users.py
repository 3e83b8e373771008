"""The online events of all users who are held here, within a limit.

Beyond `events_max` the user of whom nothing was heard for longest loses theirs: they are evicted. What they do then is
kept again; but as long as a snapshot lacks one of the events that went, it does not know everything of them, and their
slates say so. So of who was evicted the last place and moment that went are kept, `EVICTED_MAX` of them; of more, the
last of all that had to be dropped, and until a snapshot has that, nobody is said to be known whole.

The same of whoever did more than is kept of one user (`shard.online.state`): what is left of theirs is folded in as
ever, and as long as a snapshot lacks what went, their slates do not claim to know everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shard.online.state import NO_EVENTS, Event, Events, applied
from trunkshow.online.positions import Position, Since
from trunkshow.serving import metrics

EVICTED_MAX = 100_000
"""One takes about 400 bytes."""

EVICTED = metrics.counter(
    "trunkshow_shard_online_users_evicted_total", "Times that a user's online events went, for want of room."
)


class Users:
    """Online events by user.

    Attributes:
        events: kept, of all users.

    Args:
        events_max: kept.
        evicted_max: users of whom it is kept that events went.
    """

    def __init__(self, events_max: int, evicted_max: int = EVICTED_MAX) -> None:
        self.events = 0
        self._events_max = events_max
        self._evicted_max = evicted_max
        self._of: dict[str, Events] = {}  # in the order in which they were last heard of
        self._evicted: dict[str, Event] = {}  # what went of theirs, as one event: the last place, the last moment
        self._cut: dict[str, Event] = {}  # the same of who did too much, of users in `_of` alone
        self._dropped: dict[tuple[str, int], Event] = {}  # the same of who is in `_evicted` no more, by log and lane

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._of, **self._evicted})

    def of(self, user_id: str) -> Events:
        """A user's events."""
        return self._of.get(user_id, NO_EVENTS)

    def is_whole(self, user_id: str, since: Since) -> bool:
        """Whether a snapshot that has seen the log up to there had everything of a user's that had to go."""
        for went in (self._evicted.get(user_id), self._cut.get(user_id)):
            if went is not None and since.is_new(went.at, went.time_ms):
                return False
        return not self._dropped or not any(since.is_new(one.at, one.time_ms) for one in self._dropped.values())

    def add(self, user_id: str, event: Event) -> None:
        """A user's event came."""
        went = self._evicted.get(user_id)
        if went is not None and event.at[:2] == went.at[:2] and event.at <= went.at:
            return  # a replay: room was wanted before
        before = self._of.pop(user_id, NO_EVENTS)
        after, gone = applied(before, event)
        self._of[user_id] = after
        if gone is not None:
            self._cut[user_id] = _last_of((gone, self._cut.get(user_id, gone)))
        self.events += len(after) - len(before)
        while self.events > self._events_max and self._of:
            self._evict(next(iter(self._of)))

    def miss(self, user_id: str, at: Position, time_ms: int) -> None:
        """A user's event could not be taken in: it is as one that had to go."""
        gone = Event(0, "", 0, time_ms, at)
        if user_id in self._of:
            self._cut[user_id] = _last_of((gone, self._cut.get(user_id, gone)))
        else:
            self._note_evicted(user_id, (gone,))

    def drop(self, user_id: str) -> None:
        """A user is not held here any more."""
        self.events -= len(self._of.pop(user_id, NO_EVENTS))
        self._evicted.pop(user_id, None)
        self._cut.pop(user_id, None)

    def keep(self, user_id: str, wanted: Callable[[Event], bool]) -> None:
        """Keep of a user's events those that are wanted; of what went, that it did where it is."""
        for those in (self._evicted, self._cut):
            went = those.get(user_id)
            if went is not None and not wanted(went):
                del those[user_id]
        before = self._of.get(user_id, NO_EVENTS)
        after = tuple(event for event in before if wanted(event))
        self.events += len(after) - len(before)
        if after:
            if len(after) < len(before):  # else it stays the same value, by which what was folded in is known again
                self._of[user_id] = after
            return
        self._of.pop(user_id, None)
        if (cut := self._cut.pop(user_id, None)) is not None:
            self._note_evicted(user_id, (cut,))

    def keep_dropped(self, wanted: Callable[[Event], bool]) -> None:
        """Keep of what is not known by user any more what is wanted."""
        self._dropped = {lane: one for lane, one in self._dropped.items() if wanted(one)}

    def _evict(self, user_id: str) -> None:
        events = self._of.pop(user_id)
        self.events -= len(events)
        cut = self._cut.pop(user_id, None)
        self._note_evicted(user_id, events if cut is None else (*events, cut))
        EVICTED.inc()

    def _note_evicted(self, user_id: str, events: Events) -> None:
        """Nothing is kept of somebody any more, of whom these went."""
        went = self._evicted.pop(user_id, None)
        self._evicted[user_id] = _last_of(events if went is None else (*events, went))
        if len(self._evicted) > self._evicted_max:
            one = self._evicted.pop(next(iter(self._evicted)))
            lane = one.at.log, one.at.lane
            self._dropped[lane] = _last_of((one, self._dropped.get(lane, one)))


def only(users: Users, held: Callable[[str], bool], wanted: Callable[[Event], bool]) -> Iterable[None]:
    """Keep of everybody what is wanted, and nothing of who is not held; a step at a time, so that others get in."""
    users.keep_dropped(wanted)
    for user_id in list(users):
        if held(user_id):
            users.keep(user_id, wanted)
        else:
            users.drop(user_id)
        yield


def _last_of(events: Events) -> Event:
    """One event where the last of these stands, and of when the last of these happened."""
    last = max(events, key=lambda event: event.at)
    return last._replace(time_ms=max(event.time_ms for event in events))
