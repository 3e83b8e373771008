"""Local copies of a version's files: fetched to a temporary name, checked, and renamed; what is there already stays.

So a folder never holds a file under its name that was not checked, several processes may fill it at once, and what one
that died had fetched need not be fetched again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from trunkshow.snapshot.manifest import File, SnapshotRefused, verify

Fetch = Callable[[str, Path], None]
"""Writes the file of a path within the snapshot to a local path."""


def ensure(folder: Path, files: Mapping[str, File], fetch: Fetch) -> None:
    """Have these files in a folder, each found to be what the manifest says.

    Args:
        folder: of one version; made where it does not exist.
        files: path within the snapshot → size and checksum.
        fetch: called for what is missing, or spoilt.

    Raises:
        SnapshotRefused: what was fetched is not what the manifest says.
        OSError: the folder does not take it, or not give it back: a full disk, or a failing one; or it was removed.
    """
    for path, expected in files.items():
        if not _is_there(folder, path, expected):
            _bring(folder, path, expected, fetch)


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it: a reader sees the old or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _beside(path)
    try:
        write(fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def set_aside(folder: Path) -> Path | None:
    """Free a version's name at once, as others see it; where its files are now, to be removed, or None if they stay."""
    gone = _beside(folder)
    with suppress(OSError):
        return folder.rename(gone)
    return None


def _is_there(folder: Path, path: str, expected: File) -> bool:
    if not (folder / path).exists():
        return False
    try:
        verify(folder, {path: expected})
    except (SnapshotRefused, OSError):  # a disk that cannot give it back may take another one
        return False
    return True


def _bring(folder: Path, path: str, expected: File, fetch: Fetch) -> None:
    def fetched_and_checked(fresh: Path) -> None:
        fetch(path, fresh)
        try:
            verify(fresh.parent, {fresh.name: expected}, called=path)
        except SnapshotRefused:
            fresh.stat()  # what somebody removed meanwhile is no fault of the version's: that is an OSError
            raise

    replace(folder / path, fetched_and_checked)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
