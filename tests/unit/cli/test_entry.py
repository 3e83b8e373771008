"""The script where only the client is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = {command!r}
from cli.entry import main
main()
"""
SERVING = {"cyclopts", "rich", "structlog", "numpy", "lmdb", "faiss", "uvloop"}


@pytest.mark.parametrize("missing", [{"cyclopts"}, SERVING])
@pytest.mark.parametrize("command", [["trunkshow"], ["trunkshow", "recommend", "bob"]])
def test_without_the_serving_extra_one_line_says_what_to_install(missing: set[str], command: list[str]) -> None:
    """Where the commands' libraries are not installed the script exits with 2 and one line, not a traceback."""
    code = WITHOUT.format(missing=missing, command=command)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "trunkshow: cyclopts is not installed; the commands need trunkshow[serving]\n"
