"""A process that wants all of a processor gets the share that it is given, and goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cli.chaos.processes import Body
from cli.chaos.quota import PERIOD_S, Quota, processor_s

SHARE = 0.1
POLL_S = 0.01


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
    while processor_s(body.pid) < until:  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(POLL_S)
    return time.monotonic() - began


async def test_it_gets_its_share_and_no_more(spinning: Body) -> None:
    quota = Quota([spinning], SHARE)
    holding = asyncio.create_task(quota.hold())
    await until_it_used(spinning, SHARE * PERIOD_S)
    used = 10 * SHARE * PERIOD_S
    took = await until_it_used(spinning, used)
    assert took >= 8 * PERIOD_S, "ten periods' worth of its share"
    assert used / 2 <= quota.used_s <= processor_s(spinning.pid)
    holding.cancel()
    with suppress(asyncio.CancelledError):
        await holding
    await until_it_used(spinning, used)
    assert psutil.Process(spinning.pid).status() != psutil.STATUS_STOPPED


async def test_who_dies_and_comes_back_is_held_again(spinning: Body) -> None:
    quota = Quota([spinning], SHARE)
    holding = asyncio.create_task(quota.hold())
    await until_it_used(spinning, SHARE * PERIOD_S)
    await spinning.kill()
    await spinning.start()
    await until_it_used(spinning, SHARE * PERIOD_S)
    assert await until_it_used(spinning, 10 * SHARE * PERIOD_S) >= 8 * PERIOD_S
    holding.cancel()


def test_nobody_s_processor_time_is_asked_for() -> None:
    with pytest.raises(ProcessLookupError):
        processor_s(1 << 22)
    assert processor_s(os.getpid()) > 0
