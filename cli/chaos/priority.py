"""Who goes first on this machine: what stands for another machine's work is not to take the cluster's processors.

    builders, pushers       give way to everybody, all their lives
    a process that starts   gives way until it serves: as on a machine of its own, where its imports, and the snapshot
                            that it opens, slow nobody down (not where nothing of its kind lives)

A shard or a router that starts needs a processor for a second or two before it does anything. In the cluster that is
stood for, it has one, or the share that its pod requests; here five of them share what there is with the callers.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

NICE = 19


def give_way() -> None:
    """Let every other process of this machine go first, from now on."""
    os.nice(NICE)
    if sys.platform == "linux":  # stronger than any niceness: whoever else wakes up takes the processor at once
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):
        os.setsid()  # who leads a session already has one of its own
    _nice_session("self", NICE)


@cache
def can_let_go() -> bool:
    """Whether this process may take back that another gives way: on Linux, root may, and few others."""
    if sys.platform != "linux":
        return False
    allowed: list[bool] = []
    tried = threading.Thread(target=lambda: allowed.append(_regains()))  # a niceness of its own, which ends with it
    tried.start()
    tried.join()
    return allowed[0]


def hold_back(pid: int) -> None:
    """Let a process that has just begun, and has one thread, give way to all others; what it starts does so, too."""
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
    _nice_session(str(pid), NICE)


def let_go(pid: int) -> None:
    """End what `hold_back` began: every thread of the process is as nice as we are."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    for thread in _threads(pid):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, thread, nice)
    _nice_session(str(pid), 0)


def _threads(pid: int) -> Iterator[int]:
    """Twice, for what was started by those that were still held back at the first look."""
    for _ in range(2):
        with suppress(FileNotFoundError):
            yield from [int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()]


def _regains() -> bool:
    mine = threading.get_native_id()
    nice = os.getpriority(os.PRIO_PROCESS, mine)
    try:
        os.setpriority(os.PRIO_PROCESS, mine, NICE)
        os.setpriority(os.PRIO_PROCESS, mine, nice)
    except PermissionError:
        return False
    return True


def _nice_session(pid: str, nice: int) -> None:
    """Where Linux groups sessions, a process's own niceness counts in its group alone: sched(7)."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{nice}\n")
