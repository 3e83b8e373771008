"""Counters of feature windows, of one user or item and of many, as `trunkshow.stream.windows` defines these.

Counters hold an event in one bucket only, the finest that is still needed: by the second for five minutes, by the
minute for an hour, and so on (a cascade of resolutions; compare Datar, Gionis, Indyk and Motwani: "Maintaining Stream
Statistics over Sliding Windows", SIAM J. Comput. 31(6), 2002). Widths divide one another, so that a bucket taken for
the time at which it begins falls into the next one exactly as each of its events would. Events may come in any order;
that each comes once is left to those who know their ids.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import accumulate
from operator import add
from typing import Generic, TypeVar

from trunkshow.stream.windows import FUTURE_S_MAX, KINDS, PRICED, WINDOWS, Event, Features, begins

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", float, str)

BACK_S = 60
"""A moment that is earlier than the one before by more than this is one of a clock that was set right."""

LOOKED_AT_MAX = 8
"""Who might be forgotten, before somebody is."""

_ROOM = 16

_SURELY_S = WINDOWS[-1].length_s - WINDOWS[-1].bucket_s
"""What happened no longer ago than this is in the longest window, wherever that begins."""


def onward(before: int, now: int, back: int) -> int:
    """A moment that goes forward only, unless a clock was set right: by more than `back`."""
    return max(before, now) if now >= before - back else now


class Recent:
    """The counters of one user or item.

    Moments go forward only: an earlier one than before is taken for the latest, unless it is earlier by more than
    `BACK_S`. What had gone into wider buckets by then, or had left them all, does not come back. Bounded: at most one
    entry per bucket and interaction, less than 800 buckets in all.

    Attributes:
        whole_from_ms: events that happened before may be missing; 0 where none is.
        newest_ms: when the last of its events happened; milliseconds since the epoch.
    """

    __slots__ = ("_category", "_counts", "_room", "_second", "_value", "newest_ms", "whole_from_ms")

    def __init__(self, whole_from_ms: int = 0) -> None:
        self.whole_from_ms = whole_from_ms
        self.newest_ms = 0
        self._counts: dict[int, int] = {}  # (second at which a bucket begins) × KINDS + kind → events
        self._value: _Latest[float] = _Latest()
        self._category: _Latest[str] = _Latest()
        self._second = 0
        self._room = _ROOM

    def record(self, event: Event, now_ms: int) -> None:
        """Count one event; what is too far in the future, or older than the longest window, is left out."""
        now_s = now_ms // 1000
        if now_s != self._second:
            now_s = self._second = onward(self._second, now_s, BACK_S)
        time_ms, kind, value, category = event
        second = time_ms // 1000
        if second > now_s + FUTURE_S_MAX:
            return
        if second < now_s - _SURELY_S and second < begins(now_s, WINDOWS[-1]):
            return
        if time_ms > self.newest_ms:
            self.newest_ms = time_ms
        counts, key = self._counts, second * KINDS + kind
        counts[key] = counts.get(key, 0) + 1
        if value is not None and kind in PRICED:
            self._value.offer(time_ms, value, now_s)
        if category:
            self._category.offer(time_ms, category, now_s)
        if len(counts) > self._room:
            self._settle()

    def features(self, now_ms: int) -> Features:
        """What counts at a moment."""
        self._second = onward(self._second, now_ms // 1000, BACK_S)
        starts = [begins(self._second, window) for window in WINDOWS]
        value, category = self._value.within(starts[-1], self._second), self._category.within(starts[-1], self._second)
        return Features(self._in_windows(starts), value, category or "")

    def _in_windows(self, starts: list[int]) -> tuple[tuple[int, ...], ...]:
        """Each bucket is looked at once: what is in a window is in all that are longer."""
        own = [[0] * KINDS for _ in range(len(starts) + 1)]  # by the longest window that does not have it
        oldest_first = starts[::-1]
        for key, count in self._counts.items():
            second = key // KINDS
            if second < self._second:
                own[bisect_right(oldest_first, second)][key % KINDS] += count
        return tuple(accumulate(map(tuple, own[:0:-1]), _sum))

    def _settle(self) -> None:
        """Move what has left a window into the wider buckets of the next, and forget what has left them all."""
        starts = [begins(self._second, window) for window in WINDOWS]
        settled: dict[int, int] = {}
        for key, count in self._counts.items():
            second, kind = divmod(key, KINDS)
            for window, start in zip(WINDOWS, starts, strict=True):
                if second >= start:  # a multiple of the width as well, so that the bucket is in where the second is
                    there = second // window.bucket_s * window.bucket_s * KINDS + kind
                    settled[there] = settled.get(there, 0) + count
                    break
        self._counts = settled
        self._room = 2 * len(settled) + _ROOM


def _sum(shorter: tuple[int, ...], own: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(add, shorter, own))


class _Latest(Generic[Value]):
    """The newest of what was offered before a second; of each later second the newest, until it has come."""

    __slots__ = ("_later", "_newest")

    def __init__(self) -> None:
        self._newest: tuple[int, Value] | None = None
        self._later: dict[int, tuple[int, Value]] | None = None  # by second; a few at most

    def offer(self, time_ms: int, value: Value, now_s: int) -> None:
        """One more, in a second that is not before any that was named earlier."""
        later = self._later
        if later is not None and min(later) < now_s:
            self._come(now_s)
            later = self._later
        second, offered = time_ms // 1000, (time_ms, value)
        if second < now_s:
            if self._newest is None or offered > self._newest:
                self._newest = offered
        elif later is None:
            self._later = {second: offered}
        elif second not in later or offered > later[second]:
            later[second] = offered

    def within(self, first: int, now_s: int) -> Value | None:
        """The newest from one second on and before another."""
        if self._later is not None:
            self._come(now_s)
        return self._newest[1] if self._newest is not None and first <= self._newest[0] // 1000 < now_s else None

    def _come(self, now_s: int) -> None:
        """Later seconds have come."""
        later = self._later or {}
        for second in [one for one in later if one < now_s]:
            come = later.pop(second)
            self._newest = come if self._newest is None else max(come, self._newest)
        self._later = later or None


class FeatureWindows(Generic[Key]):
    """The windows of many users, or of many items.

    Beyond the limit those that had no event for longest are forgotten. Of everybody who comes after that, or comes
    again, it is said from when on nothing can be missing: nobody who was forgotten had an event after that.

    Args:
        keys_max: how many are kept.
        spared: whose turn it would be, and who is kept if there is anybody else to forget, within `LOOKED_AT_MAX`.
    """

    def __init__(self, keys_max: int, spared: Callable[[Key], bool] = lambda key: False) -> None:
        self._keys_max = keys_max
        self._spared = spared
        self._recent: OrderedDict[Key, Recent] = OrderedDict()
        self._whole_from_ms = 0

    def __len__(self) -> int:
        return len(self._recent)

    def record(self, key: Key, event: Event, now_ms: int) -> None:
        """Count one event of a user or item."""
        recent = self._recent.get(key)
        if recent is None:
            if len(self._recent) >= self._keys_max:
                self._make_room()
            recent = self._recent[key] = Recent(self._whole_from_ms)
        else:
            self._recent.move_to_end(key)
        recent.record(event, now_ms)

    def features(self, key: Key, now_ms: int) -> Features:
        """What counts of a user or item at a moment; zeros for one that is not known."""
        return (self._recent.get(key) or Recent()).features(now_ms)

    def whole_from_ms(self, key: Key) -> int:
        """Before this, milliseconds since the epoch, events of a user or item may be missing; 0 where none is."""
        recent = self._recent.get(key)
        return self._whole_from_ms if recent is None else recent.whole_from_ms

    def forget(self, key: Key) -> None:
        """As if there had been no event of this user or item."""
        self._recent.pop(key, None)

    def _make_room(self) -> None:
        for _ in range(LOOKED_AT_MAX):
            key = next(iter(self._recent))
            if not self._spared(key):
                break
            self._recent.move_to_end(key)
        _, gone = self._recent.popitem(last=False)
        self._whole_from_ms = max(self._whole_from_ms, gone.newest_ms + 1)
