"""Recall@20, NDCG@20, coverage and novelty on three data sets, training seconds, and what they stand next to.

Each model is fitted and measured in a process of its own, all items ranked; what a user had before the cut is left out,
unless it may come back. Recall and NDCG are `builder.evaluate`'s. Coverage is the share of the catalogue that is in
anybody's twenty (Ge, Delgado-Battenfeld, Jannach: "Beyond Accuracy", RecSys 2010); novelty the mean self-information of
what is shown, -log2 of the share of users who had it (Vargas, Castells: "Rank and Relevance in Novelty and Diversity
Metrics for Recommender Systems", RecSys 2011): one bit more is half as popular. `fit s` is wall time, `fit cpu s`
processor time; `fit MB` peak resident memory, with the interpreter and the data.

Gowalla is not part of this repository: say where it is with --data or the environment variable GOWALLA. The data sets
are told of in `bench.accuracy_data`, the models in `bench.accuracy_models`; what shards answer is `bench.served`'s.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench import accuracy_data, tables
from bench.accuracy_data import Data
from bench.accuracy_models import MODELS
from builder import evaluate
from builder.evaluate import K, Scores, Test
from builder.largest import largest

GOALS = {("gowalla", "ials-256"): (0.174, 0.145), ("gowalla", "blend-256"): (0.187, 0.158)}
"""Recall@20 and NDCG@20 to reach."""

PUBLISHED = {
    "EASE": (0.177, 0.147),
    "LightGCN": (0.182, 0.155),
    "SimpleX": (0.187, 0.156),
    "UltraGCN": (0.186, 0.158),
}
"""As the papers report them on this split of Gowalla; not run here."""

DATA = ("gowalla", "dense", "demo")
_BLOCK = 512


def opened(name: str, path: Path | None) -> Data:
    """A data set by its name."""
    if name == "demo":
        return accuracy_data.of_demo()
    if name == "dense":
        return accuracy_data.made_up()
    assert path is not None
    return accuracy_data.of_gowalla(path)


def run(data: str, model: str, path: Path | None) -> dict[str, Any]:
    """Fit one model to one data set, and measure it."""
    given = opened(data, path)
    began, cpu = time.perf_counter(), time.process_time()
    scores = MODELS[model](given.training)
    fitted = {
        "fit_s": time.perf_counter() - began,
        "fit_cpu_s": time.process_time() - cpu,
        "fit_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return {"data": data, "model": model, **measured(given, scores), **fitted, "goal": GOALS.get((data, model))}


def measured(data: Data, scores: Scores) -> dict[str, float]:
    """All measures, of lists that are made once."""
    shown = lists(data.test, scores)
    place = {user: at for at, user in enumerate(data.test.users.tolist())}
    items = data.training.matrix.shape[1]

    def as_scores(users: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        found = np.zeros((len(users), items), np.float32)
        rows = shown[[place[user] for user in users.tolist()]]
        np.put_along_axis(found, rows, np.arange(K, 0, -1, dtype=np.float32)[None], axis=1)
        return found

    return {**evaluate.measure(data.test, as_scores), **beyond(data, shown)}


def lists(test: Test, scores: Scores) -> np.ndarray[Any, Any]:
    """(u, 20) items of every test user, best first, without what is hidden."""
    found = np.empty((len(test.users), K), np.int64)
    for at in range(0, len(test.users), _BLOCK):
        block = np.array(scores(test.users[at : at + _BLOCK]), np.float32)
        hidden = test.hidden[at : at + _BLOCK].tocoo()
        block[hidden.row, hidden.col] = -np.inf
        found[at : at + len(block)] = largest(block, K)
    return found


def beyond(data: Data, shown: np.ndarray[Any, Any]) -> dict[str, float]:
    """Coverage, 0 to 1, and novelty in bits."""
    users, items = data.training.matrix.shape
    had = np.maximum(np.bincount(data.training.matrix.indices, minlength=items), 1)
    return {
        "coverage": len(np.unique(shown)) / items,
        "novelty": float(-np.log2(had[shown] / users).mean()),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    columns = ("data", "model", "recall@20", "NDCG@20", "coverage", "novelty", "goal", "fit s", "fit cpu s", "fit MB")
    cells: list[tuple[object, ...]] = [
        (
            row["data"],
            row["model"],
            *(f"{row[name]:.4f}" for name in ("recall@20", "ndcg@20", "coverage")),
            f"{row['novelty']:.2f}",
            "" if row["goal"] is None else f"{row['goal'][0]} / {row['goal'][1]}",
            f"{row['fit_s']:.1f}",
            f"{row['fit_cpu_s']:.1f}",
            f"{row['fit_bytes'] / 1e6:.0f}",
        )
        for row in rows
    ]
    if any(row["data"] == "gowalla" for row in rows):
        cells += [
            ("gowalla", f"{name} (published)", str(at[0]), str(at[1]), *[""] * 6) for name, at in PUBLISHED.items()
        ]
    print(f"{tables.machine()}\n")
    tables.show(columns, cells)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GOWALLA"))
    parser.add_argument("--sets", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if "gowalla" in chosen.sets and (chosen.data is None or not Path(chosen.data).is_file()):
        parser.error("the Gowalla split is not part of the repository; say where it is with --data or GOWALLA")
    spawn = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for data in chosen.sets:
            for model in chosen.models:
                rows.append(pool.submit(run, data, model, chosen.data).result())
                print(json.dumps(rows[-1]), file=sys.stderr)  # a run of an hour may be ended
    if chosen.json:
        json.dump({"machine": tables.machine(), "rows": rows, "published": PUBLISHED}, sys.stdout, indent=2)
        print()
    else:
        _show(rows)


if __name__ == "__main__":
    main()
