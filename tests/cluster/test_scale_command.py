"""`trunkshow up`, scaled while it runs, and scaled by somebody who names no cluster."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Built

from cli.main import run
from cli.scaling import Ledger

COMMAND = [sys.executable, "-m", "cli.main"]

Scale = Callable[[int, str], tuple[int, str]]


@pytest.fixture
def scale(capsys: pytest.CaptureFixture[str]) -> Scale:
    """`trunkshow scale`: its exit code, and what it says."""

    def scaled(shards: int, target: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["scale", str(shards), "--target", target])
        return code, capsys.readouterr().err.strip()

    return scaled


def test_a_running_cluster_is_scaled_up_and_down(scale: Scale, built: Built, tmp_path: Path) -> None:
    """From one shard to two and back; the shard that goes is not started again, and nothing is left behind."""
    options = ["--store", str(built.store), "--shards", "1", "--listen", "127.0.0.1:0", "--logs", str(tmp_path)]
    up = subprocess.Popen([*COMMAND, "up", *options, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout is not None
        events = (json.loads(line) for line in up.stdout)
        target = next(event["target"] for event in events if event["event"] == "cluster.ready")
        done = [scale(2, target), scale(1, target), scale(65, target)]
        assert done[:2] == [(0, "ready with 2 shards"), (0, "ready with 1 shard")]
        assert (done[2][0], "out of range" in done[2][1]) == (2, True)
        up.send_signal(signal.SIGINT)
        rest = [event["event"] for event in events]
        assert up.wait(60) == 0
    finally:
        up.kill()
        up.wait()
    assert rest.count("cluster.scaling") == 2
    assert "child.died" not in rest
    assert not Ledger(target).folder.exists()


@pytest.mark.parametrize("target", ["127.0.0.1:1", "nowhere"])
def test_a_cluster_that_is_not_there_cannot_be_scaled(scale: Scale, target: str) -> None:
    """One line, and exit code 2."""
    code, said = scale(3, target)
    assert (code, said.count("\n"), "no `trunkshow up`" in said) == (2, 0, True)
