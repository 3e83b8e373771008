"""Points measured one after the other, each written down at once, so that a run that was stopped goes on.

A point that the machine has no memory for is not begun, and one that takes the memory that is left to others is
ended; both are written down as not measured, with the reason. Builds are the first that the kernel would end, too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench import tables
from bench.growth import making, serving
from bench.growth.points import Point

BYTES_PER_INTERACTION = 160
"""That a build was seen to need at its peak, with a margin."""

BYTES_SPARED = 3 << 30
"""Of the machine's memory, for whoever else works on it."""

LOOK_S = 1.0
MEASURED = ("trunkshow", "shard", "router", "builder")
"""What decides a point's figures."""


class NotMeasured(Exception):
    """A point that cannot be measured here; the message says why."""


def measure(points: Sequence[Point], work: Path, *, resume: bool, seconds: float, say: Callable[[str], None]) -> None:
    """Measure points, and write each down in `work`/points.

    Args:
        points: those with a snapshot in common together.
        work: for snapshots, which are removed, and results, which are kept.
        resume: leave those alone that were measured before.
        seconds: of each loop of a load.
        say: told what is going on.
    """
    (work / "points").mkdir(parents=True, exist_ok=True)
    for at, point in enumerate(points):
        target = work / "points" / f"{point.name}.json"
        if resume and target.exists():
            continue
        say(f"{at + 1} of {len(points)}: {point.name}")
        found = _one(point, work, seconds)
        target.write_text(json.dumps(found, indent=1), encoding="utf-8")
        if at + 1 == len(points) or points[at + 1].snapshot != point.snapshot:
            shutil.rmtree(_folder(work, point), ignore_errors=True)


def _one(point: Point, work: Path, seconds: float) -> dict[str, Any]:
    described = {
        "point": point.to_json(),
        "commit": commit(),
        "machine": tables.machine(),
        "busy_before": psutil.cpu_percent(LOOK_S) / 100,
    }
    try:
        measured: dict[str, Any] = {"build": _built(point, work)}
        if not point.trained:
            measured["serving"] = serving.serve(_folder(work, point) / "store", point.shards, seconds)
    except (NotMeasured, serving.WrongAnswers) as error:
        measured = {"not_measured": str(error)}
    return {**described, **measured}


def _folder(work: Path, point: Point) -> Path:
    return work / "snapshots" / point.snapshot.name


def _built(point: Point, work: Path) -> dict[str, Any]:
    """What building it took, now or for a point before."""
    folder = _folder(work, point)
    done = folder / "built.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _check_room(point)
        done_text = _child(making.Orders(folder, **_built_of(point)))
        done.write_text(done_text, encoding="utf-8")
    built: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    return built


def _built_of(point: Point) -> dict[str, Any]:
    values = point.to_json()
    del values["shards"]
    return values


def _check_room(point: Point) -> None:
    needed = int(point.users * point.longer * 30 * BYTES_PER_INTERACTION + point.items * 4096)
    free = psutil.virtual_memory().available - BYTES_SPARED
    if needed > free:
        raise NotMeasured(f"about {needed >> 20:,} MiB are needed, and {max(free, 0) >> 20:,} are free")


def _child(orders: making.Orders) -> str:
    """Build in another process, and look after it."""
    orders.folder.mkdir(parents=True)
    with (orders.folder / "report").open("w+") as report:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.growth.making"], stdin=subprocess.PIPE, stdout=report, text=True
        )
        assert process.stdin is not None
        Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000", encoding="utf-8")
        process.stdin.write(making.encoded(orders))
        process.stdin.close()
        try:
            while process.poll() is None:
                time.sleep(LOOK_S)
                if psutil.virtual_memory().available < BYTES_SPARED / 2:
                    raise NotMeasured("the build was ended: it took the memory that others need")
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise NotMeasured(f"the build ended with {process.returncode}")
        report.seek(0)
        return report.read()


def commit() -> str:
    """The last one that touched what is measured, with a sign where that was changed since."""
    last = _git("log", "-1", "--format=%h", "--", *MEASURED)
    return f"{last}-dirty" if _git("status", "--porcelain", "--", *MEASURED) else last or "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, check=False, text=True)
    return done.stdout.strip()


def read(folder: Path) -> list[dict[str, Any]]:
    """What was written down."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
