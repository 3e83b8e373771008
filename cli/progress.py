"""How the progress of long work is told: bars on a terminal, lines with seconds elsewhere, nothing to a machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli import output

Told = Callable[[str, int, int], None]
"""Told (stage or step, done, of how many)."""

REMIND_EVERY_S = 5.0


@contextmanager
def progress(*, quiet: bool, work: str = "build") -> Iterator[Told]:
    """Who is to be told of the progress of what is done inside; lines begin with what the work is."""
    if quiet:
        yield lambda what, done, of: None
    elif output.stderr_is_a_terminal():
        with _bars() as bars:
            yield _Bars(bars)
    else:
        lines = Lines(output.remark, time.monotonic, work)
        with _every(REMIND_EVERY_S, lines.remind):
            yield lines


class Lines:
    """A line when a stage or step begins, one with its seconds when it ends, and reminders of what is taking long.

    Args:
        say: takes a line.
        clock: a port: monotonic seconds.
        work: what is being done.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float], work: str = "build") -> None:
        self._say = say
        self._clock = clock
        self._work = work
        self._began: dict[str, float] = {}
        self._now = ("", 0, 0)

    def __call__(self, what: str, done: int, of: int) -> None:
        """Take what is being done, how much of it is, and of how many."""
        if what not in self._began:
            self._began[what] = self._clock()
            self._say(f"{self._work}: {_short(what)} …")
        self._now = (what, done, of)
        if done >= of:
            # A step that comes again, such as the training after the evaluation's, is told again.
            self._say(f"{self._work}: {_short(what)} … {self._clock() - self._began.pop(what):.1f} s")

    def remind(self) -> None:
        """Say what is going on still; of nested steps, the one last heard of."""
        what, done, of = self._now
        if what not in self._began:
            what = next(reversed(self._began), "")
            done, of = 0, 1
        if what:
            counted = f", {done} of {of}" if of > 1 else ""
            self._say(f"{self._work}: {_short(what)}{counted} … {self._clock() - self._began[what]:.0f} s so far")


@contextmanager
def _every(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Do something time and again, in a thread of its own, until the block is left."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _bars() -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


class _Bars:
    """One bar per stage and step."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(_short(what), total=of)
        self._bars.update(self._tasks[what], completed=done, total=of)


def _short(what: str) -> str:
    """A step's name; of a file, without its folders."""
    return what.rpartition("/")[2]
