"""What a shard opens next, and when it tries again what it could not open: a value over failures and the time.

    wanted → tried    it is the first in order that is not open and has no failure, or one that has had its rest
    tried  → failed   it is refused, or not given; rested before the next try, by `Backoff`

It is refused where what was read fails a check, or is not there, or a model would not answer from it. It is not given
where the store, or this machine's disk or memory, fails: then nothing is known of it, and routers, who take a version
back that shards refuse, must not hear that it was refused.

A failure is forgotten with success, and once the thing is not wanted any more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Generic, TypeVar

from trunkshow.offload import Stuck
from trunkshow.serving.backoff import Backoff
from trunkshow.snapshot.manifest import ABSENT
from trunkshow.snapshot.store import NoSuchSnapshot, StoreError, StoreUnreachable

REST = Backoff(first_s=1.0, longest_s=60.0)

K = TypeVar("K", bound=Hashable)


def is_refusal(error: BaseException) -> bool:
    """Whether a try that ended so says something of what was tried, and not of the store or of this machine."""
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return error.errno in ABSENT
    return isinstance(error, NoSuchSnapshot) or not isinstance(error, (StoreError, Stuck, TimeoutError, MemoryError))


def is_lasting(error: Exception) -> bool:
    """Whether a failure at the start is no accident that passes; a full disk is none, and somebody has to see to it."""
    return not isinstance(error, (StoreUnreachable, Stuck))


@dataclass(frozen=True)
class Failure:
    """What became of the last try.

    Attributes:
        why: in one line.
        refused: see `is_refusal`; else it was not given.
        times: in a row.
        again_at: in seconds of the monotonic clock.
    """

    why: str
    refused: bool
    times: int
    again_at: float


@dataclass(frozen=True)
class Failures(Generic[K]):
    """What could not be opened."""

    of: Mapping[K, Failure] = field(default_factory=dict)
    rest: Backoff = REST

    def failed(self, key: K, why: str, now: float, *, refused: bool) -> Failures[K]:
        """After one more failure."""
        times = self.of[key].times + 1 if key in self.of else 1
        failure = Failure(why, refused, times, now + self.rest.after(times))
        return replace(self, of=MappingProxyType({**self.of, key: failure}))

    def opened(self, key: K) -> Failures[K]:
        """After it succeeded."""
        return self.only(one for one in self.of if one != key)

    def only(self, keys: Iterable[K]) -> Failures[K]:
        """Without what is not among these."""
        kept = {key: self.of[key] for key in keys if key in self.of}
        return self if len(kept) == len(self.of) else replace(self, of=MappingProxyType(kept))

    def next(self, wanted: Iterable[K], now: float) -> K | None:
        """What to try now; None where everything has to rest, or nothing is left."""
        rested = [key for key in wanted if key not in self.of or self.of[key].again_at <= now]
        fresh = (key for key in rested if key not in self.of)
        # What never failed goes first: one bad partition must not hold up those behind it.
        return next(fresh, rested[0] if rested else None)

    def refused(self) -> frozenset[K]:
        """What failed a check."""
        return frozenset(key for key, failure in self.of.items() if failure.refused)
