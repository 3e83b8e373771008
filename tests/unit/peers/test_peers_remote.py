"""A peer in a real host process is told what to do, fails by itself, and is ended in any case."""

import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.peers import children, data, markdown, registry, remote, report, run
from bench.peers.data import Data
from bench.peers.remote import Failed, hosted
from bench.peers.run import Settings

TRIVIAL = "tests.trivial_peer"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A work folder with 200 items and 50 users."""
    draw = np.random.default_rng(0)
    items, queries = (draw.standard_normal((count, 8)).astype(np.float32) for count in (200, 50))
    exact = data.best(items, queries, [np.empty(0, np.int32)] * len(queries))
    (tmp_path / "data").mkdir()
    for name, array in {"items": items, "queries": queries, "exact": exact, "unseen": exact}.items():
        np.save(tmp_path / "data" / f"{name}.npy", array)
    about = {"users": [[str(user), 0] for user in range(50)], "items": [""] * 200, "version": "v", "store": "s"}
    (tmp_path / "data" / "about.json").write_text(json.dumps(about), encoding="utf-8")
    return tmp_path


def start(folder: Path, module: str = TRIVIAL):
    """A host of this module's peer."""
    return hosted(Path(sys.executable), module, folder / "data", folder / "state", folder / "log")


def test_a_peer_is_started_turned_and_measured_from_outside_and_stopped_at_the_end(folder: Path) -> None:
    """The whole way through a process; the peer says at its end that it was stopped."""
    assert len(Data.read(folder / "data").users) == 50
    with start(folder) as host:
        assert host.do("start")["turns"]
        assert host.do("sweep", aim=0.9)["knob"] == 9
        assert host.do("measure", callers=2, seconds=0.3, batch=0)["answers"] > 0
        assert not (folder / "state" / "stopped").exists()
    assert (folder / "state" / "stopped").exists()


def test_what_a_peer_cannot_do_is_told_and_it_can_be_asked_on(folder: Path) -> None:
    """One failure is not the end of a host."""
    with start(folder) as host:
        host.do("start")
        with pytest.raises(Failed, match="KeyError: 'juggle'"):
            host.do("juggle")
        assert host.do("turn", knob=10)["recall"] == 1.0


def test_a_host_that_ends_by_itself_is_told_with_its_last_words(folder: Path) -> None:
    """As where an environment lacks what a peer imports."""
    with start(folder, "tests.no_such_peer") as host, pytest.raises(Failed, match="no_such_peer"):
        host.do("start")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ours a trivial peer, and next to it another and one that cannot start."""
    ours, theirs = registry.OURS[0], registry.PEERS[0]
    there = {"module": TRIVIAL, "environment": ""}
    monkeypatch.setattr(registry, "OURS", (ours._replace(**there),))
    peers = (theirs._replace(**there, aim=0.001), theirs._replace(name="absent", environment="absent"))
    monkeypatch.setattr(registry, "PEERS", peers)
    monkeypatch.setattr(run, "CALLERS", (2,))
    monkeypatch.setattr(run, "BATCH_CALLERS", (1,))


@pytest.mark.usefixtures("two")
def test_a_peer_that_cannot_be_measured_is_reported_and_the_others_are_compared(folder: Path) -> None:
    """In tables and in JSON alike; nobody is dropped silently."""
    settings, said = Settings(folder, repeats=1, seconds=0.3, recall=0.9), []
    measured = run.run(settings, said.append)
    about = {"items": 200, "factors": 8, "users": 50, "partitions": 1}
    result = report.as_json(measured, settings, about)
    assert set(measured.failed) == {"absent"}
    assert "not installed" in result["subjects"]["absent"]["failed"]
    first, second = result["aims"][0], result["aims"][-1]
    assert first["kept"] is True
    assert first["ratio"] == min(first["by_callers"].values())
    assert second["kept"] is None
    text = markdown.as_markdown(result, "the command")
    assert "**absent: NOT measured**, or not whole. not installed" in text
    assert "not measured in this run" in text
    assert any("absent: NOT measured" in line for line in said)


def test_everybody_is_first_in_some_repeat_or_not_always_the_same() -> None:
    """The order goes round, and nobody is left out."""
    orders = [run.turned(registry.ALL, repeat) for repeat in range(3)]
    assert all(sorted(order) == sorted(registry.ALL) for order in orders)
    assert len({order[0] for order in orders}) == 3


def test_no_answer_in_time_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run never waits for ever."""
    monkeypatch.setattr(remote, "ANSWER_S_MAX", 0.0)
    with start(folder) as host, pytest.raises(Failed, match="no answer within 0 s"):
        host.do("start")


def test_a_server_that_a_peer_started_is_ended_when_the_peer_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, by its own id."""
    monkeypatch.setenv("TRIVIAL_PEER_SERVED", "1")
    with start(folder) as host:
        host.do("start")
        (server,) = children.descendants(host.pid)
        assert Path(f"/proc/{server}").exists()
    assert ended(server)


def ended(pid: int) -> bool:
    """Whether there is no such process, or only its remains; a kill takes a moment."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_host_that_hangs_is_ended_with_what_it_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a run outlives it."""
    monkeypatch.setattr(remote, "STOP_S_MAX", 0.2)
    monkeypatch.setenv("TRIVIAL_PEER_SERVED", "1")
    with start(folder) as host:
        host.do("start")
        (server,) = children.descendants(host.pid)
        os.kill(host.pid, signal.SIGSTOP)
    assert ended(host.pid)
    assert ended(server)


def test_settings_measure_ours_whatever_is_asked_for() -> None:
    """There is nothing to compare with otherwise."""
    chosen = Settings(Path(), only=("jina",)).subjects
    assert [one.name for one in chosen] == ["shard", "router", "jina"]
    assert dataclasses.replace(Settings(Path())).subjects == list(registry.ALL)
