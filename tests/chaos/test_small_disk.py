"""The disk that is full is a shard's own: nothing of it stays behind for others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.chaos.store_faults import small_disk

ROOM_BYTES = 64 << 10
LARGE = "\n".join(f"def f{number}(): return {number}" for number in range(3000))


@pytest.mark.parametrize("user", ["root", "somebody"])
def test_what_is_imported_where_the_disk_is_full_can_be_imported_afterwards(
    user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 keeps a file of byte code for which there was half the room, and fails with it ever after."""
    if user == "somebody":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    elif os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("who may not mount is limited")
    cache, sources = tmp_path / "cache", tmp_path / "sources"
    cache.mkdir()
    sources.mkdir()
    (sources / "large.py").write_text(LARGE)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    imports = (sys.executable, "-c", "import large")
    for command in ((*small_disk(str(cache)), *imports), imports):
        assert subprocess.run(command, cwd=sources, env=environment, check=False).returncode == 0
    (compiled,) = (sources / "__pycache__").iterdir()
    assert compiled.stat().st_size > ROOM_BYTES
