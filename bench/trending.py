"""What trends, found in a replay with planted surges: how right the lists are, and how soon; beside plainer ways.

The stream is made from a seed: a shop with a day and a week, items by a Zipf law, a third of them with hours of their
own, busier and quieter hours of each item by chance (Gamma), four interactions. Two weeks go by for learning; in the
third, surges are planted: items of all sizes, 4 to 15 times what they have, rising for 20 minutes, for 3 hours. Every
five minutes each way lists its ten; an item is right while its surge lasts, and counts neither way for an hour after.

    precision   of the listed; in brackets, of as many as there are surges (a way that lists little is not let off)
    found       surges whose item was listed before they ended, and was not as they began
    delay       minutes from a surge's beginning to its first listing: median, 90 %, of those found
    quiet       items listed per list in the last day of learning, where nothing surges

With --first-day nothing goes by: the first day of a log is judged, of a shop of which a month's orders are known.

All but the last way use one half-life of half an hour and the same forecast. The last is the product's own. Parameters
were chosen on seed 1; the seeds shown are others.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import tables
from trunkshow.stream.decayed import HOUR_S, Decayed
from trunkshow.stream.seasons import Seasons
from trunkshow.stream.surges import Numbers, Slots, credible_surges
from trunkshow.stream.surging import Surges
from trunkshow.stream.trend import EVENTS_MIN, RULES, WEIGHTS
from trunkshow.v1 import events_pb2

BEGAN_H = 19_675 * 24 + 4 * 24  # a Monday
LEARNING_DAYS, SURGING_DAYS = 14, 7
STEP_S = 300
LISTED = 10
SURGE_S, RISE_S, EVERY_S, AFTER_S = 3 * 3600, 1200, 1800, 3600
KINDS = (
    events_pb2.INTERACTION_VIEW,
    events_pb2.INTERACTION_CLICK,
    events_pb2.INTERACTION_CART,
    events_pb2.INTERACTION_ORDER,
)
KIND_SHARES = (0.6, 0.25, 0.1, 0.05)
HALF_LIFE_S = 1800.0
ORDERED_SHARE, TASTE_SD = 0.05, 0.5
LIKELY = 9.0
"""Log likelihood ratio from which on an item is listed: as precise on seed 1 as the credible surge."""


@dataclass(frozen=True)
class Surge:
    """A planted one: of which item, from when, how many times its rate."""

    item: int
    begins_s: float
    times: float

    def factor(self, at_s: float) -> float:
        """What the item's rate is multiplied by."""
        age = at_s - self.begins_s
        return 1 + (self.times - 1) * min(age / RISE_S, 1) if 0 <= age < SURGE_S else 1.0


