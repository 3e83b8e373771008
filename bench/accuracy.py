"""Recall@20 and NDCG@20 on the Gowalla split, what they cost, and what they stand next to.

Each model is fitted and measured in a process of its own, by `builder.evaluate`'s own measures; `fit s` and
`fit MB` (peak resident memory, with the interpreter and the data) end with the fit, `whole s` includes folding in
and ranking all items for all users. The data set is not part of this repository: say where it is with --data or
the environment variable GOWALLA.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags

from bench import gowalla, tables
from builder import evaluate
from builder.evaluate import Scores
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Settings

THREADS = 2
GOALS = {"ials-256": (0.174, 0.145), "blend": (0.187, 0.158)}
"""Recall@20 and NDCG@20 to reach."""

PUBLISHED = {
    "EASE": (0.177, 0.147),
    "LightGCN": (0.182, 0.155),
    "SimpleX": (0.187, 0.156),
    "UltraGCN": (0.186, 0.158),
}
"""As the papers report them on this split; not run here."""

NEIGHBOUR_USER_EXPONENT = 0.5
NEIGHBOUR_ITEM_EXPONENT = 0.35
BLEND_NEIGHBOURS = 0.3
"""Share of the neighbours' scores in the blend."""


def popularity(matrix: csr_matrix) -> Scores:
    """How many users an item has, the same for everyone."""
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float32)
    return lambda users: np.broadcast_to(counts, (len(users), len(counts)))


def implicit(alpha: float) -> Callable[[csr_matrix], Scores]:
    """The library `implicit` with 64 factors, an observed cell weighing `alpha` times an unobserved one."""

    def fitted(matrix: csr_matrix) -> Scores:
        from implicit.als import AlternatingLeastSquares

        learner = AlternatingLeastSquares(factors=64, alpha=alpha, random_state=0, num_threads=THREADS)
        learner.fit(matrix, show_progress=False)
        return _products(learner.user_factors, learner.item_factors)

    return fitted


def ials(factors: int, **chosen: float) -> Callable[[csr_matrix], Scores]:
    """Our factor model, its users folded in as a shard does it."""

    def fitted(matrix: csr_matrix) -> Scores:
        settings = Settings(factors=factors, threads=THREADS, **chosen)  # type: ignore[arg-type]
        model = ImplicitALS.open(ImplicitALS.fit(gowalla.training(matrix, settings)))
        folded: dict[str, Floats] = {}

        def scores(users: Any) -> Floats:
            if not folded:
                folded["all"] = model.user_vectors(matrix)
            return _products(folded["all"], model.vectors)(users)

        return scores

    return fitted


def neighbours(matrix: csr_matrix) -> Scores:
    """Items by how many users they share, both sides damped: A Rᵀ R with R = D_user^-p A D_item^-q."""
    user_degrees = np.maximum(np.diff(matrix.indptr), 1)
    item_degrees = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
    damped = diags(user_degrees**-NEIGHBOUR_USER_EXPONENT) @ matrix @ diags(item_degrees**-NEIGHBOUR_ITEM_EXPONENT)
    similar = (damped.T @ damped).astype(np.float32).tocsr()
    return lambda users: (matrix[users] @ similar).toarray()


def blend(matrix: csr_matrix) -> Scores:
    """The factor model with 256 factors and the neighbours, each user's scores of both as z-scores."""
    factors, near = ials(256)(matrix), neighbours(matrix)
    return lambda users: (1 - BLEND_NEIGHBOURS) * _z(factors(users)) + BLEND_NEIGHBOURS * _z(near(users))


MODELS: dict[str, Callable[[csr_matrix], Scores]] = {
    "popularity": popularity,
    "implicit-64": implicit(alpha=1.0),  # as it comes
    "implicit-64-weighted": implicit(alpha=50.0),  # the weight of ours, about; the best of 1, 10, 20 and 50
    "ials-64": ials(64),
    "ials-256": ials(256),
    "item-knn": neighbours,
    "blend": blend,
}


def run(name: str, path: Path) -> dict[str, Any]:
    """Fit one model, and measure it."""
    matrix, test = gowalla.read(path)
    began = time.perf_counter()
    scores = MODELS[name](matrix)
    fit_s, fit_bytes = time.perf_counter() - began, _peak_bytes()
    measured = evaluate.measure(test, scores)
    return {
        "model": name,
        **measured,
        "fit_s": fit_s,
        "fit_bytes": fit_bytes,
        "whole_s": time.perf_counter() - began,
        "whole_bytes": _peak_bytes(),
        "goal": GOALS.get(name),
    }


def _products(users: Floats, items: Floats) -> Scores:
    transposed = np.ascontiguousarray(items.T)
    return lambda rows: users[rows] @ transposed


def _z(scores: Floats) -> Floats:
    centred: Floats = scores - scores.mean(axis=1, keepdims=True)
    scaled: Floats = centred / (centred.std(axis=1, keepdims=True) + 1e-9)
    return scaled


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _show(rows: list[dict[str, Any]]) -> None:
    columns = ("model", "recall@20", "NDCG@20", "goal", "fit s", "fit MB", "whole s", "whole MB")
    cells: list[tuple[object, ...]] = [
        (
            row["model"],
            f"{row['recall@20']:.4f}",
            f"{row['ndcg@20']:.4f}",
            "" if row["goal"] is None else f"{row['goal'][0]} / {row['goal'][1]}",
            f"{row['fit_s']:.1f}",
            f"{row['fit_bytes'] / 1e6:.0f}",
            f"{row['whole_s']:.1f}",
            f"{row['whole_bytes'] / 1e6:.0f}",
        )
        for row in rows
    ]
    cells += [(f"{name} (published)", str(at[0]), str(at[1]), *[""] * 5) for name, at in PUBLISHED.items()]
    print(f"{tables.machine()}\n")
    tables.show(columns, cells)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GOWALLA"))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.data is None or not Path(chosen.data).is_file():
        parser.error("the Gowalla split is not part of the repository; say where it is with --data or GOWALLA")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        rows = [pool.submit(run, name, Path(chosen.data)).result() for name in chosen.models]
    if chosen.json:
        json.dump({"machine": tables.machine(), "rows": rows, "published": PUBLISHED}, sys.stdout, indent=2)
        print()
    else:
        _show(rows)


if __name__ == "__main__":
    main()
