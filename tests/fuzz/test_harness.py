"""A short run of the coverage-guided fuzzers, from a whole document on; `make fuzz` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Built

from trunkshow.snapshot.store import open_store

RUNS = 3000
HARNESS = Path(__file__).with_name("harness.py")


@pytest.mark.parametrize("target", ["manifest", "pointer"])
def test_a_short_run_finds_nothing(built: Built, tmp_path: Path, target: str) -> None:
    """No input makes the parser raise what it does not promise."""
    (tmp_path / "corpus").mkdir()
    seed = built.report.manifest.to_json() if target == "manifest" else open_store(built.store).pointer().to_json()
    (tmp_path / "corpus" / "whole").write_text(seed, encoding="utf-8")
    options = [f"-runs={RUNS}", "-seed=1", "-max_total_time=20", "-timeout=5", "-rss_limit_mb=2048"]
    done = subprocess.run(
        [sys.executable, str(HARNESS), target, *options, str(tmp_path / "corpus")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
