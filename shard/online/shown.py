"""What all users who are held here were shown, within a limit: most of what is recorded, so 8 bytes each.

Beyond `impressions_max` the user to whom nothing was shown for longest loses theirs, which only lets items come back
that had sunk. What is kept does not depend on the snapshot that is served: it stays through the next, and whoever
starts anew has it from the log's past (`shard.online.shown_before`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from trunkshow.stream.fatigue import Impressions, key_of


class Shown:
    """Impressions by user.

    Attributes:
        impressions: kept, of all users.

    Args:
        impressions_max: kept.
    """

    def __init__(self, impressions_max: int) -> None:
        self.impressions = 0
        self._most = impressions_max
        self._to: dict[str, Impressions] = {}  # in the order in which they were last shown something

    def __len__(self) -> int:
        return len(self._to)

    def __iter__(self) -> Iterator[str]:
        return iter(self._to)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._to

    def to(self, user_id: str) -> Impressions | None:
        """What a user was shown."""
        return self._to.get(user_id)

    def add(self, user_id: str, item_id: str, minute: int) -> None:
        """An item was shown to a user, in a minute since the epoch."""
        shown = self._to.pop(user_id, None) or Impressions()
        self._to[user_id] = shown
        before = len(shown)
        shown.record(key_of(item_id), minute)
        self.impressions += len(shown) - before
        while self.impressions > self._most and self._to:
            self.drop(next(iter(self._to)))

    def only(self, held: Callable[[str], bool]) -> Iterable[None]:
        """Keep nothing of who is not held; a step at a time, so that others get in."""
        for user_id in list(self._to):
            if not held(user_id):
                self.drop(user_id)
            yield

    def drop(self, user_id: str) -> None:
        """A user is not held here any more, or is to be forgotten."""
        shown = self._to.pop(user_id, None)
        if shown is not None:
            self.impressions -= len(shown)
