"""Which event log a local cluster gets, and that nobody else gets the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.local_log import NO_LOG, LogPlan, held, plan_of
from cli.output import UsageError

URL = "nats://10.0.0.7:4222/EVENTS"


def test_without_a_word_a_cluster_gets_a_log_of_its_own(tmp_path: Path) -> None:
    """In the folder, on an address of this machine."""
    assert plan_of("", tmp_path, "127.0.0.1:0") == LogPlan(folder=tmp_path, listen="127.0.0.1:0")


def test_none_is_none_and_an_address_is_somebodys(tmp_path: Path) -> None:
    """Neither runs anything."""
    assert plan_of("none", tmp_path, "127.0.0.1:0") == NO_LOG
    assert plan_of(URL, tmp_path, "127.0.0.1:0") == LogPlan(url=URL)


@pytest.mark.parametrize(
    ("wish", "listen"), [("nats://", "127.0.0.1:0"), ("http://here/EVENTS", "127.0.0.1:0"), ("", "nowhere")]
)
def test_what_is_no_address_is_refused_before_anything_starts(tmp_path: Path, wish: str, listen: str) -> None:
    """In one line."""
    with pytest.raises(UsageError):
        plan_of(wish, tmp_path, listen)


def test_its_own_log_is_a_child_to_keep(tmp_path: Path) -> None:
    """Under the address that the router is told."""
    with held(plan_of("", tmp_path, "127.0.0.1:0"), None) as log:
        assert log.child is not None
        address = log.url.removeprefix("nats://").removesuffix("/EVENTS")
        assert address.partition(":")[2] in (tmp_path / "nats-server.conf").read_text()


def test_a_folder_is_one_clusters_at_a_time(tmp_path: Path) -> None:
    """The next may have it once the first is gone."""
    plan = plan_of("", tmp_path, "127.0.0.1:0")
    with held(plan, None):
        settings = (tmp_path / "nats-server.conf").read_text()
        with pytest.raises(UsageError, match="another cluster"), held(plan, None):
            pass
        # Another port there, and the first one's server would come back where nobody looks for it.
        assert (tmp_path / "nats-server.conf").read_text() == settings
    with held(plan, None):
        pass


def test_a_log_beyond_this_machine_is_not_run_here(tmp_path: Path) -> None:
    """It asks nobody for credentials."""
    with pytest.raises(UsageError), held(plan_of("", tmp_path, "0.0.0.0:0"), None):
        pass
