"""A warm start: fewer sweeps, as good a model, and nothing told to the evaluation that it should not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import DAY_MS, DAYS, START_MS, Shop

from builder.dataset import load_dataset
from builder.pipeline import BuildReport, BuildSettings, build
from builder.warm_start import FOLDER, Start, SweepTimes, WarmStart, find
from trunkshow.models import ials
from trunkshow.models.protocol import Settings
from trunkshow.snapshot import arrays
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

LAST_DAY = START_MS + (DAYS - 1) * DAY_MS
CUT = START_MS + 80 * DAY_MS
COLD = BuildSettings(partitions=2, factors=8)
WARM = replace(COLD, warm_start=WarmStart.COMPARE)


def until(shop: Shop, moment: int) -> Shop:
    """What was known at a moment."""
    return replace(shop, events=tuple(event for event in shop.events if event.time_ms < moment))


def with_something_new(shop: Shop) -> Shop:
    """An item of which nobody heard before the last day."""
    new = tuple(replace(event, item="a new one") for event in shop.events[:5])
    return replace(shop, events=shop.events + tuple(replace(event, time_ms=LAST_DAY + 1) for event in new))


Built = tuple[BuildReport, BuildReport, Path]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A build of all but the last day, and a warm one of all days, into one store."""
    folder = tmp_path_factory.mktemp("twice")
    shop = datasets.clustered(users=120, items=80, events_per_user=20)
    extra = f'[evaluation]\ncut = "{_day(CUT)}"'
    before = build(datasets.write(until(shop, LAST_DAY), folder / "before", extra=extra), folder / "store", COLD)
    data = datasets.write(with_something_new(shop), folder / "after", extra=extra)
    return before, build(data, folder / "store", WARM), folder / "store"


def _day(moment: int) -> str:
    return str(np.datetime64(moment, "ms").astype("datetime64[D]"))


def test_a_warm_start_says_what_it_did(twice: Built) -> None:
    """From which snapshot, how many sweeps of how many, and the metrics and times of both."""
    before, after, _ = twice
    said = after.manifest.metrics["warm_start"]
    assert said["from"] == before.manifest.version
    assert (said["sweeps"], said["sweeps_cold"]) == (ials.WARM_EPOCHS, 10)
    assert said["evaluated_warm"] is True
    assert said["model_before"] == before.manifest.metrics["model"]
    assert said["fit_seconds_saved_estimated"] > 0
    assert said["model_cold"].keys() == said["model_before"].keys()
    assert min(said["sweeps_seconds"], said["sweeps_seconds_cold"]) > 0  # which is less, a busy machine may turn round
    assert "warm_start" not in before.manifest.metrics


def test_it_is_as_good_as_a_cold_one(twice: Built) -> None:
    """Within a twentieth, on the same test."""
    metrics = twice[1].manifest.metrics
    assert metrics["model"]["recall@20"] > 0.95 * metrics["warm_start"]["model_cold"]["recall@20"]


def test_what_is_kept_knows_nothing_after_the_cut(twice: Built) -> None:
    """An item that came later has no factors to start an evaluation from."""
    _, after, store = twice
    opened = open_store(store)
    version = after.manifest.version
    kept = arrays.load(opened.ensure(version, after.manifest.under(FOLDER)) / FOLDER)["evaluated"]
    snapshot = Snapshot.open(opened, version)
    new = next(row for row in range(len(kept)) if snapshot.catalogue.id(row) == "a new one")
    snapshot.close()
    assert not kept[new].any()
    assert kept.any(axis=1).sum() == 80


def test_an_evaluation_is_not_started_from_what_knows_its_answers() -> None:
    """A snapshot whose own cut was later than this one's saw events that are to be foretold."""
    vectors = np.ones((1, 2), np.float32)
    start = Start("v", {"a": 0}, vectors, 2 * vectors, CUT, {})
    assert start.for_evaluation(["a"], CUT - 1) is None
    found = start.for_evaluation(["b", "a"], CUT)
    assert found is not None
    assert found.tolist() == [[0, 0], [2, 2]]
    assert start.for_everything(["a", "b"]).tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("factors", "purchase", "more", "why"),
    [
        (4, "1.0", 0, "was built with other factors"),
        (8, "2.0", 0, "was built with other interactions"),
        (8, "1.0", 1000, "too many are new"),
        (8, "1.0", 10, ""),
    ],
)
def test_what_was_built_otherwise_is_no_start(
    twice: Built, tmp_path: Path, factors: int, purchase: str, more: int, why: str
) -> None:
    """Other factors, other weights, of much fewer events; the same are one."""
    _, after, store = twice
    data = datasets.write(datasets.clustered(users=8, items=8, events_per_user=2), tmp_path / "data")
    data.write_text(data.read_text().replace("purchase = 1.0", f"purchase = {purchase}"))
    events = after.manifest.counts["events"] + more
    found = find(open_store(store), load_dataset(data), Settings(factors=factors), events)
    if why:
        assert found.start is None
        assert after.manifest.version in found.why
        assert why in found.why
    else:
        assert found.start is not None
        assert found.start.version == after.manifest.version


def test_nothing_served_is_a_cold_start(tmp_path: Path) -> None:
    """The first build of a store."""
    said: list[str] = []
    data = datasets.write(datasets.clustered(users=60, items=48, events_per_user=12), tmp_path / "data")
    build(data, tmp_path / "store", WARM, say=said.append)
    assert said == ["cold start: nothing is served yet"]


def test_sweeps_are_timed_between_their_ends() -> None:
    """The first has no beginning that anybody told."""
    told: list[Any] = []
    times = iter([10.0, 11.0, 14.0])
    sweeps = SweepTimes(lambda *what: told.append(what), lambda: next(times))
    sweeps("fit popularity", 0, 1)
    for sweep in range(3):
        sweeps(ials.TRAINING, sweep + 1, 3)
    assert sweeps.seconds == 2.0
    assert len(told) == 4
