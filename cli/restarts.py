"""When a process that died is started again, or given up: decided from how its lives went. `cli.processes` acts.

1. A process that never was up is given up after `STILLBIRTHS_MAX` deaths in a row: it is misconfigured, and trying
   again would hide that. So is one that says so itself, with exit code 2.
2. Any other is started again for as long as the cluster is up, after `BACKOFF`, by its short lives in a row.
3. A life of `HEALTHY_S` and more is not a short one: after it the count starts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkshow.serving.backoff import Backoff

BACKOFF = Backoff(first_s=0.2, longest_s=10.0)
HEALTHY_S = 30.0
STILLBIRTHS_MAX = 3
MISCONFIGURED = 2


@dataclass(frozen=True, slots=True)
class Life:
    """One run of a process: how long it lasted, how it ended, and whether the cluster was up by then."""

    seconds: float
    exit_code: int
    was_up: bool


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after so many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Leave it; why, for a person."""

    why: str


def decide(lives: Sequence[Life]) -> Restart | GiveUp:
    """What becomes of a process after these lives, oldest first; at least one."""
    last = lives[-1]
    if not last.was_up and last.exit_code == MISCONFIGURED:
        return GiveUp("it was started with something wrong")
    if len(lives) >= STILLBIRTHS_MAX and not any(life.was_up for life in lives):
        return GiveUp(f"it died {len(lives)} times before the cluster was up")
    short = 0
    for life in reversed(lives):
        if life.seconds >= HEALTHY_S:
            break
        short += 1
    return Restart(BACKOFF.after(max(short, 1)))
