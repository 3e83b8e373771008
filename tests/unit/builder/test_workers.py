"""A build by Dask workers: the same snapshot from any number of them, also where one is killed.

Processes are started once; where it does not matter that a worker is one, it is a thread of this process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import datasets
import distributed
import psutil
import pytest
from datasets import Shop

from builder import making
from builder.crew import reaching, workers
from builder.crew.choice import CrewSettings
from builder.crew.reaching import behind
from builder.crew.workers import Workers
from builder.dataset import load_dataset
from builder.errors import BuildError, DatasetInvalid, WorkersLost
from builder.events import read_events
from builder.ingest import parts
from builder.pipeline import BuildReport, BuildSettings, build

PARTITIONS = 6


def small() -> Shop:
    """Enough users for six partitions."""
    return datasets.clustered(users=120, items=60, events_per_user=12)


def checksums(report: BuildReport) -> dict[str, str]:
    """Of every file of a snapshot."""
    return {path: file.sha256 for path, file in report.manifest.files.items()}


@contextmanager
def threads(count: int) -> Iterator[str]:
    """The address of a scheduler with so many workers, all of them threads of this process."""
    with distributed.LocalCluster(
        n_workers=count, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small shop's data set."""
    return datasets.write(small(), tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def alone(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    """What one process builds."""
    return build(dataset, tmp_path_factory.mktemp("alone"), BuildSettings(PARTITIONS, 8))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are several parts of so few events."""
    monkeypatch.setattr(parts, "PART_BYTES", 20_000)


@dataclass
class Killer:
    """Kills a worker process when the first part is read, and one when the first partition is written."""

    killed: dict[str, int] = field(default_factory=dict)
    parts: int = 0

    def __call__(self, what: str, done: int, of: int) -> None:
        """Told of progress."""
        self.parts = of if what == "read events" else self.parts
        if what in ("read events", "write partitions") and done == 1:
            children = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            self.killed[what] = children[-1].pid
            os.kill(self.killed[what], signal.SIGKILL)


@dataclass
class Limits:
    """Notes what the workers of a build may take, by standing before `_introduced`."""

    memory_bytes: set[int] = field(default_factory=set)
    polars_threads: set[str] = field(default_factory=set)

    def __call__(self, client: distributed.Client, *rest: Any) -> Workers:
        """Introduces them, and looks."""
        opened = introduced(client, *rest)
        self.memory_bytes = {worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()}
        self.polars_threads = set(client.run(os.getenv, "POLARS_MAX_THREADS").values())
        return opened


introduced = reaching._introduced


def test_killed_workers_do_not_fail_the_build(
    dataset: Path, alone: BuildReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bounded processes, two killed on the way: the snapshot is that of one process, byte for byte."""
    killer, said, limits = Killer(), list[str](), Limits()
    monkeypatch.setattr(reaching, "_introduced", limits)
    settings = BuildSettings(PARTITIONS, 8, crew=CrewSettings(workers=2, worker_memory_bytes=1 << 30))
    report = build(dataset, tmp_path / "store", settings, killer, said.append)
    assert list(killer.killed) == ["read events", "write partitions"]
    assert killer.parts > 2
    assert (limits.memory_bytes, limits.polars_threads) == ({1 << 30}, {"1"})
    assert checksums(report) == checksums(alone)
    assert [line.partition("http://127.0.0.1:")[0] for line in said] == ["workers are watched at "]
    assert report.crew["peak_rss_bytes"] > 0
    assert not any(psutil.pid_exists(pid) for pid in killer.killed.values())


@pytest.mark.parametrize("count", [1, 4])
def test_the_number_of_workers_changes_nothing(count: int, dataset: Path, alone: BuildReport, tmp_path: Path) -> None:
    """One and four, reached through a scheduler, as one process."""
    with threads(count) as address:
        settings = BuildSettings(PARTITIONS, 8, crew=CrewSettings(scheduler=address))
        report = build(dataset, tmp_path / "store", settings)
    assert checksums(report) == checksums(alone)
    assert report.crew["workers"] == count
    assert report.manifest.index == alone.manifest.index
    assert [path.name for path in (tmp_path / "store" / "building").glob("*")] == []


def test_training_by_blocks_does_not_depend_on_who_trains(dataset: Path, tmp_path: Path, alone: BuildReport) -> None:
    """This process alone, and three workers; the model is as good as the library's."""
    settings = BuildSettings(PARTITIONS, 8, crew=CrewSettings(by_blocks=True))
    here = build(dataset, tmp_path / "here", settings)
    with threads(3) as address:
        crew = CrewSettings(scheduler=address, by_blocks=True)
        there = build(dataset, tmp_path / "there", BuildSettings(PARTITIONS, 8, crew=crew))
    assert checksums(here) == checksums(there)
    assert checksums(here) != checksums(alone)
    recall = [report.manifest.metrics["model"]["recall@20"] for report in (here, alone)]
    assert recall[0] > 0.9 * recall[1]


def test_partitions_are_written_again_where_the_index_loses_too_much(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the first pass wrote is not in the snapshot."""
    monkeypatch.setattr(making, "INDEX_RECALL_MIN", 1.1)
    written: list[int] = []
    build(
        dataset,
        tmp_path / "store",
        BuildSettings(PARTITIONS, 8),
        lambda what, done, of: written.append(done) if what == "write partitions" else None,
    )
    (snapshot,) = (tmp_path / "store" / "snapshots").glob("*")
    assert written == [*range(1, PARTITIONS + 1)] * 2
    assert len(list((snapshot / "partitions").glob("*"))) == PARTITIONS


def _refuse(number: int) -> int:
    if number == 2:
        raise DatasetInvalid("two is no number")
    return number


_tried: list[int] = []


def _fail_once(number: int) -> int:
    _tried.append(number)
    if _tried.count(number) == 1:
        raise OSError("the disk was full for a moment")
    return number


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Workers]:
    """Two workers, as threads."""
    with threads(2) as address, behind(address, tmp_path, lambda *told: None, lambda line: None) as opened:
        yield opened


def test_results_come_in_the_order_of_the_tasks_and_failures_are_tried_again(crew: Workers) -> None:
    """More tasks than may be under way at once; each fails at first."""
    _tried.clear()
    assert crew.each("work", _fail_once, list(range(150))) == list(range(150))
    assert all(_tried.count(number) == 2 for number in range(150))


def test_wrong_input_is_told_as_it_is(crew: Workers) -> None:
    """The error of the task, and not one of Dask's."""
    with pytest.raises(DatasetInvalid, match="two is no number"):
        crew.each("work", _refuse, [1, 2, 3])


class Deadly:
    """A task over which worker after worker died, such as of its memory."""

    def result(self) -> None:
        """What Dask raises then."""
        raise distributed.KilledWorker("work-1", SimpleNamespace(address="tls://127.0.0.1:1"), 3)


def test_a_task_that_kills_workers_ends_the_build_with_a_line() -> None:
    """Which says what may help; for ever trying would not."""
    with pytest.raises(WorkersLost, match="four workers died over one task; give each more memory"):
        workers._result("work", Deadly())


def test_a_folder_that_workers_do_not_see_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read or trained."""
    monkeypatch.setattr(reaching, "_read_if_there", lambda path: "")  # as on a machine that has another folder there
    with (
        threads(1) as address,
        pytest.raises(WorkersLost, match="--shared"),
        behind(address, tmp_path, lambda *told: None, lambda line: None),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_event_files_that_workers_do_not_see_are_read_by_the_build(
    crew: Workers, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on machines that have another folder there; the same events, and it is said."""
    alone, _ = read_events(load_dataset(dataset))
    said: list[str] = []
    monkeypatch.setattr(workers, "_sizes", lambda paths: [-1] * len(paths))
    events, _ = read_events(load_dataset(dataset), crew=crew, say=said.append)
    assert (events.users.tolist(), events.times.tolist()) == (alone.users.tolist(), alone.times.tolist())
    assert "read by this process (1 of 1 files)" in said[0]


def test_nobody_at_the_schedulers_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is one line, and leaves no folder behind."""
    monkeypatch.setattr(reaching, "FIRST_WORKER_S_MAX", 0.2)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(BuildError, match="no scheduler"),
        behind("tcp://127.0.0.1:1", tmp_path, lambda *told: None, lambda line: None),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_workers_a_build_does_not_wait_for_ever(crew: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them retire; the clock is driven."""
    monkeypatch.setattr(workers, "POLL_S", 0.01)
    crew.client.retire_workers()
    times = iter(range(0, 100_000, 100))
    stranded = Workers(crew.client, crew.folder, crew.progress, clock=lambda: float(next(times)))
    with pytest.raises(WorkersLost, match="no worker"):
        stranded.each("work", abs, [-1])
