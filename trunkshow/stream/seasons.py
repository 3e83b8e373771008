"""What is expected in an hour: an item's mean, the shop's week, and the item's own hours, multiplied.

    rate(item, hour) = mean(item) · G(hour, day) · f(item, hour of day) · g(item, day of week)

Classical multiplicative decomposition (Makridakis, Wheelwright and Hyndman: "Forecasting: Methods and Applications",
3rd ed., 1998, ch. 3), kept up hour by hour over counts that decay with `HALF_LIFE_H`:

- G, the shop's week, is itself hour of day × day of week: the factors that fit the margins of all items' counts
  (iterative proportional fitting), each drawn towards 1 by `SHOP_EVENTS` expected events.
- f and g are observed ÷ expected at these hours, drawn towards 1 by `ITEM_EVENTS`: (C + k) / (E + k). So an item of few
  events has the shop's week around its own mean, and one of many its own.
- The mean is events ÷ exposure, in hours of the shop's week since the item was first seen, drawn towards the mean of
  all items by `MEAN_H` hours.

An hour of an item known for a day or more is learned only up to what was credible, e + 3 sd: a surge is not to become
its own expectation. Hours and days are UTC's, as are the events'. Rows are those of `trunkshow.stream.trending`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkshow.stream.surges import Numbers, Slots

HALF_LIFE_H = 14 * 24.0
SHOP_EVENTS = 20.0
ITEM_EVENTS = 5.0
MEAN_H = 12.0
KNOWN_H = 24.0
"""Exposure from which on an item's hours are held to what was credible."""

FORECAST_CV = 0.5
"""By how much of itself a forecast is taken to be off, as a standard deviation, beside Poisson's."""

MONDAY = 3
"""To be added to the days since the epoch, which was a Thursday, so that Monday is 0."""

_DECAY = 0.5 ** (1 / HALF_LIFE_H)
_FITS = 4
Singles = NDArray[np.float32]


