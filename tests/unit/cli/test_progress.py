"""What a build says of its progress where nobody watches a terminal."""

from __future__ import annotations

from cli.progress import Lines


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_step_is_told_when_it_begins_and_with_its_seconds_when_it_ends() -> None:
    """Steps nest, each has its own seconds, and a file is named without its folders."""
    clock, told = Clock(), list[str]()
    lines = Lines(told.append, clock)
    lines("read", 0, 1)
    lines("/data/events.parquet", 0, 1)
    clock.now = 2
    lines("/data/events.parquet", 1, 1)
    clock.now = 3
    lines("read", 1, 1)
    assert told == ["build: read …", "build: events.parquet …", "build: events.parquet … 2.0 s", "build: read … 3.0 s"]


def test_a_long_step_is_reminded_of_with_how_far_it_is() -> None:
    """A reminder names the step under way, its epochs and seconds; once it is over, the stage around it."""
    clock, told = Clock(), list[str]()
    lines = Lines(told.append, clock)
    lines("evaluate", 0, 1)
    lines("train ials", 1, 2)
    clock.now = 10
    lines.remind()
    lines("train ials", 2, 2)
    clock.now = 12
    lines.remind()
    assert told[2:] == [
        "build: train ials, 1 of 2 … 10 s so far",
        "build: train ials … 10.0 s",
        "build: evaluate … 12 s so far",
    ]


def test_between_steps_there_is_nothing_to_remind_of() -> None:
    """Where nothing is under way a reminder says nothing."""
    told = list[str]()
    Lines(told.append, Clock()).remind()
    assert told == []
