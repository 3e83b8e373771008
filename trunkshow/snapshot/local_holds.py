"""Who on this machine needs the local copies of a version: told between processes by locks, which end with them.

Processes of one user share a folder of copies. One that is done with a version must not remove what another one has
just checked and is about to open: that would look like a version with a file missing. So each holds a shared lock on
a version from its first file until it is done, and whoever can have the lock for itself is the last one. It keeps out
this process's other threads as well: what waits for a disk waits for one version's name to be free, and for no other's.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Holds:
    """The versions that this process needs. Safe between threads: one may forget what another one brings.

    Args:
        folder: of the copies; a lock is a file in it, `.VERSION.lock`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        self._mine = threading.Lock()

    def hold(self, version: str) -> None:
        """Need a version; waits for whoever is removing it now. A file system without locks does without."""
        with suppress(OSError):
            with self._mine:
                if version in self._held:
                    return
            handle = self._locked(version)
            with self._mine:
                if self._held.setdefault(version, handle) != handle:  # another thread was first
                    os.close(handle)

    @property
    def held(self) -> frozenset[str]:
        """What this process needs."""
        with self._mine:
            return frozenset(self._held)

    def let_go(self, version: str, remove: Callable[[], T], is_needed: Callable[[], bool] = lambda: False) -> T | None:
        """Need a version no more; where nobody else does either, remove it. Where that cannot be told, it stays.

        Args:
            version: to be removed.
            remove: frees its name; whoever needs the version waits for this.
            is_needed: whether somebody here needs it again. Who says so first, and then holds it, does not lose it.

        Returns:
            What `remove` did; None where it was not called.
        """
        with suppress(OSError):
            with self._mine:
                if is_needed():
                    return None
                held = self._held.pop(version, None)
            handle = self._locked(version, fcntl.LOCK_NB) if held is None else held
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                removed = remove()
                self._path(version).unlink(missing_ok=True)
                return removed
            finally:
                os.close(handle)
        return None

    def _locked(self, version: str, how: int = 0) -> int:
        """A descriptor with a shared lock on the version's file, as it is there now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(self._path(version), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | how)
                if self._is_there(version, handle):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # whoever removed the version removed this file

    def _is_there(self, version: str, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._path(version).stat())
        except FileNotFoundError:
            return False

    def _path(self, version: str) -> Path:
        return self._folder / f".{version}.lock"
