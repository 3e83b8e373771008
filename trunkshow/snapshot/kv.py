"""Key–value files, written once in order and then only read. The one module that knows LMDB.

A file is opened without locks and read through one transaction that lives as long as the store: nothing ever writes
to it again, so there is nothing to lock against, and a value can be read where it lies in the page cache.

A process may map a file once, and a transaction belongs to one thread at a time: readers of the same file share the
map, each with a transaction of its own, and the last one to close gives the file back.

LMDB tells of a machine short of memory or descriptors by errors of its own, which are neither `MemoryError` nor
`OSError`; here they are the latter, so that nobody takes them for a fault of the file.
"""

from __future__ import annotations

import copy
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Self

import lmdb

_GROWTH = 64 << 20

_OF_THE_FILE = frozenset({errno.EBADF, errno.EINVAL})
"""System errors by which LMDB tells of a file that is none of its own."""


def write(path: Path, pairs: Iterable[tuple[bytes, bytes]]) -> int:
    """Write a new file from pairs in ascending, unique order of their keys; return how many.

    The same pairs give the same bytes: one transaction, appended in order, then shrunk to what is used.

    Raises:
        ValueError: keys out of order or twice.
        OSError: the file cannot be written.
    """
    listed = list(pairs)
    size = sum(map(len, chain.from_iterable(listed))) + 64 * len(listed)
    # A value over half a page takes whole pages of 4 KiB; twice the sum plus a page each is always enough.
    map_size = 2 * size + 4096 * len(listed) + _GROWTH
    try:
        environment = lmdb.open(str(path), subdir=False, lock=False, sync=False, map_size=map_size)
        try:
            with environment.begin(write=True) as transaction:
                _, added = transaction.cursor().putmulti(listed, append=True, overwrite=False)
                if added < len(listed):
                    message = f"{len(listed) - added} of {len(listed)} keys are out of order or come twice"
                    raise ValueError(message)
            environment.sync(True)
        finally:
            environment.close()
    except lmdb.Error as error:
        raise OSError(errno.EIO, f"{path.name}: {error}") from error
    return len(listed)


class _Map:
    """A mapped file, and how many readers it has."""

    def __init__(self, path: Path) -> None:
        with _told(path):
            self.environment = lmdb.open(
                str(path), subdir=False, readonly=True, lock=False, create=False, readahead=False, max_readers=1
            )
        self.path = path
        self.readers = 0


_maps: dict[tuple[int, int], _Map] = {}
"""By device and inode: a path may come to name another file."""

_mapping = threading.Lock()


class Reader:
    """A key–value file, open for reading by one thread at a time.

    Raises:
        OSError: there is no such file, or this machine is short of what it takes to open one.
        Exception: it is no such file; what LMDB says.
    """

    def __init__(self, path: Path) -> None:
        with _mapping:
            described = path.stat()
            self._file = (described.st_dev, described.st_ino)
            mapped = _maps.get(self._file) or _Map(path)
            self._begin(mapped)

    def another(self) -> Reader:
        """A reader of the same file for another thread; what either gave stays valid until both are closed.

        Raises:
            ValueError: this one is closed.
            OSError: this machine is short of memory.
        """
        twin = copy.copy(self)
        with _mapping:
            if not self._open:
                message = "this reader is closed"
                raise ValueError(message)
            twin._begin(_maps[self._file])
        return twin

    def _begin(self, mapped: _Map) -> None:
        try:
            with _told(mapped.path):
                self._transaction = mapped.environment.begin(buffers=True)
        except BaseException:
            if not mapped.readers:
                mapped.environment.close()
            raise
        _maps[self._file] = mapped
        mapped.readers += 1
        self._open = True
        self.get = self._transaction.get
        """`get(key) -> memoryview | None`: the value where it lies, valid until `close`."""

    def __len__(self) -> int:
        return int(self._transaction.stat()["entries"])

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """Every pair in order; the values are views, the keys are copies."""
        with self._transaction.cursor() as cursor:
            for key, value in cursor:
                yield bytes(key), value

    def spread(self, count: int) -> list[bytes]:
        """`count` keys from all over the file, or all of fewer, ascending, without reading what lies between them.

        Places are guessed as if keys were numbers, evenly spread. What is found twice, since they are not, is made up
        for with what follows the last one, and at the end with the first ones.
        """
        with self._transaction.cursor() as cursor:
            if not cursor.last():
                return []
            last = bytes(cursor.key())
            cursor.first()
            first, width = bytes(cursor.key()), max(len(last), len(cursor.key()))
            low, high = (int.from_bytes(key.ljust(width, b"\0"), "big") for key in (first, last))
            found = [first][:count]
            for step in range(1, count):
                guess = (low + (high - low) * step // count).to_bytes(width, "big")
                there = cursor.set_range(guess)
                if not there or bytes(cursor.key()) <= found[-1]:
                    there = cursor.set_key(found[-1]) and cursor.next()
                if not there:
                    break
                found.append(bytes(cursor.key()))
            cursor.first()
            for key in cursor.iternext(values=False):
                if len(found) >= count:
                    break
                if key not in found:
                    found.append(bytes(key))
        return sorted(found)

    def close(self) -> None:
        """Give the file back, where no other reader has it. Views handed out before must not be read after."""
        with _mapping:
            if not self._open:
                return
            self._open = False
            self._transaction.abort()
            mapped = _maps[self._file]
            mapped.readers -= 1
            if not mapped.readers:
                del _maps[self._file]
                mapped.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise what the system says of itself as an `OSError`, which says nothing of the file."""
    try:
        yield
    except lmdb.Error as error:
        code = getattr(error, "code", 0)  # LMDB's own are negative
        if code <= 0 or code in _OF_THE_FILE:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error
