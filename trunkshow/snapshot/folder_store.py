"""The snapshot store in a folder, on one machine or on a file system that machines share.

    POINTER.json         replaced atomically, under LOCK
    LOCK                 held while the pointer is moved
    snapshots/VERSION/   complete snapshots
    building/NAME/       what builders are at; a lock in each tells the living from the dead
    building/VERSION.pushing   a build is being renamed into snapshots/, and the pointer has not learned of it

A build writes under building/, its manifest last, is renamed into snapshots/, and then the pointer learns of it, both
under LOCK. Whatever the moment at which a builder dies, the pointer names complete snapshots alone, and the next
builder removes what the dead one left. It removes no snapshot that no dead builder was pushing, although the pointer
does not know of it: that may have been put back from an older copy. Such files are for `trunkshow gc`, after a day.

The first builder writes a pointer before it has built anything. So a store that has snapshots and no pointer has lost
it: nobody can tell then what is served and what is rubbish, and nothing is read, moved or removed until it is back.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trunkshow import pacing
from trunkshow.snapshot import pointer_json
from trunkshow.snapshot.acceptance import accept
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import ABSENT, FILE_NAME, File, Manifest, SnapshotRefused, verify
from trunkshow.snapshot.pointer_json import PointerUnreadable
from trunkshow.snapshot.signature import SIGNATURE_BYTES_MAX, SIGNATURE_NAME, Key
from trunkshow.snapshot.states import REMOVABLE
from trunkshow.snapshot.store import NoSuchSnapshot, PointerLost, StoreError, StoreUnreachable

POINTER = "POINTER.json"
PUSHING = ".pushing"
COPY_BYTES = 2**20


@dataclass(frozen=True)
class FolderStore:
    """A store in a folder.

    Attributes:
        root: the folder; made by the first build.
        key: whose signature a manifest must carry; none is asked for where None.
    """

    root: Path
    key: Key | None = None

    @property
    def url(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def reachable(self) -> bool:
        """Always: without an answer there is no pointer."""
        return True

    def pointer(self) -> Pointer:
        """What is served; an empty pointer where nothing was pushed yet."""
        with self._reading():
            try:
                return pointer_json.loads((self.root / POINTER).read_bytes())
            except PointerUnreadable as error:
                raise StoreError(f"{self.root}: {error}") from error
            except FileNotFoundError:
                self._check_there()
                if self.versions():
                    raise PointerLost(self.url) from None
                return Pointer()

    def move(self, change: Callable[[Pointer], Pointer]) -> Pointer:
        """Replace the pointer by what `change` makes of it; others wait meanwhile."""
        self._check_there()
        with self._writing(), _locked(self.root / "LOCK"):
            before = self.pointer()
            after = change(before)
            if after is not before:
                self._write(after)
            return after

    def manifest(self, version: str) -> Manifest:
        """A version's manifest, if it is the one that was pushed."""
        with self._reading():
            try:
                data = (self.folder(version) / FILE_NAME).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                known = ", ".join(self.versions()) or "none"
                raise NoSuchSnapshot(f"{self.root} has no snapshot {version!r}; it has: {known}") from None
            signature = _read_if_there(self.folder(version) / SIGNATURE_NAME)
        return accept(data, version, self.pointer().manifests.get(version, ""), self.key, signature)

    def versions(self) -> list[str]:
        """Complete snapshots, oldest first."""
        return sorted(path.parent.name for path in (self.root / "snapshots").glob(f"*/{FILE_NAME}"))

    def folder(self, version: str) -> Path:
        """Where a version's files are."""
        return self.root / "snapshots" / version

    def ensure(self, version: str, files: Mapping[str, File]) -> Path:
        """The version's folder, once these files in it were checked; they are used where they lie."""
        try:
            with self._reading():
                verify(self.folder(version), files)
        except SnapshotRefused as error:
            if self.root.is_dir():
                raise
            raise StoreUnreachable(f"there is no folder {self.root} any more") from error
        return self.folder(version)

    def forget(self, version: str) -> None:
        """Nothing: files are used where they lie."""

    def fetch(self, version: str, path: str, target: Path) -> None:
        """Copy one file of a version."""
        try:
            source = (self.folder(version) / path).open("rb")
        except OSError as error:
            if self.root.is_dir():
                outcome = SnapshotRefused if error.errno in ABSENT else StoreUnreachable
                raise outcome(f"{path} of {version} cannot be read: {error.strerror}") from error
            raise StoreUnreachable(f"there is no folder {self.root} any more") from error
        with source, target.open("wb") as copy:
            while block := source.read(COPY_BYTES):
                copy.write(block)
                pacing.rest()

    @contextmanager
    def building(self) -> Iterator[Path]:
        """A folder to build in, locked as long as its builder lives, gone afterwards.

        Raises:
            StoreError: the store cannot be written to, from the start or on the way (a full disk).
        """
        folder = self.root / "building" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}"
        with ExitStack() as held:
            try:
                with self._writing():
                    with _locked(self.root / "LOCK"):
                        self._have_a_pointer()
                        self._sweep()
                        held.enter_context(_locked(folder / "LOCK"))
                    yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def push(self, built: Path, manifest: Manifest, who: Who) -> Pointer:
        """Rename a finished build into place, and let the pointer know."""
        version = manifest.version
        checksum = hashlib.sha256((built / FILE_NAME).read_bytes()).hexdigest()
        with self._writing():
            _sync_tree(built)  # before the lock: nobody who moves the pointer, to roll back, is to wait for the disk
        with self._writing(), _locked(self.root / "LOCK"):
            after = self.pointer().pushed(version, who, checksum)  # a name that is taken is refused before any rename
            with self._noted(version) as target:
                built.rename(target)
                _sync(target.parent)
                self._write(after)
            return after

    def remove(self, version: str) -> None:
        """Remove a version's files, the manifest first, so that what a crash leaves is no snapshot any more."""
        with self._writing(), _locked(self.root / "LOCK"):
            state = self.pointer().states.get(version)
            if state not in REMOVABLE:
                raise StoreError(f"{version} is {state} in {self.root}; its files stay")
            (self.folder(version) / FILE_NAME).unlink(missing_ok=True)
            shutil.rmtree(self.folder(version), ignore_errors=True)

    def traces(self) -> dict[str, float]:
        """When each version's folder was last written to, whole or not, in seconds since the epoch."""
        with self._reading():
            return {path.name: path.stat().st_mtime for path in (self.root / "snapshots").glob("*")}

    @contextmanager
    def _noted(self, version: str) -> Iterator[Path]:
        """Where a version goes; a note says that it is on its way there, unless it was there before."""
        target = self.folder(version)
        if target.exists():
            raise StoreError(f"{target} is there already, and the pointer does not know it; see `trunkshow gc`")
        target.parent.mkdir(exist_ok=True)
        note = self.root / "building" / f"{version}{PUSHING}"
        note.parent.mkdir(exist_ok=True)
        note.touch()
        yield target
        with suppress(OSError):  # it is published; the next build finds that the pointer knows it
            note.unlink()

    def _check_there(self) -> None:
        if not self.root.is_dir():
            raise StoreUnreachable(f"there is no folder {self.root}; make a snapshot there with `trunkshow build`")

    def _write(self, pointer: Pointer) -> None:
        fresh = self.root / f"{POINTER}.new"
        fresh.write_text(pointer_json.dumps(pointer), encoding="utf-8")
        _sync(fresh)
        fresh.replace(self.root / POINTER)
        _sync(self.root)

    def _have_a_pointer(self) -> None:
        """Write the first one where there is none, and nothing that it should have known of."""
        if not (self.root / POINTER).exists():
            self._write(self.pointer())

    def _sweep(self) -> None:
        """Remove what dead builders left: unfinished builds, and pushes of which the pointer never learned."""
        known = self.pointer().states
        for left in (self.root / "building").glob("*"):
            if left.suffix == PUSHING:  # of somebody who is dead: the living hold the lock that is held here
                if left.stem not in known:
                    shutil.rmtree(self.folder(left.stem), ignore_errors=True)
                left.unlink()
            elif _is_free(left / "LOCK"):
                shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnreachable(f"{self.root} cannot be read: {error.strerror or error}") from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise StoreError(f"{self.root} cannot be written to: {why}; nothing was published") from error


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


def _read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()[:SIGNATURE_BYTES_MAX]
    except FileNotFoundError:
        return b""


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
