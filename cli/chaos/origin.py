"""Where figures come from: the commit that ran, and the machine that it ran on; by parts, where there were several."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cli.chaos.processes import ROOT


@dataclass(frozen=True)
class Part:
    """A stretch of a run that was done in one go.

    Attributes:
        commit: that ran.
        machine: in a few words.
        faults: that it judged.
    """

    commit: str
    machine: str
    faults: int


def told(parts: Sequence[Part]) -> str:
    """In a sentence: what ran on what; where several commits did, each with how many faults it judged."""
    faults = Counter[str]()
    for part in parts:
        faults[part.commit] += part.faults
    machines = "; ".join(dict.fromkeys(part.machine for part in parts))
    if len(faults) == 1:
        commits = f"commit {parts[0].commit}"
    else:
        commits = "commits " + " and ".join(f"{one} ({count} faults)" for one, count in faults.items())
    return f"{commits}, {machines}" + (f", in {len(parts)} parts" if len(parts) > 1 else "")


def machine() -> str:
    """What it ran on."""
    return f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {sys.platform}"


def commit() -> str:
    """Of the checkout that runs, marked where it was changed since; unknown outside of one."""
    try:
        done = subprocess.run(  # noqa: S603 - no input from anywhere
            ["git", "-C", ROOT, "describe", "--always", "--dirty"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
