"""The snapshot store in a folder.

    CURRENT              the version that is served, replaced atomically
    HISTORY.jsonl        one line for every move of the pointer
    LOCK                 held while the pointer is moved
    snapshots/VERSION/   complete snapshots, never written to again
    building/NAME/       what builders are at; a lock in each tells the living from the dead

A build writes under building/, its manifest last, and is renamed into snapshots/; then the pointer is moved, on the
condition that it still is where the builder saw it. Whatever the moment at which a builder dies, CURRENT names a
complete snapshot, and the next builder removes what the dead one left.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trunkshow.snapshot.manifest import FILE_NAME, Manifest, SnapshotRefused


class StoreError(Exception):
    """The store cannot do what was asked; the message is one line fit for a person."""


class PointerMoved(StoreError):
    """Somebody else published meanwhile; nothing was changed."""


@dataclass(frozen=True)
class FolderStore:
    """A store in a folder, on one machine or a shared file system.

    Attributes:
        root: the folder; made by the first build.
    """

    root: Path

    def current(self) -> str:
        """The version that the pointer names; empty where nothing was published yet."""
        try:
            return (self.root / "CURRENT").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise StoreError(f"{self.root} cannot be read: {error.strerror}") from error

    def folder(self, version: str) -> Path:
        """Where a version's files are."""
        return self.root / "snapshots" / version

    def versions(self) -> list[str]:
        """Complete snapshots, oldest first."""
        return sorted(path.parent.name for path in (self.root / "snapshots").glob(f"*/{FILE_NAME}"))

    def manifest(self, version: str) -> Manifest:
        """A version's manifest.

        Raises:
            StoreError: no such version.
            SnapshotRefused: it cannot be read, or calls itself otherwise.
        """
        try:
            text = (self.folder(version) / FILE_NAME).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            known = ", ".join(self.versions()) or "none"
            raise StoreError(f"{self.root} has no snapshot {version!r}; it has: {known}") from None
        except UnicodeDecodeError as error:
            raise SnapshotRefused(f"the manifest of {version} is not text: {error.reason}") from None
        manifest = Manifest.from_json(text)
        if manifest.version != version:
            raise SnapshotRefused(f"the manifest of {version} calls itself {manifest.version}")
        return manifest

    def resolve(self, version: str = "") -> str:
        """The version asked for, or the current one.

        Raises:
            StoreError: nothing was published here.
        """
        chosen = version or self.current()
        if not chosen:
            raise StoreError(f"{self.root} holds no published snapshot; make one with `trunkshow build`")
        return chosen

    def history(self) -> list[dict[str, Any]]:
        """Every move of the pointer, oldest first. A line cut short by a crash is left out."""
        try:
            lines = (self.root / "HISTORY.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        moves = []
        for line in lines:
            try:
                moves.append(json.loads(line))
            except ValueError:
                continue
        return moves

    @contextmanager
    def building(self) -> Iterator[Path]:
        """A folder to build in, locked as long as its builder lives, gone afterwards unless it was published.

        Raises:
            StoreError: the store cannot be written to, from the start or on the way (a full disk).
        """
        folder = self.root / "building" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}"
        with ExitStack() as held:
            try:
                with _locked(self.root / "LOCK"):
                    self._sweep()
                    held.enter_context(_locked(folder / "LOCK"))
                yield folder
            except OSError as error:
                why = error.strerror or str(error)
                raise StoreError(f"{self.root} cannot be written to: {why}; nothing was published") from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, built: Path, version: str, expected: str) -> None:
        """Make a finished build the current snapshot.

        Args:
            built: a folder inside `building()` that holds the snapshot, its manifest written last.
            version: the name it gets.
            expected: what `current()` was when the build began.

        Raises:
            PointerMoved: the pointer is elsewhere by now. The build is thrown away; build again on what is there.
        """
        with _locked(self.root / "LOCK"):
            if self.current() != expected:
                raise PointerMoved(
                    f"{self.root} was moved from {expected or 'nothing'} to {self.current()} by another builder "
                    f"while this build ran; nothing was published. Run the build again"
                )
            _sync_tree(built)
            target = self.folder(version)
            target.parent.mkdir(exist_ok=True)
            built.rename(target)
            _sync(target.parent)
            self._move(version, expected)

    def _move(self, version: str, previous: str) -> None:
        fresh = self.root / "CURRENT.new"
        fresh.write_text(version + "\n", encoding="utf-8")
        _sync(fresh)
        fresh.replace(self.root / "CURRENT")
        _sync(self.root)
        line = {
            "at": datetime.now(UTC).isoformat(),
            "event": "published",
            "version": version,
            "previous": previous,
        }
        path = self.root / "HISTORY.jsonl"
        # A line that a crash cut short must not take this one with it.
        written = path.read_bytes() if path.exists() else b""
        torn = written != b"" and not written.endswith(b"\n")
        with path.open("a", encoding="utf-8") as history:
            history.write("\n" * torn + json.dumps(line) + "\n")
            history.flush()
            os.fsync(history.fileno())

    def _sweep(self) -> None:
        """Remove what dead builders left: unfinished builds, and snapshots that the pointer never reached."""
        for left in (self.root / "building").glob("*"):
            if _is_free(left / "LOCK"):
                shutil.rmtree(left, ignore_errors=True)
        moves = self.history()
        reached = {
            self.current(),
            *(move["version"] for move in moves),
            *(move["previous"] for move in moves),
        }
        for path in (self.root / "snapshots").glob("*"):
            if path.name not in reached:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the kernel gives back when this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_free(path: Path) -> bool:
    try:
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)
