"""A warm start: item factors of the snapshot that is served, for a build of the same data and some more.

Users need none: each sweep begins with solving them from the items. Two sets of item factors are carried over, since
what is measured must not have been told the answers: those that were fitted on everything start the fit on everything,
those that were fitted up to the evaluation's cut start the evaluation's. They lie in the snapshot's `start/`, which no
process that serves fetches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from builder.dataset import Dataset
from builder.stages import Progress
from trunkshow.models.ials import TRAINING
from trunkshow.models.protocol import Floats, Settings
from trunkshow.snapshot import arrays
from trunkshow.snapshot.manifest import Manifest
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store

FOLDER = "start"

CHANGED_SHARE_MAX = 0.05
"""Of the events. Beyond, half of the sweeps were measured not to be enough (docs/adr/0031-warm-start.md)."""

SAME = ("factors", "unobserved_ratio", "regularization")
"""What of the models' settings must not have changed, beside the weights of interactions."""


class WarmStart(Enum):
    """What a person wants of it."""

    NO = "no"
    YES = "yes"
    COMPARE = "compare"


@dataclass(frozen=True)
class Start:
    """What there is to start from.

    Attributes:
        version: of the snapshot.
        rows: item id → row in the arrays.
        vectors: (items, factors) float32, fitted on everything.
        evaluated: the same, fitted up to the cut of that snapshot's evaluation; zeros for an item that came later;
            None where it was evaluated in another way, and the next evaluation starts cold.
        cut_ms: that cut.
        metrics: that the evaluation measured.
    """

    version: str
    rows: Mapping[str, int]
    vectors: Floats
    evaluated: Floats | None
    cut_ms: int
    metrics: Mapping[str, Any]

    def for_everything(self, item_ids: Sequence[str]) -> Floats:
        """(items, factors) float32 in the order of these items; zeros for one that has none."""
        return self._of(self.vectors, item_ids)

    def for_evaluation(self, item_ids: Sequence[str], cut_ms: int) -> Floats | None:
        """The same, of what knows nothing after a cut; None where the snapshot was measured with a later one."""
        if self.evaluated is None or self.cut_ms > cut_ms:
            return None
        return self._of(self.evaluated, item_ids)

    def _of(self, vectors: Floats, item_ids: Sequence[str]) -> Floats:
        rows = np.array([self.rows.get(one, -1) for one in item_ids], np.int64)
        found = np.zeros((len(rows), vectors.shape[1]), np.float32)
        found[rows >= 0] = vectors[rows[rows >= 0]]
        return found


class Found(NamedTuple):
    """What to start from, or why there is nothing."""

    start: Start | None
    why: str = ""


def find(store: Store, dataset: Dataset, chosen: Settings, events: int) -> Found:
    """What the snapshot that a store serves has to start from.

    Args:
        store: the store.
        dataset: that is built from.
        chosen: of the models.
        events: how many there are now.

    Raises:
        StoreError: the store does not answer.
        SnapshotRefused: what is served cannot be opened.
    """
    version = store.pointer().current
    if not version:
        return Found(None, "nothing is served yet")
    manifest = store.manifest(version)
    if changed := _changed(manifest, dataset, chosen):
        return Found(None, f"{version} was built with other {changed}")
    before = int(manifest.counts["events"])
    if abs(events - before) > CHANGED_SHARE_MAX * events:
        return Found(None, f"{version} has {before:,} events, and now there are {events:,}: too many are new")
    files = manifest.under(FOLDER)
    evaluated = np.array(arrays.load(store.ensure(version, files) / FOLDER)["evaluated"]) if files else None
    snapshot = Snapshot(store, manifest)
    try:
        ids = (snapshot.catalogue.id(row) for row in range(len(snapshot.ials.vectors)))
        return Found(
            Start(
                version,
                {one: row for row, one in enumerate(ids)},
                np.array(snapshot.ials.vectors),
                evaluated,
                int(datetime.fromisoformat(manifest.metrics["cut"]).timestamp() * 1000),
                manifest.metrics["model"],
            )
        )
    finally:
        snapshot.close()


def keep(folder: Path, item_ids: Sequence[str], evaluated_ids: Sequence[str], evaluated: Floats) -> None:
    """Keep the evaluation's item factors for the next build.

    Args:
        folder: the snapshot's.
        item_ids: of its catalogue, in the order of its rows.
        evaluated_ids: of the factors' rows.
        evaluated: (n, factors) float32.
    """
    rows = {one: row for row, one in enumerate(evaluated_ids)}
    start = Start("", rows, evaluated, evaluated, 0, {})
    arrays.save(folder / FOLDER, {"evaluated": start.for_everything(item_ids)})


@dataclass
class SweepTimes:
    """Passes progress on, and times the sweeps of the factor model's training.

    Attributes:
        progress: whoever is to be told.
        clock: a port: seconds.
    """

    progress: Progress
    clock: Callable[[], float] = time.perf_counter
    ends: list[float] = field(default_factory=list)

    def __call__(self, what: str, done: int, of: int) -> None:
        """Told of progress."""
        if what == TRAINING:
            self.ends.append(self.clock())
        self.progress(what, done, of)

    @property
    def seconds(self) -> float:
        """Of one sweep, the mean over all but the first, whose beginning nobody told; 0 where there was but one."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1) if len(self.ends) > 1 else 0.0


class Outcome(Protocol):
    """What an evaluation found, as far as a warm start has to do with it."""

    @property
    def warm(self) -> bool:
        """Whether it started from the last snapshot's factors."""
        ...

    @property
    def compared(self) -> Mapping[str, Any]:
        """What a cold start would have had; empty where that was not asked for."""
        ...


def told(start: Start, sweeps: SweepTimes, evaluated: Outcome) -> dict[str, Any]:
    """What a warm start saved, and what it did to the metrics, for the manifest: measured where that was asked for.

    What training on everything saved is estimated in any case: the sweeps that were not made, each as long as those
    that were. A warm evaluation saved about as much again; the metrics of a cold one are a cold start's.
    """
    spared = Settings().epochs - len(sweeps.ends)
    return {
        "warm_start": {
            "from": start.version,
            "sweeps": len(sweeps.ends),
            "sweeps_cold": len(sweeps.ends) + spared,
            "fit_seconds_saved_estimated": round(sweeps.seconds * spared, 3),
            "evaluated_warm": evaluated.warm,
            "model_before": dict(start.metrics),
            **evaluated.compared,
        }
    }


def _changed(manifest: Manifest, dataset: Dataset, chosen: Settings) -> str:
    """What is not as it was, in words."""
    before = manifest.parameters
    changed = [name for name in SAME if before.get(name) != getattr(chosen, name)]
    if before.get("interactions") != dict(dataset.interactions):
        changed.append("interactions")
    if manifest.dataset != dataset.name:
        changed.append("data")
    return " and ".join(changed)
