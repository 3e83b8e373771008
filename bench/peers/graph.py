"""The FAISS index that KServe's model and Jina's executors search: an HNSW graph like those that the databases build.

By inner product: FAISS's own graph finds as much with efSearch 34 as with 257 by distance, of vectors made as long as
one another, which other peers need (`bench.peers.data.of_one_length`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss

from bench.peers.data import Floats
from bench.peers.protocol import GRAPH_EFFORT, GRAPH_LINKS


def make(vectors: Floats, path: Path) -> None:
    """Index vectors, on one thread, and write the file; where it is there, that was done before."""
    if path.exists():
        return
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], GRAPH_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = GRAPH_EFFORT
    index.add(vectors)
    part = path.with_suffix(".part")
    faiss.write_index(index, str(part))
    part.rename(path)


def read(path: Path) -> Any:
    """The index, searched by the thread that asks."""
    faiss.omp_set_num_threads(1)
    return faiss.read_index(str(path))
