"""One search of a partition's item index, by how many items it lists: processor time of one thread.

Measured apart from requests, since it is a small part of what one takes, and the only part that grows with what is
listed.
Vectors are random ones, in indexes as the builder makes them; how fast a search is does not hang on what they are.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trunkshow.snapshot.index import VectorIndex, build

SIZES = (300, 3000, 10_000, 30_000, 100_000)
FACTORS = 64
ASKED_FOR = 40
"""Candidates: those whom the user had are left out of them."""

QUERIES, ROUNDS = 100, 5


def measure(sizes: Sequence[int] = SIZES) -> list[dict[str, float]]:
    """`listed` and `ms` of each size: the least of some rounds, since others can only make it longer."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            draw = np.random.default_rng(size)
            build(draw.standard_normal((size, FACTORS)).astype(np.float32), Path(folder) / "items.faiss")
            index = VectorIndex(Path(folder) / "items.faiss")
            queries = draw.standard_normal((QUERIES, FACTORS)).astype(np.float32)
            found.append({"listed": float(size), "ms": min(_round_ms(index, queries) for _ in range(ROUNDS))})
    return found


def _round_ms(index: VectorIndex, queries: NDArray[np.float32]) -> float:
    began = time.thread_time()
    for query in queries:
        index.search(query, ASKED_FOR)
    return (time.thread_time() - began) / len(queries) * 1000
