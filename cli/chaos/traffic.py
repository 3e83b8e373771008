"""Driver processes, started and stopped, and everything that they told, as one series.

What they do is `cli.chaos.driver`'s; this only holds them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cli.chaos.driver import GIVE_UP_BATCH_S, Orders
from cli.chaos.processes import spawn
from cli.chaos.tally import Series, Tally

READY_WITHIN_S = 60.0
LINE_BYTES_MAX = 1 << 20


class DriverDied(Exception):
    """A driver ended by itself: a bug of ours, not of the cluster; its log says more."""


class Traffic:
    """Drivers at work.

    Attributes:
        series: what they told so far; slices of the last seconds may still grow.
    """

    def __init__(self) -> None:
        self.series = Series()
        self._reading: list[asyncio.Task[None]] = []
        self._drivers: list[asyncio.subprocess.Process] = []

    async def start(self, orders: Sequence[Orders], logs: Path) -> None:
        """Start one driver per order; return once all ask."""
        for number, order in enumerate(orders):
            command = (sys.executable, "-P", "-m", "cli.chaos.driver")
            driver = await spawn(command, logs / f"driver-{number}-{order.seed}.log", piped=True, limit=LINE_BYTES_MAX)
            self._drivers.append(driver)
            assert driver.stdin is not None
            driver.stdin.write(f"{order.to_json()}\n".encode())
        await asyncio.wait_for(asyncio.gather(*map(self._ready, self._drivers)), READY_WITHIN_S)
        self._reading = [asyncio.create_task(self._read(driver)) for driver in self._drivers]

    def check(self) -> None:
        """Raise what a driver died of.

        Raises:
            DriverDied: one did.
        """
        if self._reading and all(task.done() for task in self._reading):
            raise DriverDied(f"the drivers ended with {[driver.returncode for driver in self._drivers]}")

    async def stop(self) -> None:
        """Let the drivers finish what is under way, and end."""
        for driver in self._drivers:
            assert driver.stdin is not None
            driver.stdin.close()
        try:
            async with asyncio.timeout(GIVE_UP_BATCH_S + 10):
                await asyncio.gather(*self._reading)
                await asyncio.gather(*(driver.wait() for driver in self._drivers))
        finally:
            for driver in self._drivers:
                if driver.returncode is None:
                    driver.kill()
                    await driver.wait()

    async def _ready(self, driver: asyncio.subprocess.Process) -> None:
        assert driver.stdout is not None
        if await driver.stdout.readline() != b"ready\n":
            raise DriverDied("a driver did not start")

    async def _read(self, driver: asyncio.subprocess.Process) -> None:
        assert driver.stdout is not None
        async for line in driver.stdout:
            number, raw = json.loads(line)
            self.series.add(number, Tally.from_json(raw))


@asynccontextmanager
async def flowing(orders: Sequence[Orders], logs: Path) -> AsyncIterator[Traffic]:
    """Traffic for the time of the context."""
    traffic = Traffic()
    try:
        await traffic.start(orders, logs)
        yield traffic
    finally:
        await traffic.stop()
