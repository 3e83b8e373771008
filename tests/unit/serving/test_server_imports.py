"""What a server process does not load, an image for serving need not hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

OF_THE_BUILDER = ("polars", "scipy", "irspack", "pandas")


@pytest.mark.parametrize("server", ["shard.main", "router.main"])
def test_a_server_loads_nothing_of_the_builders(server: str) -> None:
    """Installed models included: what they train with is imported when they train."""
    code = (
        f"import sys, {server}; from trunkshow import models; models.installed(); "
        f"print([name for name in {OF_THE_BUILDER} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
