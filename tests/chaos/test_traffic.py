"""What drivers tell, and when that is all: of drivers that are played here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.chaos import traffic as module
from cli.chaos.orders import Orders
from cli.chaos.tally import SLICE_S, Tally
from cli.chaos.traffic import Traffic

WITHIN_S = 60.0


class Driver:
    """A process that tells what a test has it tell."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader()
        self.stdin = SimpleNamespace(write=lambda _: None, close=self.end)
        self.stdout.feed_data(b"ready\n")

    def end(self) -> None:
        """Tell no more."""
        self.returncode = 0
        self.stdout.feed_eof()

    def tell(self, *values: Any) -> None:
        """A line each."""
        self.stdout.feed_data("".join(f"{json.dumps(value)}\n" for value in values).encode())

    async def wait(self) -> None:
        """It has ended."""


class Drivers:
    """Traffic of two drivers."""

    def __init__(self, traffic: Traffic, each: list[Driver]) -> None:
        self.traffic, self.each = traffic, each


@pytest.fixture
async def drivers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Drivers]:
    """Both are ready."""
    started: list[Driver] = []
    pids: Iterator[int] = count(1)

    async def spawn(*_: object, **__: object) -> Driver:
        started.append(Driver(next(pids)))
        return started[-1]

    monkeypatch.setattr(module, "spawn", spawn)
    traffic = Traffic()
    await traffic.start([Orders("nobody", tmp_path, "v1", seed=1)] * 2, tmp_path)
    yield Drivers(traffic, started)
    await traffic.stop()


async def test_all_is_told_once_every_driver_said_so(drivers: Drivers) -> None:
    """What it told before that is in the series by then."""
    failed = Tally()
    failed.counts.update(requests=20, failed=20)
    waiting = asyncio.ensure_future(drivers.traffic.told(5.0, WITHIN_S))
    for driver in drivers.each:
        assert not await drivers.traffic.told(5.0, 0.0)
        driver.tell(4.9, [int(3 / SLICE_S), failed.to_json()], 5.0)
    assert await waiting
    assert drivers.traffic.series.between(2.0, 5.0).failed == 40
    assert not await drivers.traffic.told(5.1, 0.0)


async def test_a_driver_that_ended_is_not_waited_for(drivers: Drivers) -> None:
    """It tells no more; that it died is told otherwise."""
    first, second = drivers.each
    first.tell(5.0)
    second.end()
    assert await drivers.traffic.told(5.0, WITHIN_S)
