"""A value that was read from files, and is read again when they change.

1. The first reading must succeed: a process does not start with credentials that it cannot read.
2. Later, files that are missing, half written or do not belong together change nothing: the last good value stays,
   one line is logged, and the next change is tried again.

Looking is one `stat` per file, at most once a second, so that it may be done on every call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from trunkshow.serving.deadline import Clock, monotonic

LOOK_EVERY_S = 1.0
FILE_BYTES_MAX = 4 << 20

T = TypeVar("T")
_Stamp = tuple[tuple[int, int, int] | None, ...]

log = structlog.get_logger()


class FilesUnusable(ValueError):
    """Files that a process was to start with are no good; the message is one line fit for a person."""


class Reloaded(Generic[T]):
    """The newest good value of some files. Safe between threads: gRPC asks from its own.

    Args:
        paths: of the files.
        read: makes the value of their contents; a ValueError says what is wrong with them.
        clock: monotonic.

    Attributes:
        version: counts the values, from 1.

    Raises:
        FilesUnusable: the files cannot be read, or `read` refuses them.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[Sequence[bytes]], T], clock: Clock = monotonic) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._next = clock() + LOOK_EVERY_S
        try:
            self._value = self._made()
        except FilesUnusable:
            raise
        except ValueError as error:
            raise FilesUnusable(f"{', '.join(map(str, self._paths))}: {error}") from error
        self.version = 1

    def fresh(self) -> T:
        """The value, read again if the files changed and a second passed since the last look."""
        if self._clock() >= self._next:
            with self._lock:
                self._renew()
        return self._value

    def _renew(self) -> None:
        self._next = self._clock() + LOOK_EVERY_S
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        names = [str(path) for path in self._paths]
        try:
            self._value = self._made()
        except ValueError as error:
            log.error("credentials.kept", files=names, error=str(error))
        else:
            self.version += 1
            log.info("credentials.reloaded", files=names)

    def _made(self) -> T:
        return self._read([_contents(path) for path in self._paths])

    def _look(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _contents(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise FilesUnusable(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise FilesUnusable(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    return data