class Seasons:
    """The weeks of a shop and of its items.

    Args:
        rows: items that there is room for.

    Attributes:
        totals: (rows,) decayed counts of each item.
    """

    def __init__(self, rows: int) -> None:
        self._hours = np.zeros((rows, 24), np.float32)  # decayed counts by hour of day
        self._days = np.zeros((rows, 7), np.float32)
        self.totals = np.zeros(rows)
        self._before = np.full(
            rows, np.nan
        )  # exposure of the shop when the item was first seen, decaying; NaN: no item
        self._week = np.zeros((7, 24))  # decayed counts of all items
        self._lived = np.zeros((7, 24))  # decayed hours that were seen
        self._profile = np.ones((7, 24))
        self._exposure = 0.0

    def grow(self, rows: int) -> None:
        """Make room."""
        more = rows - len(self.totals)
        self._hours = np.pad(self._hours, ((0, more), (0, 0)))
        self._days = np.pad(self._days, ((0, more), (0, 0)))
        self.totals = np.pad(self.totals, (0, more))
        self._before = np.pad(self._before, (0, more), constant_values=np.nan)

    def keep(self, rows: Slots) -> None:
        """Forget all other items; these move to the front, in this order."""
        for table in (self._hours, self._days, self.totals):
            table[: len(rows)] = table[rows]
            table[len(rows) :] = 0
        self._before[: len(rows)] = self._before[rows]
        self._before[len(rows) :] = np.nan

    def meet(self, rows: Slots) -> None:
        """Items are seen for the first time."""
        self._before[rows] = self._exposure

    def rates(self, rows: Slots, hours: Slots) -> Numbers:
        """(k, h) events expected per hour of k items in h hours since the epoch."""
        of_day, of_week = hours % 24, (hours // 24 + MONDAY) % 7
        own = self._own(self._hours, self._profile, 0, rows)[:, of_day]
        own *= self._own(self._days, self._profile, 1, rows)[:, of_week]
        return self._means(rows)[:, None] * self._profile[of_week, of_day] * own

    def learn(self, hour: int, counts: Numbers) -> None:
        """An hour is over: (rows,) what each item had in it."""
        of_day, of_week = hour % 24, (hour // 24 + MONDAY) % 7
        items = np.flatnonzero(~np.isnan(self._before))
        counts = counts.copy()
        if len(items):
            counts[items] = self._credible(items, hour, counts[items])
        for table in (self._hours, self._days, self.totals, self._before, self._week, self._lived):
            table *= _DECAY
        self._hours[:, of_day] += counts
        self._days[:, of_week] += counts
        self.totals += counts
        self._week[of_week, of_day] += counts.sum()
        self._lived[of_week, of_day] += 1
        self._profile = _fitted(self._week, self._lived)
        self._exposure = self._exposure * _DECAY + self._profile[of_week, of_day]

    def pass_silently(self, first: int, until: int) -> None:
        """Hours from one to before another in which nothing happened: as if each were learned, at the cost of one.

        What the shop's week looks like is fitted once, at the end; the exposure meanwhile is by the profile before.
        """
        if until <= first:
            return
        for table in (self._hours, self._days, self.totals, self._before, self._week):
            table *= _DECAY ** (until - first)
        for hour in range(first, until):
            of_day, of_week = hour % 24, (hour // 24 + MONDAY) % 7
            self._lived *= _DECAY
            self._lived[of_week, of_day] += 1
            self._exposure = self._exposure * _DECAY + self._profile[of_week, of_day]
        self._profile = _fitted(self._week, self._lived)

    def catch_up(self, rows: Slots, hours: Numbers, counts: Numbers, now: float) -> None:
        """Events of hours that are learned already: (n,) rows, hours since the epoch, and counts; as of the hour now.

        They come late, or out of a lane of the log that is read more slowly than the others.
        """
        of_day, of_week = hours.astype(np.int64) % 24, (hours.astype(np.int64) // 24 + MONDAY) % 7
        worth = counts * _DECAY ** (now - hours)
        np.add.at(self._hours, (rows, of_day), worth)
        np.add.at(self._days, (rows, of_week), worth)
        np.add.at(self.totals, rows, worth)
        np.add.at(self._week, (of_week, of_day), worth)

    def _means(self, rows: Slots) -> Numbers:
        exposures = np.maximum(self._exposure - self._before[rows], 0)
        prior = self.totals.sum() / max(self._exposure * np.count_nonzero(~np.isnan(self._before)), 1e-9)
        means: Numbers = (self.totals[rows] + MEAN_H * prior) / (exposures + MEAN_H)
        return means

    def _own(self, table: Singles, profile: Numbers, axis: int, rows: Slots) -> Numbers:
        """(k, slots) an item's hours or days beside the shop's."""
        shop = (profile * self._lived).sum(axis=axis)
        expected = self.totals[rows, None] * (shop / max(shop.sum(), 1e-9))
        own: Numbers = (table[rows] + ITEM_EVENTS) / (expected + ITEM_EVENTS)
        return own

    def _credible(self, items: Slots, hour: int, counts: Numbers) -> Numbers:
        """Counts of an hour, held to what was credible."""
        expected = self.rates(items, np.array([hour]))[:, 0]
        most = expected + 3 * np.sqrt(expected + (FORECAST_CV * expected) ** 2) + 1
        known = self._exposure - self._before[items] >= KNOWN_H
        return np.where(known, np.minimum(counts, most), counts)


def _fitted(week: Numbers, lived: Numbers) -> Numbers:
    """(7, 24) the shop's week around a mean of 1: day × hour factors that fit the margins of its counts."""
    mean = week.sum() / max(lived.sum(), 1e-9)
    hours, days = np.ones(24), np.ones(7)
    for _ in range(_FITS):
        hours = (week.sum(axis=0) + SHOP_EVENTS) / (mean * (lived * days[:, None]).sum(axis=0) + SHOP_EVENTS)
        days = (week.sum(axis=1) + SHOP_EVENTS) / (mean * (lived * hours).sum(axis=1) + SHOP_EVENTS)
    profile: Numbers = days[:, None] * hours
    profile /= max((profile * lived).sum() / max(lived.sum(), 1e-9), 1e-9)
    return profile
