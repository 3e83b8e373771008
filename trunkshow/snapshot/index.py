"""Vector indexes of a partition. The one module that knows FAISS.

Which kind was chosen by measuring (docs/adr/0004-vector-index.md): below a few thousand vectors an exact flat scan is
as fast as anything; above, 4-bit product quantisation with one code per dimension, scanned in registers, its best
candidates re-scored exactly. Users' vectors, of which there are many more, are kept in half precision: a search takes
as long, and a product of unit vectors was seen to be off by 0.0002 at most.
Searches run on the calling thread: the caller's event loop owns one core, and a sub-millisecond search does not pay
for waking others.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before faiss loads OpenMP: its idle threads would spin

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int32]

FLAT_ITEMS_MAX = 3000
REFINE_FACTOR = 8
"""Quantised candidates re-scored exactly, per result asked for."""

TRAIN_ROUNDS = 10
TRAIN_POINTS = 64
"""Of k-means, and vectors for each centroid. FAISS's own 25 and 256 take seven times as long, half of the time that a
partition took to write; 8,000 made-up vectors then had 1.0000 of the best 20 where these have 0.9995."""

_NOT_GIVEN = (errno.ENOENT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
"""Errors of the system that are looked for in what FAISS says."""

faiss.omp_set_num_threads(1)


def factory_string(count: int, factors: int) -> str:
    """FAISS's name of the index kind for so many vectors."""
    return "Flat" if count <= FLAT_ITEMS_MAX else f"PQ{factors}x4fs,RFlat"


def factory_string_halved(count: int, factors: int) -> str:
    """The same for vectors that are kept in half precision."""
    return "SQfp16" if count <= FLAT_ITEMS_MAX else f"PQ{factors}x4fs,Refine(SQfp16)"


def build(vectors: Floats, path: Path, *, exact: bool = False) -> str:
    """Index (n, factors) float32 vectors by inner product, write the file, return its FAISS name.

    Raises:
        OSError: the file cannot be written.
    """
    kind = "Flat" if exact else factory_string(*vectors.shape)
    _build(kind, vectors, path)
    return kind


def build_halved(vectors: Floats, path: Path) -> str:
    """As `build`, in about half the room: what is scored are the vectors rounded to half precision."""
    kind = factory_string_halved(*vectors.shape)
    _build(kind, vectors, path)
    return kind


def _build(kind: str, vectors: Floats, path: Path) -> None:
    index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    contiguous = np.ascontiguousarray(vectors, np.float32)
    _train_briefly(index)
    index.train(contiguous)
    index.add(contiguous)
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise OSError(errno.EIO, f"{path.name}: {error}") from error


def _train_briefly(index: faiss.Index) -> None:
    """Have the quantiser learned from a few vectors: its 16 centroids on a line are soon where they belong."""
    if isinstance(index, faiss.IndexRefine):
        quantised: Any = faiss.downcast_index(index.base_index)
        learned = quantised.pq.cp
        learned.niter, learned.max_points_per_centroid = TRAIN_ROUNDS, TRAIN_POINTS


class VectorIndex:
    """An index file, loaded; its positions are the rows of the vectors that it was built from.

    Raises:
        OSError: there is no such file, or this machine is short of what it takes to open one, or its disk fails.
        MemoryError: there is no room for it.
        RuntimeError: it is no such file; what FAISS says.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise _of_system(str(error), path) or error from None
        if isinstance(self._index, faiss.IndexRefine):
            self._index.k_factor = REFINE_FACTOR

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, vector: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
        """Positions and inner products of the `count` best for one (factors,) vector, best first."""
        positions, scores = self.search_many(vector[None], count)
        return positions[0], scores[0]

    def search_many(self, vectors: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
        """As `search` for (n, factors) vectors: (n, count) positions and products."""
        count = min(count, len(self))
        if not count:  # faiss would not be asked for nothing, and a small shop may have a partition without users
            return np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
        scores, positions = self._index.search(np.ascontiguousarray(vectors), count)
        return positions, scores


def _of_system(text: str, path: Path) -> OSError | None:
    """What the system says of itself in an error of FAISS, which has but one kind; None where it says nothing.

    After a read that is merely too short FAISS tells whatever error came before: only those are believed that a file
    which is there, and can be opened by others, does not cause.
    """
    said = (code for code in _NOT_GIVEN if text.endswith((f": {os.strerror(code)}", f"({os.strerror(code)})")))
    code = next(said, None)
    return None if code is None else OSError(code, os.strerror(code), str(path))
