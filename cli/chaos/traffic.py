"""Driver processes, started and stopped, and everything that they told, as one series.

What they do is `cli.chaos.driver`'s; this only holds them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cli.chaos.caller import GIVE_UP_BATCH_S
from cli.chaos.orders import Orders
from cli.chaos.processes import spawn
from cli.chaos.tally import Series, Tally

READY_WITHIN_S = 60.0
LINE_BYTES_MAX = 1 << 20
POLL_S = 0.02


class DriverDied(Exception):
    """A driver ended by itself: a bug of ours, not of the cluster; its log says more."""


class Traffic:
    """Drivers at work.

    Attributes:
        series: what they told so far; slices of the last seconds may still grow.
        orders: of every driver that was started.
    """

    def __init__(self) -> None:
        self.series = Series()
        self.orders: list[Orders] = []
        self._is_ready: dict[int, bool] = {}
        self._told_before: dict[int, float] = {}  # by process: all that it sent before this moment is in the series
        self._drivers: list[tuple[asyncio.subprocess.Process, asyncio.Task[None]]] = []

    async def start(self, orders: Sequence[Orders], logs: Path) -> None:
        """Start one more driver per order; return once all ask."""
        started = []
        for order in orders:
            command = (sys.executable, "-P", "-m", "cli.chaos.driver")
            log = logs / f"driver-{len(self.orders)}.log"
            driver = await spawn(command, log, piped=True, limit=LINE_BYTES_MAX)
            self._told_before[driver.pid] = 0.0
            self.orders.append(order)
            self._drivers.append((driver, asyncio.create_task(self._read(driver))))
            assert driver.stdin is not None
            driver.stdin.write(f"{order.to_json()}\n".encode())
            started.append(driver)
        await asyncio.wait_for(asyncio.gather(*map(self._ready, started)), READY_WITHIN_S)

    async def told(self, before: float, within_s: float) -> bool:
        """Wait until what became of all that was sent before a moment is in the series; whether it is, in time.

        Drivers that ended are not waited for: they are `check`'s.
        """
        until = time.monotonic() + within_s
        while not self._told_all(before):
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def _told_all(self, before: float) -> bool:
        return all(reading.done() or self._told_before[driver.pid] >= before for driver, reading in self._drivers)

    def check(self) -> None:
        """Raise what a driver died of.

        Raises:
            DriverDied: one did.
        """
        for driver, reading in self._drivers:
            if reading.done():
                raise DriverDied(f"a driver ended with {driver.returncode}: {reading.exception()!r}")

    async def stop(self) -> None:
        """Let drivers finish what is under way, and end."""
        ending, self._drivers = self._drivers, []
        for driver, _ in ending:
            assert driver.stdin is not None
            driver.stdin.close()
        try:
            async with asyncio.timeout(GIVE_UP_BATCH_S + 10):
                await asyncio.gather(*(reading for _, reading in ending))
                await asyncio.gather(*(driver.wait() for driver, _ in ending))
        finally:
            for driver, reading in ending:
                reading.cancel()
                if driver.returncode is None:
                    driver.kill()
                    await driver.wait()

    async def _ready(self, driver: asyncio.subprocess.Process) -> None:
        while not self._is_ready.get(driver.pid):
            if driver.returncode is not None:
                raise DriverDied(f"a driver did not start: exit code {driver.returncode}")
            await asyncio.sleep(POLL_S)

    async def _read(self, driver: asyncio.subprocess.Process) -> None:
        assert driver.stdout is not None
        async for line in driver.stdout:
            if line == b"ready\n":
                self._is_ready[driver.pid] = True
                continue
            match json.loads(line):
                case [number, raw]:
                    self.series.add(number, Tally.from_json(raw))
                case moment:
                    self._told_before[driver.pid] = moment


@asynccontextmanager
async def flowing(orders: Sequence[Orders], logs: Path) -> AsyncIterator[Traffic]:
    """Traffic for the time of the context."""
    traffic = Traffic()
    try:
        await traffic.start(orders, logs)
        yield traffic
    finally:
        await traffic.stop()
