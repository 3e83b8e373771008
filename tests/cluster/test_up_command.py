"""`trunkshow build`, `up`, `record`, `status`, `recommend` and SIGTERM, as somebody would type them, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest


@dataclass(frozen=True)
class Life:
    """A cluster's, from a data set to its end.

    Attributes:
        events: that `up` told, the one of a ready cluster first.
        recorded: what `record` answered.
        log: the event log, as `status` shows it.
        slate: what `recommend` answered.
        code: that `up` ended with.
        left: processes that were there still.
        logs: the folder for logs.
    """

    events: list[dict[str, Any]]
    recorded: dict[str, Any]
    log: dict[str, Any]
    slate: dict[str, Any]
    code: int
    left: list[int]
    logs: Path


def command(*arguments: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """`trunkshow build` of a Parquet data set, and `trunkshow up` on it, which is told to end."""
    folder = tmp_path_factory.mktemp("up")
    store, logs = str(folder / "store"), folder / "logs"
    dataset = datasets.write(datasets.clustered(120, 80, 12), folder / "data", form="parquet")
    command("build", str(dataset), "--store", store, "--partitions", "5", "--factors", "8")
    options = ["--store", store, "--shards", "2", "--replicas", "1", "--listen", "127.0.0.1:0", "--logs", str(logs)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "up", *options, "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        events = (json.loads(line) for line in process.stdout)
        ready = next(event for event in events if event["event"] == "cluster.ready")
        recorded = command("record", datasets.user_id(7), "anything", "click", "--target", ready["target"])
        log = command("status", "--target", ready["target"])["event_log"]
        slate = command("recommend", datasets.user_id(7), "--target", ready["target"], "--deadline-ms", "200")
        process.send_signal(signal.SIGTERM)
        told = [ready, *events]
        code = process.wait(60)
        left = [pid for pid in ready["pids"].values() if is_alive(pid)]
    finally:
        # Its children end with it, by the kernel's doing if need be.
        process.kill()
        process.communicate()
    return Life(told, recorded, log, slate, code, left, logs)


def is_alive(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_build_up_and_recommend_work_on_a_parquet_data_set(life: Life) -> None:
    """The three commands in a row, and an event recorded."""
    ready = life.events[0]
    assert life.slate["receipt"]["rung"] in {"FRESH", "SNAPSHOT", "SEGMENT"}
    assert life.slate["carousels"]
    assert (life.recorded["recorded"], life.log["reachable"], life.log["url"]) == (1, True, ready["log"])
    assert life.log["position"] == life.recorded["watermark"]


def test_up_serves_until_sigterm_and_leaves_nothing(life: Life) -> None:
    """`up --json` reports a ready cluster of real processes; SIGTERM ends it with 0, and no process is left."""
    assert (life.code, sorted(life.events[0]["pids"])) == (0, ["log", "router", "shard-0", "shard-1"])
    assert life.events[-1]["event"] == "cluster.stopped"
    assert life.left == []
    (logs,) = life.logs.iterdir()
    assert {path.name for path in logs.iterdir()} == {"log.log", "router.log", "shard-0.log", "shard-1.log"}
