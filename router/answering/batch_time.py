"""How long a batch waits for shards, so that everybody gets a slate in time even if every shard fails.

Whoever is asked is asked until `deadline - what a resident slate takes * users that have no answer yet`: the fewer are
left, the longer the last ones are waited for. Once there is no time for asking, nobody is asked any more, and what a
resident slate then takes, all told, is measured for the next batch.
"""

from __future__ import annotations

from router.slates.receipt import Asking
from trunkshow.serving.deadline import Clock

RESIDENT_MS_AT_FIRST = 1.0
"""Kept for a user's resident slate until it was measured; half of the deadline where all users' come to more."""

RESIDENT_SAFETY = 1.5
"""Times what was measured."""

MEASURED_USERS_MIN = 50
"""Resident slates in one batch that make a measurement."""

WORTH_ASKING_MS = 20
"""With less time left, a busy shard is not asked: it would work for nobody."""


class BatchTime:
    """The time of one batch.

    Attributes:
        asking: the call; its time for shards is over for good once there is no time for asking.

    Args:
        asking: the call.
        users: in the batch.
        resident_ms: what a user's resident slate takes, as far as is known.
        clock: monotonic.
    """

    def __init__(self, asking: Asking, users: int, resident_ms: float, clock: Clock) -> None:
        self.asking = asking
        self._unanswered = users
        self._clock = clock
        # Fixed here: halving what is left at every step would leave nothing for the last step.
        self._resident_ms = min(resident_ms, asking.shards_by.remaining_ms(clock()) / 2 / users)
        self._resident_since: tuple[float, int] | None = None

    @property
    def is_up(self) -> bool:
        """Whether nobody is asked any more."""
        return not self._resident_ms

    def answered(self) -> None:
        """One more user has a slate."""
        self._unanswered -= 1

    def now(self) -> Asking:
        """The call, with the time that shards have as of now."""
        until = self.asking.shards_by.shortened(self._resident_ms * self._unanswered)
        asking = self.asking._replace(shards_by=until)
        if until.remaining_ms(self._clock()) < WORTH_ASKING_MS:
            self.asking, self._resident_ms = asking, 0.0  # for good
            self._resident_since = self._resident_since or (self._clock(), self._unanswered)
        return asking

    def measured_ms(self) -> float | None:
        """What a resident slate took in this batch, and some more; None where there were too few to tell."""
        if self._resident_since is None:
            return None
        since, users = self._resident_since
        if users < MEASURED_USERS_MIN:
            return None
        return RESIDENT_SAFETY * (self._clock() - since) * 1000 / users
