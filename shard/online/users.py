"""The online events of all users who are held here, within a limit.

Beyond `events_max` the user of whom nothing was heard for longest loses theirs, and is marked as somebody of whom not
everything is known: their slates are of the snapshot alone, and say so, until their partition is opened anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from shard.online.state import NO_EVENTS, Event, Events, applied
from trunkshow.serving import metrics

FORGOTTEN = metrics.counter(
    "trunkshow_shard_online_users_forgotten_total", "Users whose online events went, for want of room."
)


class Users:
    """Online events by user.

    Attributes:
        events: kept, of all users.

    Args:
        events_max: kept.
    """

    def __init__(self, events_max: int) -> None:
        self.events = 0
        self._events_max = events_max
        self._of: dict[str, Events] = {}  # in the order in which they were last heard of
        self._forgotten: set[str] = set()

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[str]:
        return iter((*self._of, *self._forgotten))

    def of(self, user_id: str) -> Events:
        """A user's events."""
        return self._of.get(user_id, NO_EVENTS)

    def is_whole(self, user_id: str) -> bool:
        """Whether nothing of a user's had to go."""
        return user_id not in self._forgotten

    def add(self, user_id: str, event: Event) -> None:
        """A user's event came."""
        if user_id in self._forgotten:
            return
        before = self._of.pop(user_id, NO_EVENTS)
        self._of[user_id] = after = applied(before, event)
        self.events += len(after) - len(before)
        while self.events > self._events_max and self._of:
            self._forget(next(iter(self._of)))

    def drop(self, user_id: str) -> None:
        """A user is not held here any more."""
        self.events -= len(self._of.pop(user_id, NO_EVENTS))
        self._forgotten.discard(user_id)

    def keep(self, user_id: str, wanted: Callable[[Event], bool]) -> None:
        """Keep of a user's events those that are wanted."""
        before = self._of.get(user_id, NO_EVENTS)
        after = tuple(event for event in before if wanted(event))
        self.events += len(after) - len(before)
        if after:
            self._of[user_id] = after
        else:
            self._of.pop(user_id, None)

    def _forget(self, user_id: str) -> None:
        self.drop(user_id)
        self._forgotten.add(user_id)
        FORGOTTEN.inc()


def only(users: Users, held: Callable[[str], bool], wanted: Callable[[Event], bool]) -> Iterable[None]:
    """Keep of everybody what is wanted, and nothing of who is not held; a step at a time, so that others get in."""
    for user_id in list(users):
        if held(user_id):
            users.keep(user_id, wanted)
        else:
            users.drop(user_id)
        yield
