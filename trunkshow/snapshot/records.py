"""The bytes of a user in a partition's store.

Little-endian, 8 bytes of header, then arrays that numpy reads in place, without parsing and without a copy:

    format:u8  reserved:u8  segment:i16  history:u32
    vector:f32[factors]  items:i32[history]  weights:f32[history]  times:u32[history]

The history is newest first; an item stands in it once, at its last time, with its summed weight. `times` are
seconds since the epoch.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
_HEADER = struct.Struct("<BBhI")

_F32 = np.dtype("<f4")
_I32 = np.dtype("<i4")
_U32 = np.dtype("<u4")


class UserRecord(NamedTuple):
    """A user as a partition knows them.

    Attributes:
        segment: code of the segment, -1 for none.
        vector: (factors,) float32 taste.
        items: (h,) int32 item rows, newest first.
        weights: (h,) float32.
        times: (h,) uint32 seconds since the epoch.
    """

    segment: int
    vector: NDArray[np.float32]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    times: NDArray[np.uint32]


def encode(record: UserRecord) -> bytes:
    """The record's bytes."""
    header = _HEADER.pack(FORMAT, 0, record.segment, len(record.items))
    columns = (
        np.ascontiguousarray(record.vector, _F32),
        np.ascontiguousarray(record.items, _I32),
        np.ascontiguousarray(record.weights, _F32),
        np.ascontiguousarray(record.times, _U32),
    )
    return b"".join((header, *(column.tobytes() for column in columns)))


def decode(data: bytes | memoryview, factors: int) -> UserRecord:
    """The record in `data`, its arrays viewing those bytes: they live only as long as the store is open.

    Raises:
        ValueError: another format, or fewer bytes than the header says.
    """
    form, _, segment, count = _HEADER.unpack_from(data)
    if form != FORMAT:
        message = f"user record of format {form}; this reads format {FORMAT}"
        raise ValueError(message)
    at = _HEADER.size
    vector = np.frombuffer(data, _F32, factors, at)
    at += 4 * factors
    items = np.frombuffer(data, _I32, count, at)
    weights = np.frombuffer(data, _F32, count, at + 4 * count)
    times = np.frombuffer(data, _U32, count, at + 8 * count)
    return UserRecord(segment, vector, items, weights, times)
