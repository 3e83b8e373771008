"""The bytes of a user in a partition's store, and those of a stand-in; `user_columns` writes them.

Little-endian, 12 bytes of header, then arrays; numpy reads the history's in place, without parsing and without a copy:

    format:u8  marked:u8  segment:i16  history:u32  scale:f32
    vector:f16[factors]  items:i32[history]  weights:f32[history]  times:u32[history]  marks:u8[history] where marked

The vector is divided by its largest component, the scale, so that half precision is as good for short vectors as for
long ones. The history is newest first; an item stands in it once, at its last time, with its summed weight. `times` are
seconds since the epoch. A history that is not marked is of items that the user had and did not hide: so it was before
there were marks (`trunkshow.marks`), and so it is with most data sets.

Records of format 1, of snapshots with schema 1, have no scale, and their vectors in single precision: they are read,
too.

A stand-in, the compact copy that another shard holds, has the same header and vector, and of the history the items:

    vector:f16[factors]  items:i32[history]  marks:u8[history] where marked

An item whose weight was not positive, such as one that was returned, stands as its complement (~row).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trunkshow import marks

FORMAT = 2
_HEADER = struct.Struct("<BBhIf")

FORMAT_BEFORE = 1
_HEADER_BEFORE = struct.Struct("<BBhI")

STAND_IN_FORMAT = 1

_F16 = np.dtype("<f2")
_F32 = np.dtype("<f4")
_I32 = np.dtype("<i4")
_U32 = np.dtype("<u4")
_U8 = np.dtype("u1")

UNMARKED = np.empty(0, _U8)


class UserRecord(NamedTuple):
    """A user as a partition knows them.

    Attributes:
        segment: code of the segment, -1 for none.
        vector: (factors,) float32 taste.
        items: (h,) int32 item rows, newest first.
        weights: (h,) float32.
        times: (h,) uint32 seconds since the epoch.
        marks: (h,) uint8 of the items (`trunkshow.marks`); empty where all of them are had, and none is hidden.
    """

    segment: int
    vector: NDArray[np.float32]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.uint32]
    marks: NDArray[np.uint8] = UNMARKED

    @property
    def had(self) -> NDArray[np.int32]:
        """The items that the user had, which need not be shown again where repeats are not wanted."""
        return self.items[self.marks & marks.HAD > 0] if len(self.marks) else self.items

    @property
    def hidden(self) -> NDArray[np.int32]:
        """The items that the user does not want to see."""
        return self.items[self.marks & marks.HIDDEN > 0] if len(self.marks) else self.items[:0]


class Neighbours(NamedTuple):
    """What several users had last, end to end.

    Attributes:
        near: how near each of them is, nearest first.
        counts: how many of the items are each one's.
        items: (n,) int32 item rows, each one's newest first.
        weights: (n,) float32.
    """

    near: list[float]
    counts: list[int]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]


NOBODY_NEAR = Neighbours([], [], np.empty(0, _I32), np.empty(0, _F32))


def decode(data: bytes | memoryview, factors: int) -> UserRecord:
    """The record in `data`; all but its vector views those bytes, and lives only as long as the store is open.

    Raises:
        ValueError: another format, or fewer bytes than the header says.
    """
    form, marked, segment, count = _header(_HEADER_BEFORE, data)  # which the one of now goes on from
    at = _history_at(form, factors)
    if form == FORMAT:
        vector = _vector(data, _header(_HEADER, data)[4], factors)
    else:
        vector = np.frombuffer(data, _F32, factors, _HEADER_BEFORE.size)
    return UserRecord(
        segment,
        vector,
        np.frombuffer(data, _I32, count, at),
        np.frombuffer(data, _F32, count, at + 4 * count),
        np.frombuffer(data, _U32, count, at + 8 * count),
        _marks(data, count, at + 12 * count) if marked else UNMARKED,
    )


def newest(
    found: Sequence[tuple[bytes | memoryview, float]], factors: int, most: int, but: NDArray[np.int32]
) -> Neighbours:
    """Copies of the newest items, up to `most`, of users and of their weights.

    A slate needs no more of thirty neighbours; to decode them takes more than three times as long.

    Args:
        found: records of one format, nearest first, each with how near it is.
        factors: of their vectors.
        most: items of each.
        but: (h,) whoever has just this history is left out.

    Raises:
        ValueError: another format, or fewer bytes than a header says.
    """
    near, counts, items, weights = [], [], [], []
    form = _header(_HEADER_BEFORE, found[0][0])[0] if found else FORMAT
    at, own = _history_at(form, factors), np.asarray(but, _I32).tobytes()
    for data, nearness in found:
        its, _, _, count = _header(_HEADER_BEFORE, data)
        middle = at + 4 * count
        if its != form or len(data) < middle + 8 * count:
            message = f"record of {len(data)} bytes, format {its}, {count} items among those of format {form}"
            raise ValueError(message)
        if count == len(but) and data[at:middle] == own:
            continue
        few = min(count, most)
        near.append(nearness)
        counts.append(few)
        items.append(data[at : at + 4 * few])
        weights.append(data[middle : middle + 4 * few])
    return Neighbours(near, counts, np.frombuffer(b"".join(items), _I32), np.frombuffer(b"".join(weights), _F32))


def _history_at(form: int, factors: int) -> int:
    """The byte at which a record's history begins."""
    if form == FORMAT:
        return _HEADER.size + 2 * factors
    if form == FORMAT_BEFORE:
        return _HEADER_BEFORE.size + 4 * factors
    message = f"user record of format {form}; this reads formats {FORMAT_BEFORE} and {FORMAT}"
    raise ValueError(message)


def decode_stand_in(data: bytes | memoryview, factors: int) -> UserRecord:
    """The record that a stand-in stands for: its vector rounded, every weight one (or minus one), no times.

    Its arrays are copies.

    Raises:
        ValueError: another format, or fewer bytes than the header says.
    """
    form, marked, segment, count, scale = _header(_HEADER, data)
    if form != STAND_IN_FORMAT:
        message = f"stand-in of format {form}; this reads format {STAND_IN_FORMAT}"
        raise ValueError(message)
    at = _HEADER.size + 2 * factors
    items = np.frombuffer(data, _I32, count, at)
    liked = items >= 0
    return UserRecord(
        segment,
        _vector(data, scale, factors),
        np.where(liked, items, ~items),
        np.where(liked, np.float32(1), np.float32(-1)),
        np.zeros(count, _U32),
        _marks(data, count, at + 4 * count).copy() if marked else UNMARKED,
    )


def _vector(data: bytes | memoryview, scale: float, factors: int) -> NDArray[np.float32]:
    """A record's vector, in single precision.

    Raises:
        ValueError: it has fewer bytes than that takes.
    """
    return np.frombuffer(data, _F16, factors, _HEADER.size) * np.float32(scale)


def _marks(data: bytes | memoryview, count: int, at: int) -> NDArray[np.uint8]:
    return np.frombuffer(data, _U8, count, at)


def _header(header: struct.Struct, data: bytes | memoryview) -> tuple[Any, ...]:
    try:
        return header.unpack_from(data)
    except struct.error as error:  # which is no ValueError
        message = f"record of {len(data)} bytes; its header alone has {header.size}"
        raise ValueError(message) from error
