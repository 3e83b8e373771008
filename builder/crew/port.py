"""A crew: tasks of one kind are handed to it at once, and it gives back their results in order.

A task is a frozen value, and what is done of it a function at the top of a module: both travel to other processes. The
large arrays that many tasks read are shared before, once. A task may be done twice, by a worker that was taken for dead
and by another one: what it writes it writes under a name of its own, and renames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from builder.stages import Progress

T = TypeVar("T")
R = TypeVar("R")

Arrays = Mapping[str, NDArray[Any]]


class Shared(Protocol):
    """Arrays that every task of a crew can read, wherever it is done."""

    def arrays(self) -> Arrays:
        """The arrays, read-only, perhaps mapped from files: they may be larger than the memory."""
        ...


class Crew(Protocol):
    """Who does the tasks of a build."""

    @property
    def folder(self) -> Path:
        """A folder that all of the crew sees, for results that are files; gone after the build."""
        ...

    @property
    def trains_from(self) -> int | None:
        """Cells of the matrix from which on its training is divided among the crew, too; None for never."""
        ...

    @property
    def alone(self) -> bool:
        """Whether there is nobody besides this process."""
        ...

    def seen(self, files: Mapping[str, int]) -> set[str]:
        """Which of some files, absolute paths, all of the crew see, each of so many bytes."""
        ...

    def share(self, arrays: Arrays) -> AbstractContextManager[Shared]:
        """Have all of the crew see these arrays while the block lasts."""
        ...

    def each(self, what: str, do: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """Do every task, and return the results in the order of the tasks.

        Args:
            what: they are, for the progress.
            do: a function at the top of a module.
            tasks: values that can travel.

        Raises:
            BuildError: what a task raises of that kind, of the first one that does.
            WorkersLost: a task could not be done, or nobody is left to do it.
        """
        ...

    def report(self) -> dict[str, int]:
        """`workers`, how many there are besides this process, and `peak_rss_bytes` of the one that needed most."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Arrays shared with oneself."""

    held: Arrays

    def arrays(self) -> Arrays:
        """The very arrays."""
        return self.held


@dataclass(frozen=True)
class Alone:
    """A crew of one: this process does one task after the other.

    Attributes:
        folder: for results that are files; made when it is needed.
        progress: told (what, done, of how many).
        trains_from: cells from which on training is done by blocks; None leaves it to the library.
    """

    folder: Path
    progress: Progress = lambda what, done, of: None
    trains_from: int | None = None

    @property
    def alone(self) -> bool:
        """It is."""
        return True

    def seen(self, files: Mapping[str, int]) -> set[str]:
        """It is this process that found them."""
        return set(files)

    @contextmanager
    def share(self, arrays: Arrays) -> Iterator[Shared]:
        """The arrays as they are."""
        yield InMemory(arrays)

    def each(self, what: str, do: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """One after the other."""
        results = []
        for done, task in enumerate(tasks, start=1):
            results.append(do(task))
            self.progress(what, done, len(tasks))
        return results

    def report(self) -> dict[str, int]:
        """Nobody besides."""
        return {"workers": 0, "peak_rss_bytes": 0}
