"""A whole build beside the training library alone on the same matrix: seconds of every stage, and peak memory.

Everything runs in processes of its own, one at a time. The library fits the build's matrix before the build and after
it: irspack's IALS++ with the build's settings and threads, timed without reading and imports. Between them `trunkshow
build` reads, evaluates, fits, writes and publishes. The quotient is shown by the clock, and by processor seconds as
well, which other work on the machine changes less. With `--evaluate holdout-fit` a build fits twice, and cannot come
below 1.9.

Peak memory is that of the build's process tree, sampled: the sum of proportional shares (PSS), in which a page that two
processes map counts once, and the sum of resident sets, in which it counts twice.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import made_up, tables
from bench.growth import people

SAMPLED_USERS = 20_000
"""Of whom it is seen how long histories come out."""


@dataclass(frozen=True)
class Shape:
    """How large a data set is.

    Attributes:
        events: rows, about: they are drawn.
        users: all of whom occur.
        items: most of which do.
    """

    events: int
    users: int
    items: int

    @property
    def shop(self) -> people.Shop:
        """Shoppers who do about so much."""
        wanted, sampled = self.events / self.users, min(self.users, SAMPLED_USERS)
        longer = wanted / people.HISTORY_MIN
        for _ in range(2):  # an item comes once in a history, the less often the shorter that is
            found = sum(len(users) for users, _ in people.interactions(people.Shop(sampled, self.items, longer)))
            longer *= wanted * sampled / found
        return people.Shop(self.users, self.items, longer)


FULL = Shape(10_000_000, 1_000_000, 100_000)
SMALL = Shape(100_000, 10_000, 2_000)
FACTORS = 64
RATIO_MAX = 1.3
PEAK_BYTES_MAX = 6 << 30
SAMPLE_S = 0.25


@dataclass(frozen=True)
class Fit:
    """What the library took alone.

    Attributes:
        seconds: by the clock.
        cpu_s: processor seconds.
        cells: of the matrix.
    """

    seconds: float
    cpu_s: float
    cells: int


def library(dataset: Path, threads: int) -> Fit:
    """Fit a build's matrix by the library alone."""
    from builder import training
    from builder.dataset import load_dataset
    from builder.events import read_events
    from builder.tables import read_users
    from trunkshow.models.protocol import Settings

    loaded = load_dataset(dataset)
    events, _ = read_events(loaded)
    settings = Settings(factors=FACTORS, threads=threads)
    matrix = training.number(loaded, events, None, read_users(loaded), settings).training.matrix
    return Fit(*_fit_seconds(matrix, settings), int(matrix.nnz))


def _fit_seconds(matrix: Any, settings: Any) -> tuple[float, float]:
    """By the clock, and of processors."""
    from irspack.recommenders.ials import IALSRecommender

    from trunkshow.models.ials import _damp

    damped = _damp(matrix)[0]
    began, cpu = time.perf_counter(), time.process_time()
    learner = IALSRecommender(
        damped,
        n_components=settings.factors,
        alpha0=settings.unobserved_ratio * float(damped.data.sum()) / (damped.shape[0] * damped.shape[1]),
        reg=settings.regularization,
        nu=1.0,
        loss_type="IALSPP",
        solver_type="IALSPP",
        random_seed=settings.seed,
        n_threads=settings.threads,
        train_epochs=settings.epochs,
    )
    learner.start_learning()
    for _ in range(settings.epochs):
        learner.run_epoch()
    return time.perf_counter() - began, time.process_time() - cpu


def build(dataset: Path, store: Path, threads: int, workers: int | None, protocol: str) -> dict[str, Any]:
    """Run `trunkshow build` as a person would; its report, and what it took."""
    command = [sys.executable, "-m", "cli.main", "build", str(dataset), "--store", str(store), "--json"]
    command += ["--threads", str(threads), "--factors", str(FACTORS), "--evaluate", protocol]
    command += [] if workers is None else ["--workers", str(workers)]
    began, cpu = time.perf_counter(), _children_cpu_s()
    with (store.parent / "report.json").open("w+b") as said, subprocess.Popen(command, stdout=said) as process:
        pss, rss = _watched(process)
        took = time.perf_counter() - began
        said.seek(0)
        if process.returncode:
            sys.exit(f"the build ended with {process.returncode}")
        report: dict[str, Any] = json.load(said)
    return {
        "seconds": took,
        "cpu_s": _children_cpu_s() - cpu,
        "stages": report["seconds"],
        "peak_pss_bytes": pss,
        "peak_rss_sum_bytes": rss,
        "workers": report["crew"]["workers"],
        "protocol": report["metrics"]["protocol"],
        "metrics": report["metrics"]["model"],
        "index_recall": report["index_recall"],
        "snapshot_bytes": sum(path.stat().st_size for path in store.rglob("*") if path.is_file()),
        "counts": {name: report[name] for name in ("events", "users", "items", "partitions")},
    }


