"""The folder layout before POINTER.json: CURRENT names what is served, HISTORY.jsonl is for people.

Such a store is read as if each of its snapshots had been promoted in turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import FILE_NAME


def pointer(root: Path, versions: Sequence[str]) -> Pointer:
    """The pointer that a store of this layout amounts to; an empty one where the folder is none.

    Args:
        root: of the store.
        versions: complete snapshots, oldest first.
    """
    current = root / "CURRENT"
    try:
        served = current.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return Pointer()
    at = Who(datetime.fromtimestamp(current.stat().st_mtime, UTC).isoformat(), "", "as found")
    made = Pointer()
    for version in [*(one for one in versions if one != served), served]:
        manifest = (root / "snapshots" / version / FILE_NAME).read_bytes()
        made = made.pushed(version, at, hashlib.sha256(manifest).hexdigest()).promoted(version, at)
    return made


def remove(root: Path) -> None:
    """Remove what this layout had; the pointer has been written."""
    for name in ("CURRENT", "HISTORY.jsonl"):
        (root / name).unlink(missing_ok=True)
