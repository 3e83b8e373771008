"""Vector index kinds by size: microseconds per query on one thread, recall beside an exact scan, bytes.

Vectors are drawn from a Gaussian, or, with `--items PATH`, are the item factors of our model fitted on the Gowalla
split (`bench.gowalla`), queried with its users' vectors. `hot` asks one index again and again; `cold` goes round up
to 64 copies of it, 128 MB where that suffices, as a shard goes round its partitions: a processor's caches hold one of
them, and not all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before faiss loads OpenMP

import faiss
import numpy as np
from numpy.typing import NDArray

from bench import tables

Floats = NDArray[np.float32]

FACTORS = 64
SIZES = (1000, 2000, 4000, 6000, 10_000, 20_000, 40_000, 100_000)
COUNTS = (20, 100)
QUERIES = 200
TURNS = 5
COLD_BYTES = 128 << 20
COLD_COPIES_MAX = 64


class Kind(NamedTuple):
    """An index to try.

    Attributes:
        factory: FAISS's name of it.
        refine: candidates re-scored exactly per result asked for; 0 where it does not refine.
    """

    factory: str
    refine: int = 0

    def __str__(self) -> str:
        return f"{self.factory} x{self.refine}" if self.refine else self.factory


KINDS = (
    Kind("Flat"),
    Kind("SQfp16"),
    Kind("PQ32x4fs,RFlat", 4),
    Kind("PQ32x4fs,RFlat", 8),
    Kind("PQ64x4fs,RFlat", 2),
    Kind("PQ64x4fs,RFlat", 4),
    Kind("PQ64x4fs,RFlat", 8),
)


def measure(name: str, vectors: Floats, queries: Floats, kinds: Sequence[Kind]) -> Iterator[dict[str, Any]]:
    """Every kind over the same vectors, in turns."""
    opened = [_build(kind, vectors) for kind in kinds]
    exact = _build(Kind("Flat"), vectors)
    files = [len(faiss.serialize_index(index)) for index in opened]
    herds = [_herd(index, size) for index, size in zip(opened, files, strict=True)]
    for count in COUNTS:
        wanted = exact.search(queries, count)[1]
        hot: list[list[float]] = [[] for _ in kinds]
        cold: list[list[float]] = [[] for _ in kinds]
        for _ in range(TURNS):
            for at, index in enumerate(opened):
                hot[at].append(_query_us([index], queries, count))
                cold[at].append(_query_us(herds[at], queries, count))
        for at, kind in enumerate(kinds):
            found = opened[at].search(queries, count)[1]
            yield {
                "vectors": name,
                "size": len(vectors),
                "count": count,
                "kind": str(kind),
                "hot_us": statistics.median(hot[at]),
                "cold_us": statistics.median(cold[at]),
                "recall": _overlap(found, wanted),
                "bytes": files[at],
            }


def _build(kind: Kind, vectors: Floats) -> Any:
    index: Any = faiss.index_factory(vectors.shape[1], kind.factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    if kind.refine:
        index.k_factor = kind.refine
    return index


def _herd(index: Any, size: int) -> list[Any]:
    copies = min(COLD_COPIES_MAX, max(2, COLD_BYTES // size))
    data = faiss.serialize_index(index)
    herd: list[Any] = [faiss.deserialize_index(data) for _ in range(copies)]
    for copy in herd:
        if hasattr(index, "k_factor"):
            copy.k_factor = index.k_factor
    return herd


def _query_us(indexes: Sequence[Any], queries: Floats, count: int) -> float:
    """Microseconds of this thread's processor time per query."""
    began = time.thread_time()
    for at in range(len(queries)):
        indexes[at % len(indexes)].search(queries[at : at + 1], count)
    return (time.thread_time() - began) / len(queries) * 1e6


def _overlap(found: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    return float(np.mean([len(np.intersect1d(*pair)) / len(pair[1]) for pair in zip(found, wanted, strict=True)]))


def gaussian(sizes: Sequence[int]) -> Iterator[tuple[str, Floats, Floats]]:
    """Vectors without any structure, the hardest to quantise."""
    draw = np.random.default_rng(0)
    for size in sizes:
        vectors, queries = (draw.standard_normal((count, FACTORS)).astype(np.float32) for count in (size, QUERIES))
        yield "gaussian", vectors, queries


def fitted(path: Path, sizes: Sequence[int]) -> Iterator[tuple[str, Floats, Floats]]:
    """Item factors of our model, a random part of them at each size, and users' vectors to ask with."""
    from bench import gowalla
    from trunkshow.models.ials import ImplicitALS
    from trunkshow.models.protocol import Settings

    matrix, _ = gowalla.read(path)
    model = ImplicitALS.open(ImplicitALS.fit(gowalla.training(matrix, Settings(factors=FACTORS, threads=2))))
    draw = np.random.default_rng(0)
    queries = model.user_vectors(matrix[draw.choice(matrix.shape[0], QUERIES, replace=False)])
    for size in (*(size for size in sizes if size < len(model.vectors)), len(model.vectors)):
        rows = np.sort(draw.choice(len(model.vectors), size, replace=False))
        yield "ials", np.ascontiguousarray(model.vectors[rows]), queries


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, default=os.environ.get("GOWALLA"), help="the Gowalla split as Parquet")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    faiss.omp_set_num_threads(1)
    sets = [gaussian(chosen.sizes)] + ([fitted(Path(chosen.items), chosen.sizes)] if chosen.items else [])
    rows = [row for drawn in sets for one in drawn for row in measure(*one, KINDS)]
    if chosen.json:
        json.dump({"machine": tables.machine(), "rows": rows}, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    print(f"{tables.machine()}\n")
    columns = ("vectors", "size", "top", "kind", "hot us", "cold us", "recall", "MB")
    tables.show(
        columns,
        [
            (
                row["vectors"],
                row["size"],
                row["count"],
                row["kind"],
                row["hot_us"],
                row["cold_us"],
                f"{row['recall']:.4f}",
                row["bytes"] / 1e6,
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
