"""What a process holds: memory and descriptors, looked at from outside."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Weight:
    """What a process holds at one moment.

    Attributes:
        own_bytes: of its resident memory, what is not pages of files; on other systems than Linux all of it.
        rss_bytes: with the pages of mapped files, of snapshots above all, which the kernel takes back as it likes.
        descriptors: open ones.
    """

    own_bytes: int
    rss_bytes: int
    descriptors: int

    @classmethod
    def of(cls, process: psutil.Process) -> Weight:
        """As it is now."""
        memory = process.memory_info()
        return cls(memory.rss - getattr(memory, "shared", 0), memory.rss, process.num_fds())
