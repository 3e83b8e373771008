"""`trunkshow bench` against a real cluster, and its driver against a shard: what it counts is what was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from datasets import Built
from processes import running

COMMAND = [sys.executable, "-m", "cli.main", "bench"]


def test_a_real_cluster_is_measured_and_weighed(built: Built, tmp_path: Path) -> None:
    """One shard, one router: a second in an open loop, every slate whole or short, and none of anybody's making."""
    with running(built.store, tmp_path, shards=1, replicas=1) as cluster:
        asked = ["--target", cluster.target, "--store", str(built.store), "--rate", "30", "--seconds", "1", "--json"]
        done = subprocess.run([*COMMAND, *asked], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        loop = told["stretches"]["open loop"]
        assert told["weighed"] == ["router", "shard 0"]
        assert told["snapshot_version"] == built.report.manifest.version
        assert loop["answered"] > 0 and loop["answered"] == loop["whole"] + loop["short"]
        assert set(loop["rungs"]) <= {"FRESH", "SNAPSHOT"}
        assert min(loop["cpu_s_per_1000"].values()) >= 0 and min(loop["rss_bytes"].values()) > 10 << 20

        batch = [*asked, "--batch", "5"]
        told = json.loads(subprocess.run([*COMMAND, *batch], capture_output=True, check=True, timeout=60).stdout)
        assert told["batch"] == 5 and told["stretches"]["open loop"]["answered"] % 5 == 0
