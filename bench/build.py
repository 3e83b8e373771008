"""A whole build beside the training library alone on the same matrix: seconds of every stage, and peak memory.

Everything runs in processes of its own, one at a time. The library fits the build's matrices before the build and after
it: irspack's IALS++ with the build's settings and threads, timed without reading and imports. Between them `trunkshow
build` reads, evaluates, fits, writes and publishes. A build fits twice, on a part to evaluate and on everything, so
both quotients are shown: by one fit of the whole matrix, and by the two fits that a build makes; and the latter by
processor seconds as well, which other work on the machine changes less.

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
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import build_data, tables
from bench.build_data import Shape

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
        whole_s: on the matrix of everything.
        before_s: on the matrix up to the evaluation's cut.
        cpu_s: processor seconds of both.
        cells: of the whole matrix.
    """

    whole_s: float
    before_s: float
    cpu_s: float
    cells: int


def library(dataset: Path, threads: int) -> Fit:
    """Fit both of a build's matrices by the library alone."""
    from builder import evaluate, training
    from builder.dataset import load_dataset
    from builder.events import read_events
    from builder.tables import read_users
    from trunkshow.models.protocol import Settings

    loaded = load_dataset(dataset)
    events, _ = read_events(loaded)
    users, settings = read_users(loaded), Settings(factors=FACTORS, threads=threads)
    before = events.times < evaluate.cut_time(events, loaded.evaluation)
    taken = []
    for up_to in (before, None):
        matrix = training.number(loaded, events, None, users, settings, up_to=up_to).training.matrix
        taken.append(_fit_seconds(matrix, settings))
    (before_s, before_cpu_s), (whole_s, whole_cpu_s) = taken
    return Fit(whole_s, before_s, before_cpu_s + whole_cpu_s, int(matrix.nnz))


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


def build(dataset: Path, store: Path, threads: int, workers: int | None) -> dict[str, Any]:
    """Run `trunkshow build` as a person would; its report, and what it took."""
    command = [sys.executable, "-m", "cli.main", "build", str(dataset), "--store", str(store), "--json"]
    command += ["--threads", str(threads), "--factors", str(FACTORS)]
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


def measure(folder: Path, shape: Shape, form: str, threads: int, workers: int | None) -> dict[str, Any]:
    """The library, a build, and the library again."""
    dataset = _apart(build_data.write, folder, shape, form)
    fits = [_apart(library, dataset, threads)]
    built = build(dataset, folder / "store", threads, workers)
    fits.append(_apart(library, dataset, threads))
    whole, before, cpu = (statistics.median(column) for column in list(zip(*map(astuple, fits), strict=True))[:3])
    return {
        **built,
        "cells": fits[0].cells,
        "library_s": [one.whole_s for one in fits],
        "library_evaluation_s": [one.before_s for one in fits],
        "by_one_fit": built["seconds"] / whole,
        "by_its_two_fits": built["seconds"] / (whole + before),
        "by_their_processor_seconds": built["cpu_s"] / cpu,
    }


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
        (
            "library, whole (s)",
            "library, evaluation (s)",
            "÷ one fit",
            "÷ both",
            "÷ both, processor s",
            "peak PSS GiB",
            "sum of RSS GiB",
        ),
        [
            (
                statistics.median(found["library_s"]),
                statistics.median(found["library_evaluation_s"]),
                found["by_one_fit"],
                found["by_its_two_fits"],
                found["by_their_processor_seconds"],
                found["peak_pss_bytes"] / gib,
                found["peak_rss_sum_bytes"] / gib,
            )
        ],
    )
    print(
        f"\naims: ÷ ≤ {RATIO_MAX}, peak ≤ {PEAK_BYTES_MAX / gib:.0f} GiB; {found['counts']}, {found['cells']:,} cells,"
    )
    print(f"{found['workers']} workers, index recall {found['index_recall']:.4f}, {found['metrics']},")
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
    parser.add_argument("--work", type=Path, help="a folder for the data and the store, with room for some GiB")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    base = SMALL if chosen.small else FULL
    shape = Shape(chosen.events or base.events, chosen.users or base.users, chosen.items or base.items)
    with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
        found = measure(Path(folder), shape, chosen.form, chosen.threads, chosen.workers)
    if chosen.json:
        json.dump({"machine": tables.machine(), **found}, sys.stdout, indent=2)
        print()
        return
    _show(found)


if __name__ == "__main__":
    main()
