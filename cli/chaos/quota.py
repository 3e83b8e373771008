"""A share of a processor for each of some processes, and no more, as a pod's limit is one.

A process that has used up its share stands still until the next period, as under the quota of a control group
(`cpu.max` of Linux's cgroup v2), which not everybody may set; so SIGSTOP and SIGCONT do it. What counts is the time
that it had a processor: by the time that passed, it would have less of one the more is done beside it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from cli.chaos.processes import Body

PERIOD_S = 0.05
LOOK_S = 0.002
"""How far beyond its share a process gets; that is taken off the next one."""


def processor_s(pid: int) -> float:
    """Seconds that all threads of a process had a processor, since it began.

    Raises:
        ProcessLookupError: there is none.
    """
    if sys.platform == "linux":
        try:
            return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it; /proc counts in 10 ms
        except OSError:
            raise ProcessLookupError(pid) from None
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        raise ProcessLookupError(pid) from None
    return float(times.user + times.system)


class Quota:
    """Holds processes to a share.

    Args:
        bodies: the processes, each of which has the share for itself.
        share: of one processor.
    """

    def __init__(self, bodies: Sequence[Body], share: float) -> None:
        self._accounts = [_Account(body, share * PERIOD_S) for body in bodies]

    @property
    def used_s(self) -> float:
        """Seconds of a processor that all of them had, as of the last look."""
        return sum(account.used_s for account in self._accounts)

    async def hold(self) -> None:
        """Until cancelled; then all go on."""
        ends = time.monotonic() + PERIOD_S
        try:
            while True:
                for account in self._accounts:
                    account.look()
                await asyncio.sleep(LOOK_S)
                if time.monotonic() >= ends:
                    ends = time.monotonic() + PERIOD_S
                    for account in self._accounts:
                        account.credit()
        finally:
            for account in self._accounts:
                account.body.thaw()


class _Account:
    """What one process has left."""

    def __init__(self, body: Body, quota_s: float) -> None:
        self.body = body
        self.used_s = 0.0
        self._quota_s = self._left_s = quota_s
        self._pid = 0
        self._before_s = 0.0
        self._stands = False

    def credit(self) -> None:
        """A period begins: its quota; nothing is saved up, and what was taken too much is missing."""
        self._left_s = min(self._left_s, 0.0) + self._quota_s
        if self._stands and self._left_s > 0:
            self._stands = False
            self.body.thaw()

    def look(self) -> None:
        """Take off what was used; who has nothing left stands still."""
        with suppress(ProcessLookupError):
            now = processor_s(self.body.pid) if self.body.pid else 0.0
            if self.body.pid != self._pid:  # another life than at the last look, or the first look
                self._pid, self._before_s, self._stands = self.body.pid, now, False
            used, self._before_s = now - self._before_s, now
            self.used_s += used
            self._left_s -= used
            if self._left_s <= 0 and not self._stands:
                self._stands = True
                self.body.freeze()
