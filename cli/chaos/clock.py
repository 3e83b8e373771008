"""A wall clock that can be stepped for some processes and not for others: `clock.c`, where there is a compiler.

Containers share their machine's clock, and setting that is not ours to do; so the processes are started with a library
of 50 lines before libc's, which adds an offset to every reading of the wall clock. The processes do not know.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
COMPILE_S_MAX = 60


def can_step() -> bool:
    """Whether this machine can do it: Linux, with a C compiler."""
    return sys.platform == "linux" and shutil.which("cc") is not None


class Clock:
    """The offset of the wall clock, as the processes that were started with `environment` see it.

    Args:
        folder: for the library and the offset.
    """

    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock.so"
        self._offset = folder / "clock.offset"

    def compile(self) -> None:
        """Make the library and the offset, which is none."""
        self._library.parent.mkdir(parents=True, exist_ok=True)
        self.step(0)
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=COMPILE_S_MAX, capture_output=True)  # noqa: S603 - our own source

    @property
    def environment(self) -> Mapping[str, str]:
        """Of a process whose clock is to be this one."""
        return {"LD_PRELOAD": str(self._library), "TRUNKSHOW_CHAOS_CLOCK": str(self._offset)}

    def step(self, seconds: int) -> None:
        """The wall clock is so far off from now on."""
        with self._offset.open("r+b" if self._offset.exists() else "wb") as offset:
            offset.write(struct.pack("<q", seconds))  # in place: it is mapped