class Shop:
    """A stream of events from a seed, five minutes at a time."""

    def __init__(self, seed: int, items: int, per_hour: float, days: tuple[int, int]) -> None:
        self.rng = np.random.default_rng(seed)
        self.items = items
        zipf = 1 / np.arange(1, items + 1) ** 0.9
        self.means = per_hour * zipf / zipf.sum()
        self._peaks = np.where(self.rng.random(items) < 0.33, self.rng.integers(0, 24, items), 19)
        self._weekend = np.where(self.rng.random(items) < 0.2, 2.5, 1.3)
        self.began_s = BEGAN_H * HOUR_S
        self.surging_s = self.began_s + days[0] * 24 * HOUR_S
        self.ends_s = self.surging_s + days[1] * 24 * HOUR_S
        self.surges = self._planted()
        self._moods = np.ones(items)

    def _planted(self) -> list[Surge]:
        able = np.flatnonzero(self.means >= 0.1)  # of fewer events, four times as many are none
        moments = np.arange(self.surging_s + 1800, self.ends_s - SURGE_S, EVERY_S)
        sizes = self.rng.uniform(0, math.log(len(able)), len(moments))
        times = np.exp(self.rng.uniform(math.log(4), math.log(15), len(moments)))
        drawn = zip(moments.tolist(), np.exp(sizes).astype(int).tolist(), times.tolist(), strict=True)
        planted: list[Surge] = []
        for moment, rank, factor in drawn:
            if all(one.item != rank - 1 or moment - one.begins_s > 2 * SURGE_S for one in planted):
                planted.append(Surge(rank - 1, moment, factor))
        return planted

    def step(self, at_s: float) -> tuple[Slots, Slots, Numbers]:
        """The items, kinds and times of the events of the next five minutes, in order of time."""
        hour = at_s / HOUR_S % 24
        if at_s % HOUR_S == 0:
            self._moods = self.rng.gamma(10, 0.1, self.items)
        rates = self.means * self._moods * np.exp(1.2 * np.cos((hour - self._peaks) / 24 * 2 * np.pi)) / 1.4
        if int(at_s // 86_400 + 3) % 7 >= 5:
            rates = rates * self._weekend
        for surge in self.surges:
            rates[surge.item] *= surge.factor(at_s)
        counts = self.rng.poisson(rates * STEP_S / HOUR_S)
        rows = np.repeat(np.arange(self.items), counts)
        self.rng.shuffle(rows)
        times = np.sort(at_s + STEP_S * self.rng.random(len(rows)))
        return rows, self.rng.choice(len(KINDS), len(rows), p=KIND_SHARES), times


class Plainer:
    """Lists by a score of decayed sums and the forecast, and one by the events of the last hour."""

    def __init__(self, items: int, began_s: float) -> None:
        self._began_s = began_s
        self._weights = np.array([WEIGHTS[kind] for kind in KINDS])
        self._decayed = Decayed(HALF_LIFE_S, items, self._weights)
        self._seasons = Seasons(items)
        self._all = np.arange(items)
        self._seasons.meet(self._all)
        self._hour = np.zeros(items)
        self._lately: deque[Numbers] = deque(maxlen=int(HOUR_S // STEP_S))

    def record(self, rows: Slots, kinds: Slots, times: Numbers, now_s: float) -> None:
        """Take in five minutes."""
        self._decayed.add(rows, kinds, times, now_s)
        worth: Numbers = np.bincount(rows, self._weights[kinds], len(self._hour)).astype(np.float64)
        self._hour += worth
        self._lately.append(worth)
        if now_s % HOUR_S == 0:
            self._seasons.learn(int(now_s // HOUR_S) - 1, self._hour)
            self._hour[:] = 0

    def lists(self, now_s: float) -> dict[str, list[int]]:
        """Ten of each way."""
        sums, sizes = self._decayed.sums(self._all, now_s), self._decayed.sizes(self._all, now_s)
        hours, shares = self._decayed.hours(self._began_s, now_s)
        forecast = self._seasons.rates(self._all, hours) @ shares
        mean = self._seasons.totals * shares.sum() / max(self._seasons.totals.sum(), 1e-9) * sums.sum() / shares.sum()
        observed, expected, usual = sums / sizes, forecast / sizes, mean / sizes
        enough = observed >= EVENTS_MIN
        ratio = observed * np.log(np.maximum(observed, 1e-9) / np.maximum(expected, 1e-9)) - (observed - expected)
        return {
            "counts of the last hour": _best(np.sum(self._lately, axis=0), 0),
            "decayed counts": _best(sums, 0),
            "share of now ÷ share before, at least 3 events": _best(
                np.where(enough, observed / np.maximum(usual, 1e-9), 0), RULES.surge_min
            ),
            "÷ forecast, at least 3 events": _best(
                np.where(enough, observed / np.maximum(expected, 1e-9), 0), RULES.surge_min
            ),
            "likelihood ratio to the forecast": _best(np.where(observed > expected, ratio, 0), LIKELY),
            "credible surge over the forecast": _best(
                np.where(enough, credible_surges(observed, expected), 0), RULES.surge_min
            ),
        }


def _best(scores: Numbers, least: float) -> list[int]:
    order = np.argsort(-scores, kind="stable")[:LISTED]
    return [int(row) for row in order if scores[row] > least]


class Judge:
    """What one way's lists were worth."""

    def __init__(self, surges: list[Surge]) -> None:
        self._surges = surges
        self._first: dict[Surge, float] = {}
        self._begun: set[Surge] = set()
        self._already: set[Surge] = set()
        self._before: set[int] = set()
        self.right = self.wrong = self.possible = self.quiet = self.quiet_lists = 0

    def see(self, listed: list[int], now_s: float, surging: bool) -> None:
        """Judge one list."""
        if not surging:
            self.quiet += len(listed)
            self.quiet_lists += 1
            return
        active = {one.item: one for one in self._surges if 0 < now_s - one.begins_s <= SURGE_S}
        fading = {one.item for one in self._surges if SURGE_S < now_s - one.begins_s <= SURGE_S + AFTER_S}
        for item, surge in active.items():
            if surge not in self._begun and item in self._before:
                self._already.add(surge)
            if item in listed and surge not in self._already:
                self._first.setdefault(surge, now_s)
        self._begun.update(active.values())
        self._before = set(listed)
        self.right += sum(item in active for item in listed)
        self.wrong += sum(item not in active and item not in fading for item in listed)
        self.possible += min(len(active), LISTED)

    def verdict(self) -> dict[str, float]:
        """The figures of this module's docstring."""
        delays = [(first - one.begins_s) / 60 for one, first in self._first.items()]
        return {
            "precision": self.right / max(self.right + self.wrong, 1),
            "of_surges": self.right / max(self.possible, 1),
            "found": len(delays) / max(len(self._surges), 1),
            "delay_min": float(np.median(delays)) if delays else math.nan,
            "delay_p90_min": float(np.percentile(delays, 90)) if delays else math.nan,
            "quiet": self.quiet / max(self.quiet_lists, 1),
        }


def replay(shop: Shop) -> dict[str, dict[str, float]]:
    """Each way's figures."""
    ours = Surges[int](RULES, WEIGHTS, shop.items)
    plainer = Plainer(shop.items, shop.began_s)
    judges: dict[str, Judge] = {}
    for at in range(int(shop.began_s), int(shop.ends_s), STEP_S):
        now_s = float(at + STEP_S)
        rows, kinds, times = shop.step(at)
        for row, kind, time_s in zip(rows.tolist(), kinds.tolist(), times.tolist(), strict=True):
            ours.record(row, KINDS[kind], time_s, time_s)
        plainer.record(rows, kinds, times, now_s)
        if at < shop.surging_s - 24 * HOUR_S:
            continue
        lists = plainer.lists(now_s)
        lists["Trunkshow's"] = [trend.item for trend in ours.top(now_s, LISTED)]
        for name, listed in lists.items():
            judges.setdefault(name, Judge(shop.surges)).see(listed, now_s, at >= shop.surging_s)
    return {name: judge.verdict() for name, judge in judges.items()}


def replay_first_day(shop: Shop) -> dict[str, dict[str, float]]:
    """Each way's figures, in the first day of a log: known are the orders of a month, and no hour of any day.

    Items are looked at more, or less, than their orders say, by a factor with a standard deviation of e^`TASTE_SD`.
    """
    orders = shop.rng.poisson(
        shop.means * ORDERED_SHARE * 24 * 30 * np.exp(TASTE_SD * shop.rng.normal(size=shop.items))
    )
    shares: Numbers = (orders + 0.5) / (orders + 0.5).sum()
    ours = Surges[int](RULES, WEIGHTS, shop.items, lambda row: float(shares[row]))
    weights = np.array([WEIGHTS[kind] for kind in KINDS])
    decayed, everybody = Decayed(HALF_LIFE_S, shop.items, weights), np.arange(shop.items)
    hour: deque[Numbers] = deque(maxlen=int(HOUR_S // STEP_S))
    judges: dict[str, Judge] = {}
    for at in range(int(shop.began_s), int(shop.ends_s), STEP_S):
        now_s = float(at + STEP_S)
        rows, kinds, times = shop.step(at)
        for row, kind, time_s in zip(rows.tolist(), kinds.tolist(), times.tolist(), strict=True):
            ours.record(row, KINDS[kind], time_s, time_s)
        decayed.add(rows, kinds, times, now_s)
        hour.append(np.bincount(rows, weights[kinds], shop.items).astype(np.float64))
        sums, sizes = decayed.sums(everybody, now_s), decayed.sizes(everybody, now_s)
        observed, expected = sums / sizes, shares * sums.sum() / sizes
        enough = observed >= EVENTS_MIN
        lists = {
            "counts of the last hour": _best(np.sum(hour, axis=0), 0),
            "decayed counts": _best(sums, 0),
            "share of now ÷ usual share, at least 3 events": _best(
                np.where(enough, observed / expected, 0), RULES.young_surge_min
            ),
            "credible surge over the usual share": _best(
                np.where(enough, credible_surges(observed, expected), 0), RULES.young_surge_min
            ),
            "Trunkshow's": [trend.item for trend in ours.top(now_s, LISTED)],
        }
        for name, listed in lists.items():
            judges.setdefault(name, Judge(shop.surges)).see(listed, now_s, surging=True)
    return {name: judge.verdict() for name, judge in judges.items()}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--per-hour", type=float, default=1500.0)
    parser.add_argument("--days", type=int, nargs=2, default=[LEARNING_DAYS, SURGING_DAYS])
    parser.add_argument("--first-day", action="store_true", help="of a log, instead of --days")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    for seed in chosen.seeds:
        days = (0, 1) if chosen.first_day else tuple(chosen.days)
        shop = Shop(seed, chosen.items, chosen.per_hour, days)
        figures_of = replay_first_day(shop) if chosen.first_day else replay(shop)
        found += [{"seed": seed, "way": name, **figures} for name, figures in figures_of.items()]

    def ways(way: str) -> list[dict[str, Any]]:
        return [one for one in found if one["way"] == way]

    if chosen.json:
        print(json.dumps({"machine": tables.machine(), "rows": found}))
        return
    columns = ("way", "precision@10", "(of surges)", "found", "delay min", "90 %", "quiet")
    figures = ("precision", "of_surges", "found", "delay_min", "delay_p90_min", "quiet")
    names = list(dict.fromkeys(one["way"] for one in found))
    tables.show(
        columns, [(way, *(float(np.mean([one[key] for one in ways(way)])) for key in figures)) for way in names]
    )


if __name__ == "__main__":
    main()
