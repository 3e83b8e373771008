"""Sparse matrices as named arrays, which can be mapped from files, and some of their rows as a matrix again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Named = Mapping[str, NDArray[Any]]


def named(name: str, matrix: csr_matrix) -> dict[str, NDArray[Any]]:
    """The arrays of a matrix, by names that begin with its own."""
    return {
        f"{name}_data": matrix.data,
        f"{name}_indices": matrix.indices,
        f"{name}_indptr": matrix.indptr,
        f"{name}_width": np.array([matrix.shape[1]], np.int64),
    }


def has(arrays: Named, name: str) -> bool:
    """Whether a matrix of this name is among the arrays."""
    return f"{name}_indptr" in arrays


def row(arrays: Named, name: str, number: int) -> NDArray[np.int32]:
    """(n,) columns that one row of the matrix has."""
    bounds = arrays[f"{name}_indptr"]
    columns: NDArray[np.int32] = arrays[f"{name}_indices"][bounds[number] : bounds[number + 1]]
    return columns


def rows(arrays: Named, name: str, numbers: NDArray[Any]) -> csr_matrix:
    """The (n, width) matrix of these rows, copied; the rest is not read."""
    starts, stops = arrays[f"{name}_indptr"][numbers], arrays[f"{name}_indptr"][numbers + 1]
    indptr = np.concatenate([[0], np.cumsum(stops - starts)])
    where = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], stops - starts)
    shape = (len(numbers), int(arrays[f"{name}_width"][0]))
    return csr_matrix((arrays[f"{name}_data"][where], arrays[f"{name}_indices"][where], indptr), shape=shape)
