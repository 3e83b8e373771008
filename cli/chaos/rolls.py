"""Who is a member, in files that processes look up again and again: one for all shards, one for each router."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class Rolls:
    """The files.

    Args:
        folder: of them; made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def source(self, reader: str) -> str:
        """Where this one looks, as `--members` takes it."""
        return f"file:{self._folder / reader}"

    def enter(self, reader: str, addresses: Iterable[str]) -> None:
        """What it finds from now on; whoever is reading has the old or the new one, whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{reader}.new"
        fresh.write_text("".join(f"{address}\n" for address in addresses), encoding="utf-8")
        fresh.replace(self._folder / reader)
