"""The trends of one group of users: counts and forecasts of its items in arrays, and which of them surge.

Bounded: items (the least popular tenth goes when there are too many), and what waits to be counted. Moments go forward
only, unless a clock is set right, which costs what was counted lately; what comes late is learned as of when it
happened. That events come once is left to those who know their ids, how much is surprising to
`trunkshow.stream.surges`, what was expected to `trunkshow.stream.seasons` and, until a day was seen,
`trunkshow.stream.shares`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Generic

import numpy as np

from trunkshow.stream.decayed import HOUR_S, Decayed
from trunkshow.stream.seasons import Seasons
from trunkshow.stream.shares import shares_now
from trunkshow.stream.surges import UPPER, Numbers, Slots, credible_surges
from trunkshow.stream.trend import EVENTS_MIN, Item, Trend, TrendingRules, Window

LATE_H = 2
"""Hours for which events may be late and count for the hour that is not over yet."""

BACK_S = 60.0
"""Who asks for a moment that is earlier than the one before by more than this has a clock that was set right."""

WAITING_MAX = 4096
SILENCE_H = 24 * 7
"""Hours over which nobody asked or recorded anything that are learned at most: a clock may jump by years."""


class Surges(Generic[Item]):
    """The trends of one group of users.

    Args:
        rules: how.
        weights: of interactions.
        items_max: items that are counted.
        usual_share: of an item in everything that happens; nothing trends in the first day where None.
    """

    def __init__(
        self,
        rules: TrendingRules,
        weights: Mapping[int, float],
        items_max: int,
        usual_share: Callable[[Item], float | None] | None = None,
    ) -> None:
        self._rules = rules
        self._usual_share = usual_share
        self._kinds = {kind: at for at, kind in enumerate(weights)}
        self._weights = np.array(list(weights.values()))
        self._waiting: list[tuple[Item, int, float]] = []
        self._waiting_max = max(min(WAITING_MAX, items_max // 2), 1)
        self._items_max = items_max
        self._items: list[Item] = []
        self._row: dict[Item, int] = {}
        self._room = min(256, items_max)
        self._present = np.zeros(self._room)  # weighted, of the hour that is not over yet
        self._decayed = [Decayed(half_life_s, self._room, self._weights) for half_life_s in rules.half_lives_s]
        self._seasons = Seasons(self._room)
        self._shares = np.full(self._room, np.nan)  # as they were before the log, as far as somebody asked
        self._began_s = self._now_s = math.nan

    def __len__(self) -> int:
        return len(self._items)

    def record(self, item: Item, kind: int, at_s: float, now_s: float) -> None:
        """Count one event, at the latest when somebody asks."""
        self._advance(now_s)
        place = self._kinds.get(kind)
        if place is not None:
            self._waiting.append((item, place, min(at_s, self._now_s)))
            if len(self._waiting) >= self._waiting_max:
                self._count()

    def top(self, now_s: float, count: int) -> list[Trend[Item]]:
        """Up to `count` items that trend at a moment, the largest surge first."""
        if now_s < self._now_s - BACK_S:
            self._go_back(now_s)
        self._advance(now_s)
        self._count()
        young = self._now_s - self._began_s < self._rules.settling_h * HOUR_S
        if young and self._usual_share is None:
            return []
        least = self._rules.young_surge_min if young else self._rules.surge_min
        rows, observed = self._busy()
        expects = self._expected_by_share if young else self._expected
        expected = np.stack([expects(decayed, rows) for decayed in self._decayed])
        surges = np.where(observed >= EVENTS_MIN, credible_surges(observed, expected), 0)
        over = credible_surges(observed[0], expected[0], UPPER) < least
        scores = np.where(over, 0, np.max(surges, axis=0))
        first = np.argsort(-scores, kind="stable")[:count]
        listed = first[scores[first] >= least]
        return self._trends(rows[listed], observed[:, listed], expected[:, listed], surges[:, listed])

    def _busy(self) -> tuple[Slots, Numbers]:
        """Rows of items with enough events by any half-life, and (half-lives, rows) how many."""
        rows = np.arange(len(self._items))
        events = np.stack(
            [decayed.sums(rows, self._now_s) / decayed.sizes(rows, self._now_s) for decayed in self._decayed]
        )
        busy = np.flatnonzero(np.max(events, axis=0) >= EVENTS_MIN)
        return busy, events[:, busy]

    def _expected(self, decayed: Decayed, rows: Slots) -> Numbers:
        """(k,) events that were expected of k items, by one half-life."""
        hours, weights_h = decayed.hours(self._began_s, self._now_s)
        forecast: Numbers = self._seasons.rates(rows, hours) @ weights_h / decayed.sizes(rows, self._now_s)
        return forecast

    def _expected_by_share(self, decayed: Decayed, rows: Slots) -> Numbers:
        """(k,) events that were expected of k items, by their shares; infinite where nobody can tell."""
        everybody = np.arange(len(self._items))
        sums, sizes = decayed.sums(everybody, self._now_s), decayed.sizes(everybody, self._now_s)
        if float((sums / sizes).sum()) < self._rules.young_events_min:
            return np.full(len(rows), np.inf)
        totals = self._seasons.totals
        shares = shares_now(self._usual(rows), totals[rows], float(totals.sum()))
        expected: Numbers = np.nan_to_num(shares * sums.sum() / sizes[rows], nan=np.inf)
        return expected

    def _usual(self, rows: Slots) -> Numbers:
        """(k,) shares of k items before the log; NaN where nobody knows them."""
        assert self._usual_share is not None
        for row in rows[np.isnan(self._shares[rows])].tolist():
            share = self._usual_share(self._items[row])
            self._shares[row] = np.nan if share is None else share
        return self._shares[rows]

    def _trends(self, rows: Slots, observed: Numbers, expected: Numbers, surges: Numbers) -> list[Trend[Item]]:
        """What is said of k items, by (half-lives, k) numbers."""
        by_half_life = zip(self._decayed, observed, expected, surges, strict=True)
        windows = zip(*(self._windows(decayed, rows, *numbers) for decayed, *numbers in by_half_life), strict=True)
        return [
            Trend(self._items[row], max(of_item, key=lambda one: one.surge), of_item)
            for row, of_item in zip(rows.tolist(), windows, strict=True)
        ]

    def _windows(self, decayed: Decayed, rows: Slots, *numbers: Numbers) -> list[Window]:
        """What happened to k items by one half-life, with (k,) numbers: what was observed, expected, and the surges."""
        counts = decayed.by_kind(rows, self._now_s).tolist()
        by_kind = [{kind: some[at] for kind, at in self._kinds.items() if some[at] > 0} for some in counts]
        told = zip(*(one.tolist() for one in numbers), strict=True)
        return [Window(decayed.half_life_s, some, *one) for some, one in zip(by_kind, told, strict=True)]

    def _advance(self, now_s: float) -> None:
        """Let time pass: hours that are over are learned."""
        if now_s == self._now_s:  # nearly always: a record's events were recorded together
            return
        if math.isnan(self._now_s):
            self._began_s = self._now_s = now_s
        hour, until = int(self._now_s // HOUR_S), int(now_s // HOUR_S)
        if until > hour:
            self._count()
            self._seasons.learn(hour, self._present)
            self._present[:] = 0
            self._seasons.pass_silently(max(hour + 1, until - SILENCE_H), until)
        self._now_s = max(self._now_s, now_s)

    def _go_back(self, now_s: float) -> None:
        """A clock was set right: what was counted as of moments that did not come yet is not counted at all."""
        self._count()
        for decayed in self._decayed:
            decayed.clear()
        self._present[:] = 0
        self._now_s, self._began_s = now_s, min(self._began_s, now_s)

    def _count(self) -> None:
        """Count what waits."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        rows = self._admitted([item for item, _, _ in waiting])
        kinds = np.array([kind for _, kind, _ in waiting], np.int64)
        times = np.array([at_s for _, _, at_s in waiting])
        for decayed in self._decayed:
            decayed.add(rows, kinds, times, self._now_s)
        timely = times >= (self._now_s // HOUR_S - LATE_H) * HOUR_S
        np.add.at(self._present, rows[timely], self._weights[kinds[timely]])
        late = ~timely & (times >= self._began_s)
        if late.any():
            self._seasons.catch_up(rows[late], times[late] // HOUR_S, self._weights[kinds[late]], self._now_s // HOUR_S)

    def _admitted(self, items: list[Item]) -> Slots:
        """(n,) rows of n items, made room for where they are new."""
        distinct = dict.fromkeys(items)
        new = [item for item in distinct if item not in self._row]
        if len(self._items) + len(new) > self._items_max:
            # Any of these may be among those forgotten: there is room for all of them.
            self._forget(len(self._items) + len(distinct) - self._items_max + self._items_max // 10)
            new = [item for item in distinct if item not in self._row]
        first = len(self._items)
        if first + len(new) > self._room:
            self._grow(min(max(first + len(new), 2 * self._room), self._items_max))
        self._items += new
        self._row.update((item, first + at) for at, item in enumerate(new))
        self._seasons.meet(np.arange(first, len(self._items)))
        return np.array([self._row[item] for item in items], np.int64)

    def _forget(self, count: int) -> None:
        """Forget the least popular items, by what they had lately and what they have now."""
        rows = np.arange(len(self._items))
        now: Numbers = self._decayed[-1].sums(rows, self._now_s)
        standing = self._seasons.totals[: len(rows)] + self._present[: len(rows)] + now
        kept = np.sort(np.argsort(standing, kind="stable")[min(count, len(rows)) :])
        self._items = [self._items[row] for row in kept]
        self._row = {item: row for row, item in enumerate(self._items)}
        self._present[: len(kept)] = self._present[kept]
        self._present[len(kept) :] = 0
        self._seasons.keep(kept)
        self._shares[: len(kept)] = self._shares[kept]
        self._shares[len(kept) :] = np.nan
        for decayed in self._decayed:
            decayed.keep(kept)

    def _grow(self, room: int) -> None:
        self._present = np.pad(self._present, (0, room - self._room))
        self._seasons.grow(room)
        self._shares = np.pad(self._shares, (0, room - self._room), constant_values=np.nan)
        for decayed in self._decayed:
            decayed.grow(room)
        self._room = room
