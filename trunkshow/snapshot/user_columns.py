"""Many users' records and stand-ins, written: the bytes that `trunkshow.snapshot.records` describes, and reads.

What can be computed of all users is computed of all; of one there are then but slices to be joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from trunkshow import marks
from trunkshow.snapshot import records

_HEADER = np.dtype([("form", "u1"), ("marked", "u1"), ("segment", "<i2"), ("history", "<u4"), ("scale", "<f4")])


@dataclass(frozen=True)
class UserColumns:
    """Users as a builder has them, column by column, their histories end to end, each newest first.

    Attributes:
        segments: (n,) codes, -1 for none.
        vectors: (n, factors) float32 tastes.
        starts: (n + 1,) where each history starts, and the last one ends.
        items: (h,) int32 item rows.
        weights: (h,) float32.
        times: (h,) uint32 seconds since the epoch.
        marks: (h,) uint8 of the items (`trunkshow.marks`).
    """

    segments: NDArray[np.integer]
    vectors: NDArray[np.float32]
    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.uint32]
    marks: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.segments)

    def encoded(self) -> Iterator[bytes]:
        """Each user's record."""
        yield from self._joined(
            records.FORMAT, _Slices(self.items, "<i4"), _Slices(self.weights, "<f4"), _Slices(self.times, "<u4")
        )

    def stand_ins(self) -> Iterator[bytes]:
        """Each user's compact record."""
        yield from self._joined(
            records.STAND_IN_FORMAT, _Slices(np.where(self.weights > 0, self.items, ~self.items), "<i4")
        )

    def _joined(self, form: int, *histories: _Slices) -> Iterator[bytes]:
        scales = np.abs(self.vectors).max(axis=1, initial=0)
        scales[scales == 0] = 1
        marked = self._marked()
        headers = self._headers(form=form, marked=marked, scale=scales)
        vectors, of_items = _Slices(self.vectors / scales[:, None], "<f2"), _Slices(self.marks, "u1")
        ends = self.starts.tolist()
        for user, is_marked in enumerate(marked.tolist()):
            start, stop = ends[user], ends[user + 1]
            pieces = [headers[user], vectors[user], *(column.between(start, stop) for column in histories)]
            yield b"".join([*pieces, of_items.between(start, stop)] if is_marked else pieces)

    def _marked(self) -> NDArray[np.bool_]:
        """(n,) whether a user's marks say more than that all was had."""
        unlike = np.concatenate([[0], np.cumsum(self.marks != marks.HAD)])
        told: NDArray[np.bool_] = unlike[self.starts[1:]] > unlike[self.starts[:-1]]
        return told

    def _headers(self, **more: Any) -> _Slices:
        headers = np.empty((len(self), 1), _HEADER)
        for name, values in {**more, "segment": self.segments, "history": np.diff(self.starts)}.items():
            headers[name][:, 0] = values
        return _Slices(headers, _HEADER)


class _Slices:
    """An array's bytes, a row or some entries at a time.

    Args:
        values: (n,) or (n, m).
        kind: as which they are written.
    """

    def __init__(self, values: NDArray[Any], kind: str | np.dtype[Any]) -> None:
        written = np.ascontiguousarray(values, kind)
        self._bytes = memoryview(cast("Any", written.reshape(-1).view(np.uint8)))
        self._entry = written.itemsize
        self._row = written.itemsize * (written.shape[1] if written.ndim > 1 else 1)

    def __getitem__(self, row: int) -> memoryview:
        return self._bytes[row * self._row : (row + 1) * self._row]

    def between(self, start: int, stop: int) -> memoryview:
        """Entries from `start` on, before `stop`."""
        return self._bytes[start * self._entry : stop * self._entry]
