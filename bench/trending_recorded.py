"""Surges planted in real events: as `bench.trending`, of a shop that somebody recorded instead of one that was drawn.

    python -m bench.trending_recorded /path/to/taobao_tmall.parquet

Events are as they were, with the moods, habits and sales of a real shop; from two thirds of their time on, surges are
added: 4 to 15 times what an item has as a rule, rising for 20 minutes, for 3 hours, one every half an hour. Real surges
are not known, and count as wrong. Columns: item_id, event_type, timestamp. Nothing was chosen on these events.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from bench import tables
from bench.trending import STEP_S, Shop, replay
from trunkshow.stream.decayed import HOUR_S
from trunkshow.stream.surges import Numbers, Slots

KIND_OF = {"pv": 0, "view": 0, "fav": 1, "click": 1, "cart": 2, "buy": 3, "order": 3}
"""By event type: which of `bench.trending.KINDS`."""

LEARNING_SHARE = 2 / 3


class RecordedShop(Shop):
    """Events of a file, five minutes at a time, with surges beside them.

    Args:
        path: of a Parquet file.
        seed: of the surges.
    """

    def __init__(self, path: Path, seed: int) -> None:
        events = pl.read_parquet(path, columns=["item_id", "event_type", "timestamp"]).sort("timestamp")
        self.rng = np.random.default_rng(seed)
        self._times = events["timestamp"].dt.epoch("ms").to_numpy() / 1000
        _, self._rows, counts = np.unique(events["item_id"].to_numpy(), return_inverse=True, return_counts=True)
        self._kinds = np.array([KIND_OF[kind] for kind in events["event_type"].to_list()])
        self.items = len(counts)
        self.began_s = self._times[0] // HOUR_S * HOUR_S
        self.ends_s = self._times[-1] // HOUR_S * HOUR_S
        self.surging_s = self.began_s + (self.ends_s - self.began_s) * LEARNING_SHARE // HOUR_S * HOUR_S
        rates = counts / (self.ends_s - self.began_s) * HOUR_S
        order = np.argsort(-rates)  # surges are drawn by rank
        rank = np.empty_like(order)
        rank[order] = np.arange(self.items)
        self._rows, self.means = rank[self._rows], rates[order]
        self.surges = self._planted()

    def step(self, at_s: float) -> tuple[Slots, Slots, Numbers]:
        """The items, kinds and times of the events of the next five minutes, in order of time."""
        first, last = np.searchsorted(self._times, [at_s, at_s + STEP_S])
        rows, kinds, times = self._rows[first:last], self._kinds[first:last], self._times[first:last]
        for surge in self.surges:
            more = self.rng.poisson((surge.factor(at_s) - 1) * self.means[surge.item] * STEP_S / HOUR_S)
            rows = np.append(rows, np.full(more, surge.item))
            kinds = np.append(kinds, self.rng.choice(self._kinds, more))
            times = np.append(times, at_s + STEP_S * self.rng.random(more))
        order = np.argsort(times, kind="stable")
        return rows[order], kinds[order], times[order]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3])
    chosen = parser.parse_args()
    found = [replay(RecordedShop(chosen.events, seed)) for seed in chosen.seeds]
    figures = ("precision", "of_surges", "found", "delay_min", "delay_p90_min", "quiet")
    tables.show(
        ("way", "precision@10", "(of surges)", "found", "delay min", "90 %", "quiet"),
        [(way, *(float(np.mean([one[way][key] for one in found])) for key in figures)) for way in found[0]],
    )


if __name__ == "__main__":
    main()
