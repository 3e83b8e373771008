"""`trunkshow build`, `up`, `record`, `status` and `recommend` in a row, as somebody would type them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest


def command(*arguments: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """`trunkshow build` of a Parquet data set, and `trunkshow up` on it."""
    dataset = datasets.write(datasets.clustered(120, 80, 12), tmp_path / "data", form="parquet")
    command("build", str(dataset), "--store", str(tmp_path / "store"), "--partitions", "5", "--factors", "8")
    options = ["--store", str(tmp_path / "store"), "--shards", "2", "--replicas", "1", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "up", *options, "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        events = (json.loads(line) for line in process.stdout)
        yield next(event for event in events if event["event"] == "cluster.ready"), process
    finally:
        # Its children end with it, by the kernel's doing if need be.
        process.kill()
        process.communicate()


def is_alive(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_build_up_and_recommend_work_on_a_parquet_data_set(
    up: tuple[dict[str, Any], subprocess.Popen[str]],
) -> None:
    """The three commands in a row, and an event recorded; then SIGTERM ends the cluster with every process of it."""
    ready, process = up
    recorded = command("record", datasets.user_id(7), "anything", "click", "--target", ready["target"])
    log = command("status", "--target", ready["target"])["event_log"]
    slate = command("recommend", datasets.user_id(7), "--target", ready["target"], "--deadline-ms", "200")
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    assert slate["receipt"]["rung"] in {"FRESH", "SNAPSHOT", "SEGMENT"}
    assert slate["carousels"]
    assert (recorded["recorded"], log["reachable"], log["url"]) == (1, True, ready["log"])
    assert log["position"] == recorded["watermark"]
    assert (code, [pid for pid in ready["pids"].values() if is_alive(pid)]) == (0, [])
