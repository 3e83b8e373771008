"""As much of a snapshot as new items are read for: it knows which of them it was told of. Not a test."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from trunkshow.snapshot.additions import Addition


class Opened:
    """As much of a snapshot as is read for; it knows what was added to it."""

    version, likeness = "v1", None
    catalogue: Any = SimpleNamespace(additions=())

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, items: Sequence[Addition], *, at_once: bool) -> bool:
        """Items came."""
        self.told += [item.id for item in items]
        return True
