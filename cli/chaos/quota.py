"""A share of a processor for each of some processes, and no more, as a pod's limit is one.

A process that has used up its share stands still until the next period, as under the quota of a control group
(`cpu.max` of Linux's cgroup v2), which not everybody may set; so SIGSTOP and SIGCONT do it. What counts is the time
that it had a processor: by the time that passed, it would have less of one the more is done beside it.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

from cli.chaos.processes import Body
from trunkshow.serving.deadline import Clock, monotonic

PERIOD_S = 0.05
LOOK_S = 0.002
"""Between two looks; what a process takes beyond its share meanwhile is missing from the next."""


def processor_s(pid: int) -> float:
    """Seconds that all threads of a process had a processor, since it began.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    if sys.platform == "linux" and pid > 0:
        with suppress(OSError):  # it is gone, which is told below, or this system has no such clock
            return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it; /proc counts in 10 ms
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class Quota:
    """Holds processes to a share.

    Args:
        bodies: the processes, each of which has the share for itself.
        share: of one processor.
        clock: a port: monotonic seconds.
        used: a port: seconds of a processor that a process had, by its id.
    """

    def __init__(
        self,
        bodies: Sequence[Body],
        share: float,
        clock: Clock = monotonic,
        used: Callable[[int], float] = processor_s,
    ) -> None:
        self._clock = clock
        self._accounts = [_Account(body, share * PERIOD_S, used) for body in bodies]
        self._ends = clock() + PERIOD_S

    @property
    def used_s(self) -> float:
        """Seconds of a processor that all of them had, as of the last look."""
        return sum(account.used_s for account in self._accounts)

    async def hold(self) -> None:
        """Until cancelled; then all go on."""
        try:
            while True:
                self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            for account in self._accounts:
                account.body.thaw()

    def look(self) -> None:
        """Take off what was used since the last look, and give what was due meanwhile, however late this look is."""
        periods = math.floor((self._clock() - self._ends) / PERIOD_S) + 1
        self._ends += periods * PERIOD_S
        for account in self._accounts:
            account.settle(periods)


class _Account:
    """What one process has left."""

    def __init__(self, body: Body, quota_s: float, used: Callable[[int], float]) -> None:
        self.body = body
        self.used_s = 0.0
        self._used = used
        self._quota_s = self._left_s = quota_s
        self._pid = 0
        self._before_s = 0.0
        self._stands = False

    def settle(self, periods: int) -> None:
        """Take off and give: nothing is saved up, and what was taken too much is missing. Who has none left stands."""
        with suppress(psutil.NoSuchProcess):
            now = self._used(self.body.pid) if self.body.pid else 0.0
            if self.body.pid != self._pid:  # another life than at the last look, or the first look
                self._pid, self._before_s, self._stands = self.body.pid, now, False
            used, self._before_s = now - self._before_s, now
            self.used_s += used
            self._left_s -= used
        self._left_s = min(self._left_s + periods * self._quota_s, self._quota_s)
        if self._stands and self._left_s > 0:
            self.body.thaw()
        elif not self._stands and self._left_s <= 0:
            self.body.freeze()
        self._stands = self._left_s <= 0
