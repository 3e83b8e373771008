"""Named numpy arrays in a folder, one `.npy` file each, and columns of strings made of two of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Buffer


_PARSING = threading.Lock()
"""numpy parses an array's header as Python, and in Python 3.11, up to 3.11.7 at least, parsers of two threads take each
other's depth for their own where a garbage collection comes between: SystemError (python/cpython#106905)."""


def save(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write each array to `folder/NAME.npy`.

    Raises:
        ValueError: an object array, which could only be stored by pickling.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        if array.dtype.hasobject:
            message = f"array {name!r} holds objects; a snapshot holds numbers"
            raise ValueError(message)
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def load(folder: Path) -> dict[str, NDArray[Any]]:
    """Every array of the folder, mapped into memory, read-only."""
    return {path.stem: load_one(path) for path in sorted(folder.glob("*.npy"))}


def load_one(path: Path) -> NDArray[Any]:
    """One array, mapped into memory, read-only.

    The plain ndarray over the map, not numpy's memmap class, whose every slice costs microseconds.
    """
    with _PARSING:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    return cast("NDArray[Any]", mapped.view(np.ndarray))


class Strings:
    """A column of strings: UTF-8 text end to end, and where each one starts.

    Args:
        offsets: (n + 1,) int64.
        text: (bytes,) uint8.
    """

    def __init__(self, offsets: NDArray[np.int64], text: NDArray[np.uint8]) -> None:
        # Indexing a memoryview gives a Python int several times faster than indexing an array gives a scalar.
        self._offsets = memoryview(cast("Buffer", np.ascontiguousarray(offsets, np.int64)))
        self._text = memoryview(cast("Buffer", np.ascontiguousarray(text, np.uint8)))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> str:
        if row < 0:  # counted from the end it would be another string, or none
            raise IndexError(row)
        return str(self._text[self._offsets[row] : self._offsets[row + 1]], "utf-8")

    @staticmethod
    def pack(strings: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The two arrays of a column, ready to be saved."""
        encoded = [string.encode() for string in strings]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
        return offsets, np.frombuffer(b"".join(encoded), np.uint8)
