"""The local cluster's log: a NATS server that this machine alone reaches."""

from __future__ import annotations

import json
from pathlib import Path

import nats_servers
import pytest

from cli import nats
from cli.output import UsageError


def test_it_listens_on_this_machine_and_keeps_its_files_where_it_was_told(tmp_path: Path) -> None:
    """And forces every record to the disk before it acknowledges it."""
    wanted = json.loads(nats.configuration(tmp_path, "127.0.0.1:4333"))
    assert (wanted["host"], wanted["port"]) == ("127.0.0.1", 4333)
    assert wanted["jetstream"]["store_dir"] == str(tmp_path)
    assert wanted["jetstream"]["sync_interval"] == "always"


def test_an_address_beyond_this_machine_is_refused(tmp_path: Path) -> None:
    """It would let everybody write."""
    with pytest.raises(UsageError, match=r"0\.0\.0\.0:4333 is not on 127\.0\.0\.1"):
        nats.child(tmp_path, "0.0.0.0:4333", None)


def test_the_server_takes_the_configuration(tmp_path: Path) -> None:
    """It comes up, with its files in the folder, and comes up again on the same port."""
    with nats_servers.running(tmp_path / "log") as server:
        server.kill()
        server.start()
        assert (tmp_path / "log" / "jetstream").is_dir()
