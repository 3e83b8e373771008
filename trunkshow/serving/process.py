"""What a process can say of itself, and may ask for itself."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def take_descriptors() -> None:
    """Raise the limit on open files as far as is allowed.

    A partition that is open has two files mapped; 256 of them, in two versions, are more than the thousand that most
    systems give a process that does not ask.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
