"""Folders for the logs of local clusters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.logs import KEPT, fresh_folder
from cli.output import UsageError


@pytest.fixture
def dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    return ended.pid


def test_every_cluster_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    """Two folders asked for by one process are two folders."""
    assert fresh_folder(tmp_path) != fresh_folder(tmp_path)


def test_the_newest_folders_are_kept(tmp_path: Path, dead_pid: int) -> None:
    """Of the folders of clusters that ended the newest are kept, this one among them; other things are left alone."""
    for day in range(10, 20):
        (tmp_path / f"202501{day}T000000000000-{dead_pid}").mkdir()
    (tmp_path / "mine.log").touch()
    fresh = fresh_folder(tmp_path)
    days = [path.name[6:8] for path in sorted(tmp_path.iterdir()) if path not in {fresh, tmp_path / "mine.log"}]
    assert (days, fresh.exists(), (tmp_path / "mine.log").exists()) == (["16", "17", "18", "19"], True, True)
    assert len(days) + 1 == KEPT


def test_the_logs_of_a_cluster_that_runs_are_not_removed(tmp_path: Path) -> None:
    """However old a folder is, it stays for as long as the process that made it lives."""
    live = tmp_path / f"20250101T000000000000-{os.getpid()}"
    live.mkdir()
    for _ in range(KEPT + 1):
        fresh_folder(tmp_path)
    assert live.exists()


def test_a_folder_that_cannot_be_made_is_wrong_input(tmp_path: Path) -> None:
    """Where a file stands in the way the line names the flag that chooses another place."""
    (tmp_path / "logs").touch()
    with pytest.raises(UsageError, match="--logs"):
        fresh_folder(tmp_path / "logs")
