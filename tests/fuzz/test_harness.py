"""A short run of the coverage-guided fuzzers; `make fuzz` is the long one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = 3000
REACHED = {"manifest": 40, "pointer": 15}
"""Branches that so short a run comes to at least; a fuzzer whose every input is refused at once comes to two."""

HARNESS = Path(__file__).with_name("harness.py")


@pytest.mark.parametrize("target", REACHED)
def test_a_short_run_finds_nothing(tmp_path: Path, target: str) -> None:
    """No input makes the parser raise what it does not promise, and the inputs get into it."""
    options = [f"-runs={RUNS}", "-seed=1", "-max_total_time=20", "-timeout=5", "-rss_limit_mb=2048"]
    done = subprocess.run(
        [sys.executable, str(HARNESS), target, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(re.findall(r"cov: (\d+)", done.stderr)[-1]) >= REACHED[target]
