"""Imports at a start, without a look for garbage among them.

What is imported stays for good, and makes so many objects that Python looks through all of them several times.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """For as long as this lasts nobody looks for garbage; afterwards it is as it was."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
