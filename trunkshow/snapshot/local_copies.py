"""Which versions' copies stay in a cache, and the removal of all others: aside, in nobody's way, one version at a time.

    needed    the pointer serves it, or this process asked for it since another version became the current one
    left over → let go of    nobody here needs it when its turn comes, whatever was so when the pointer moved
    let go of → removed      no other process that shares the cache holds it either (`local_holds`)

A removal takes as long as the disk likes, and may hang: the pointer's next move must not wait for that. So one thread
of its own looks for what is left over, each time that the pointer moved, and removes it; the end of the process does
not wait for it either. What that leaves, half removed or not begun, the next move finds, in whichever process. Whoever
asks for a version that is being removed waits until its name is free, not until its files are gone, and fetches it
anew. What is mapped stays so for whoever has it mapped.
"""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import structlog

from trunkshow.offload import aside
from trunkshow.snapshot import local_files
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.local_holds import Holds
from trunkshow.snapshot.states import SERVED

REMOVED_WITHIN_S = 30.0
"""A removal that takes longer is told of: where the disk hangs it fills up, and nothing else shows it."""

log = structlog.get_logger()


class LocalCopies:
    """The versions in a cache. Safe between threads.

    Args:
        cache: its folder.
        clock: a port: monotonic seconds.
    """

    def __init__(self, cache: Path, clock: Callable[[], float] = monotonic) -> None:
        self._cache = cache
        self._clock = clock
        self._holds = Holds(cache / "in-use")
        self._served: frozenset[str] = frozenset()
        self._asked_for: set[str] = set()
        self._state = threading.Condition()
        self._due = False
        self._at_it = False
        self._removing: tuple[str, float] | None = None
        self._told = False

    def folder(self, version: str) -> Path:
        """Where a version's copies are, or would be."""
        return self._cache / "snapshots" / version

    def need(self, version: str) -> None:
        """No process removes the copies from now on: another one may see the pointer move before this one does."""
        with self._state:
            self._asked_for.add(version)
        self._holds.hold(version)

    def follow(self, pointer: Pointer, before: Pointer) -> None:
        """The pointer moved; what is needed no more goes, some time after this returned."""
        served = _served(pointer)
        with self._state:
            done_with = _served(before) - served
            if pointer.current != before.current:  # for so long a version that made way is kept
                done_with |= self._asked_for - served
            self._asked_for -= done_with  # or a process that lives long fills its disk
            self._served = served
            self._due = True
        self.tend()

    def tend(self) -> None:
        """Have removed what is to be, and tell of a removal that hangs; to be called every now and then."""
        with self._state:
            begins = self._due and not self._at_it
            self._at_it = self._at_it or begins
            version, since = self._removing or ("", math.inf)
            hangs = self._clock() - since >= REMOVED_WITHIN_S
            tells, self._told = hangs and not self._told, hangs
        if tells:
            log.error("cache.not_removed", cache=str(self._cache), snapshot=version, within_s=REMOVED_WITHIN_S)
        if begins:
            try:
                aside("removing copies", self._remove_all)
            except RuntimeError:  # no thread is to be had: the next look tries again
                self._ended()

    def settled(self, within_s: float) -> bool:
        """Wait until nothing is being removed, nor to be; whether that is so."""
        with self._state:
            return self._state.wait_for(lambda: not (self._due or self._at_it), within_s)

    def _remove_all(self) -> None:
        try:
            while self._goes_on():
                for name in self._left_over():
                    self._remove(name)
        except BaseException:
            self._ended()
            raise

    def _goes_on(self) -> bool:
        """Whether the pointer moved since; else nobody is at it any more, and the next move begins anew."""
        with self._state:
            goes_on, self._due = self._due, False
            if not goes_on:
                self._ended()
            return goes_on

    def _ended(self) -> None:
        with self._state:
            self._at_it, self._removing = False, None
            self._state.notify_all()

    def _left_over(self) -> list[str]:
        copied: set[str] = set()
        with suppress(OSError):
            copied = {path.name for path in (self._cache / "snapshots").iterdir()}
        return sorted(name for name in copied | self._holds.held if not self._is_needed(name))

    def _remove(self, name: str) -> None:
        with self._state:
            self._removing = name, self._clock()
        folder = self.folder(name)
        if not name.startswith("."):  # else somebody died of removing it, or is at it
            freed = self._holds.let_go(name, partial(local_files.set_aside, folder), partial(self._is_needed, name))
            if freed is None:
                return
            folder = freed
        shutil.rmtree(folder, ignore_errors=True)

    def _is_needed(self, version: str) -> bool:
        with self._state:
            return version in self._served or version in self._asked_for


def _served(pointer: Pointer) -> frozenset[str]:
    return frozenset(version for version, state in pointer.states.items() if state in SERVED)
