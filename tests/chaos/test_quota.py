"""A process that wants all of a processor gets the share that it is given; what it takes too much is missing later."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import psutil
import pytest

from cli.chaos.processes import Body
from cli.chaos.quota import PERIOD_S, Quota, processor_s

SHARE = 0.1
QUOTA_S = SHARE * PERIOD_S
POLL_S = 0.01
WITHIN_S = 30.0


class Scripted:
    """A body, its processor's time, and what time it is, as a test says."""

    def __init__(self) -> None:
        self.pid, self.now, self.used, self.stands = 7, 100.0, 3.0, False
        self.quota = Quota([cast(Body, self)], SHARE, lambda: self.now, self._used)
        self.quota.look()

    def _used(self, pid: int) -> float:
        if pid != self.pid:
            raise psutil.NoSuchProcess(pid)
        return self.used

    def freeze(self) -> None:
        self.stands = True

    def thaw(self) -> None:
        self.stands = False

    def after(self, periods: float, used: float) -> bool:
        """Whether it stands at a look so much later, having used so many quotas meanwhile."""
        self.now += periods * PERIOD_S
        self.used += used * QUOTA_S
        self.quota.look()
        return self.stands


def test_who_has_used_its_share_stands_until_the_next_period() -> None:
    body = Scripted()
    assert not body.after(0.3, 0.9)
    assert body.after(0.3, 0.2)
    assert body.after(0.3, 0.0)
    assert not body.after(0.2, 0.0)
    assert body.quota.used_s == pytest.approx(1.1 * QUOTA_S)


def test_what_was_taken_too_much_is_missing_later() -> None:
    body = Scripted()
    assert body.after(0.5, 3.5)
    assert [body.after(1.0, 0.0) for _ in range(3)] == [True, True, False]


def test_periods_that_pass_between_two_looks_count() -> None:
    """A harness that is busy does not make the share smaller."""
    body = Scripted()
    assert not body.after(4.2, 4.5)
    assert body.after(0.1, 0.6)


def test_nothing_is_saved_up() -> None:
    body = Scripted()
    assert not body.after(10.5, 0.0)
    assert body.after(0.1, 1.1)


def test_another_life_is_held_from_its_own_beginning() -> None:
    body = Scripted()
    assert body.after(0.1, 1.5)
    body.pid, body.stands = 0, False
    assert not body.after(2.0, 0.0)
    body.pid, body.used = 8, 1.0
    assert not body.after(0.1, 0.0), "what it used before the first look is not counted"
    assert body.after(0.1, 1.2)
    assert body.quota.used_s == pytest.approx(2.7 * QUOTA_S)


@pytest.fixture
async def spinning(tmp_path: Path) -> AsyncIterator[Body]:
    body = Body("spinning", (sys.executable, "-I", "-S", "-c", "while True: pass"), tmp_path / "log")
    await body.start()
    try:
        yield body
    finally:
        await body.kill()


async def until_it_used(body: Body, more_s: float) -> float:
    """How many seconds that took."""
    began, until = time.monotonic(), processor_s(body.pid) + more_s
    async with asyncio.timeout(WITHIN_S):
        while processor_s(body.pid) < until:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(POLL_S)
    return time.monotonic() - began


async def test_a_process_is_held_and_goes_on_afterwards(spinning: Body) -> None:
    """Half of what it is to take: where looks come late it may be ahead by what its debt is then."""
    holding = asyncio.create_task(Quota([spinning], SHARE).hold())
    await until_it_used(spinning, QUOTA_S)
    assert await until_it_used(spinning, 30 * QUOTA_S) >= 15 * PERIOD_S
    holding.cancel()
    with suppress(asyncio.CancelledError):
        await holding
    await until_it_used(spinning, 30 * QUOTA_S)


def test_nobody_s_processor_time_is_asked_for() -> None:
    with pytest.raises(psutil.NoSuchProcess):
        processor_s(1 << 22)
    assert processor_s(os.getpid()) > 0
