"""Arrays of a snapshot, opened."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from trunkshow.snapshot import arrays

DEPTHS = (1, 5, 9, 20)
TIMES = 500


class Circle:
    """Garbage that only a collector finds, and which lets another thread on when it goes."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(0)


@pytest.fixture
def collecting() -> Iterator[None]:
    """The garbage collector comes by all the time, and threads take turns as often as they can."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(20)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def opened(path: Path, depth: int) -> int:
    """The sum of an array that is opened so many calls deep."""
    return opened(path, depth - 1) if depth else int(arrays.load_one(path).sum())


@pytest.mark.usefixtures("collecting")
def test_arrays_are_opened_by_many_threads_while_garbage_is_collected(tmp_path: Path) -> None:
    """Python 3.11 raises SystemError where two threads parse their headers at once; later ones do not."""
    arrays.save(tmp_path, {"numbers": np.arange(10)})

    def often(depth: int) -> set[int]:
        sums = set()
        for _ in range(TIMES):
            Circle()
            sums.add(opened(tmp_path / "numbers.npy", depth))
        return sums

    with ThreadPoolExecutor(len(DEPTHS)) as threads:
        assert list(threads.map(often, DEPTHS)) == [{45}] * len(DEPTHS)