def _children_cpu_s() -> float:
    """Of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watched(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Peak sums over a process and all below it, until it ends: proportional shares, and resident sets."""
    root, pss, rss = psutil.Process(process.pid), 0, 0
    while process.poll() is None:
        shares, sets = 0, 0
        with suppress(psutil.Error):
            for one in [root, *root.children(recursive=True)]:
                with suppress(psutil.Error):
                    taken = one.memory_full_info()
                    shares, sets = shares + taken.pss, sets + taken.rss
        pss, rss = max(pss, shares), max(rss, sets)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SAMPLE_S)
    return pss, rss


def measure(folder: Path, shape: Shape, form: str, threads: int, workers: int | None, protocol: str) -> dict[str, Any]:
    """The library, a build, and the library again."""
    dataset = _apart(_make_up, folder, shape, form)
    fits = [_apart(library, dataset, threads)]
    built = build(dataset, folder / "store", threads, workers, protocol)
    fits.append(_apart(library, dataset, threads))
    return {
        **built,
        "cells": fits[0].cells,
        "library_s": [one.seconds for one in fits],
        "by_one_fit": built["seconds"] / statistics.median(one.seconds for one in fits),
        "by_its_processor_seconds": built["cpu_s"] / statistics.median(one.cpu_s for one in fits),
    }


def _make_up(folder: Path, shape: Shape, form: str) -> Path:
    return made_up.write(folder, "build", made_up.frame_of(people.events(shape.shop)), form)


def _apart(do: Any, *arguments: Any) -> Any:
    """In a process of its own, which gives its memory back."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(do, *arguments).result()


def _show(found: dict[str, Any]) -> None:
    print(f"{tables.machine()}\n")
    rows: list[tuple[str, float, float]] = [
        (name, seconds, seconds / found["seconds"]) for name, seconds in found["stages"].items()
    ]
    tables.show(("stage", "seconds", "share"), [*rows, ("whole build", found["seconds"], 1.0)])
    print()
    gib = 2**30
    tables.show(
        ("library (s)", "÷ the fit", "÷, processor s", "peak PSS GiB", "sum of RSS GiB"),
        [
            (
                statistics.median(found["library_s"]),
                found["by_one_fit"],
                found["by_its_processor_seconds"],
                found["peak_pss_bytes"] / gib,
                found["peak_rss_sum_bytes"] / gib,
            )
        ],
    )
    print(
        f"\naims: ÷ ≤ {RATIO_MAX}, peak ≤ {PEAK_BYTES_MAX / gib:.0f} GiB; {found['counts']}, {found['cells']:,} cells,"
    )
    print(f"{found['workers']} workers, index recall {found['index_recall']:.4f},")
    print(f"{found['metrics']} by the protocol {found['protocol']},")
    print(f"snapshot of {found['snapshot_bytes'] / gib:.2f} GiB")


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smoke run: 100,000 events")
    parser.add_argument("--events", type=int)
    parser.add_argument("--users", type=int)
    parser.add_argument("--items", type=int)
    parser.add_argument("--form", choices=("csv", "jsonl", "parquet"), default="csv")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count() or 1, help="of the library, in both")
    parser.add_argument("--workers", type=int, help="of the build; what it chooses by itself where left out")
    parser.add_argument("--evaluate", choices=("auto", "holdout-fit", "held-back"), default="held-back")
    parser.add_argument("--work", type=Path, help="a folder for the data and the store, with room for some GiB")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    base = SMALL if chosen.small else FULL
    shape = Shape(chosen.events or base.events, chosen.users or base.users, chosen.items or base.items)
    if chosen.work is not None:
        chosen.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
        found = measure(Path(folder), shape, chosen.form, chosen.threads, chosen.workers, chosen.evaluate)
    if chosen.json:
        json.dump({"machine": tables.machine(), **found}, sys.stdout, indent=2)
        print()
        return
    _show(found)


if __name__ == "__main__":
    main()
