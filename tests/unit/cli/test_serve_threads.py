"""Servers solve users' equations on their event loop's own core."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SERVE = """
import os, sys, types

def run(config):
    import numpy
    some = numpy.ones((2000, 200))
    some.T @ some
    print(len(os.listdir("/proc/self/task")))

sys.modules["{role}.main"] = played = types.ModuleType("{role}.main")
played.run = run
from cli import serve
serve.{role}(config=serve.{config})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize(
    ("role", "config"),
    [
        ("shard", "ShardConfig('', listen='127.0.0.1:0')"),
        ("router", "RouterConfig('', shards=('127.0.0.1:1',), listen='127.0.0.1:0')"),
    ],
)
def test_linear_algebra_starts_no_threads_in_a_server(role: str, config: str) -> None:
    """By the time that a server multiplies matrices it was said to numpy that one thread is enough."""
    own = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    script = SERVE.format(role=role, config=config)
    served = subprocess.run([sys.executable, "-c", script], env=own, capture_output=True, text=True, check=True)
    assert served.stdout.split() == ["1"]
