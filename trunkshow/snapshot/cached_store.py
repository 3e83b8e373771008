"""A store with copies in a local folder, so that who was served once goes on when the store does not answer.

    CACHE/POINTER.json                    the pointer as it was last seen
    CACHE/snapshots/VERSION/...           manifests and files that were asked for, checked before they got their names
    CACHE/in-use/                         locks: which versions the processes that share the cache need

Reading falls back to the copies; everything that changes the store needs the store. Copies are copies, never links: a
file that is truncated in a store that others write to must not take down a process that has it mapped. Versions that
the pointer does not serve any more are removed by the last process that needs them (`local_copies`), whoever has them
mapped keeps them so; those that this process asked for although they were not served stay until another version becomes
the current one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import structlog

from trunkshow.snapshot import fallback, local_files, pointer_json
from trunkshow.snapshot.acceptance import accept
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.local_copies import LocalCopies
from trunkshow.snapshot.manifest import FILE_NAME, File, Manifest, SnapshotRefused
from trunkshow.snapshot.pointer_json import PointerUnreadable
from trunkshow.snapshot.signature import SIGNATURE_NAME, Key
from trunkshow.snapshot.store import DiskFailed, Store, StoreError, StoreUnreachable

log = structlog.get_logger()


class StoreWentBack(StoreError):
    """The store has an earlier pointer than was seen before: a stale answer, or a copy that somebody put back."""


class CachedStore:
    """A store, and copies of what was read from it.

    Args:
        store: asked first.
        cache: folder for the copies; made where it does not exist. Processes may share one.
        key: whose signature a copied manifest must carry, too; none is asked for where None.
        fallback: folder that a cache which was never filled is filled from while the store does not answer.

    Attributes:
        copies: which versions' copies stay; the others go aside, so that no pointer waits for a disk to remove them.
        reachable: whether the store answered when its pointer was last asked for; a copy was told where not.
    """

    def __init__(self, store: Store, cache: Path, key: Key | None = None, fallback: Path | None = None) -> None:
        self.store = store
        self.cache = cache
        self.reachable = True
        self._key = key
        self._fallback = fallback
        self._known: Pointer | None = None
        self.copies = LocalCopies(cache)

    @property
    def url(self) -> str:
        """The store's."""
        return self.store.url

    def pointer(self) -> Pointer:
        """What is served; as it was last seen, where the store does not answer, or answers with less than that.

        A store whose pointer tells other moves than the one that was seen was made anew: it is followed.
        """
        self.copies.tend()
        known = self._known or self._last_seen()
        try:
            pointer = self.store.pointer()
            if known is not None and pointer.may_be_past(known):
                raise StoreWentBack(f"{self.url} went back from move {known.serial} to {pointer.serial}")
        except StoreError as error:
            self._is_reachable(False, error)
            if known is None and isinstance(error, StoreUnreachable):  # what is misconfigured must not go unnoticed
                known = self._begun()
            if known is None:
                raise
            return known
        self._is_reachable(True)
        if known is not None and pointer.serial < known.serial:
            log.warning("store.made_anew", store=self.url, serial=pointer.serial, known=known.serial)
        self._known = pointer
        if known is None or (pointer.serial, pointer.history[-1:]) != (known.serial, known.history[-1:]):
            self._write(
                Path("POINTER.json"), lambda target: target.write_text(pointer_json.dumps(pointer), encoding="utf-8")
            )
            self.copies.follow(pointer, known or Pointer())
        return pointer

    def move(self, change: Callable[[Pointer], Pointer]) -> Pointer:
        """The store's business alone."""
        return self.store.move(change)

    def manifest(self, version: str) -> Manifest:
        """A version's manifest; the copy, where there is one that is the one that was pushed."""
        self.copies.need(version)
        copied = self._copied_manifest(version)
        if copied is not None:
            return copied
        manifest = self.store.manifest(version)
        for name in (FILE_NAME, SIGNATURE_NAME) if self._key else (FILE_NAME,):
            self._write(Path("snapshots", version, name), partial(self.store.fetch, version, name))
        return manifest

    def versions(self) -> list[str]:
        """The store's; those with copies, where it does not answer."""
        try:
            return self.store.versions()
        except StoreError:
            copied = (path.parent.name for path in (self.cache / "snapshots").glob(f"*/{FILE_NAME}"))
            return sorted(version for version in copied if not version.startswith("."))

    def ensure(self, version: str, files: Mapping[str, File]) -> Path:
        """The folder of the copies, once these files are among them."""
        self.copies.need(version)
        folder = self.copies.folder(version)
        try:
            local_files.ensure(folder, files, lambda path, target: self.store.fetch(version, path, target))
        except OSError as error:
            raise DiskFailed(f"the cache {self.cache} does not take copies: {error.strerror or error}") from error
        return folder

    def forget(self, version: str) -> None:
        """Nothing: copies follow the pointer, as the store may be gone when a version is named again."""

    def fetch(self, version: str, path: str, target: Path) -> None:
        """The store's business alone."""
        self.store.fetch(version, path, target)

    def building(self) -> AbstractContextManager[Path]:
        """The store's business alone."""
        return self.store.building()

    def push(self, built: Path, manifest: Manifest, who: Who) -> Pointer:
        """The store's business alone."""
        return self.store.push(built, manifest, who)

    def remove(self, version: str) -> None:
        """The store's business alone."""
        self.store.remove(version)

    def traces(self) -> dict[str, float]:
        """The store's business alone."""
        return self.store.traces()

    def _last_seen(self) -> Pointer | None:
        try:
            return pointer_json.loads((self.cache / "POINTER.json").read_bytes())
        except (OSError, PointerUnreadable):
            return None

    def _begun(self) -> Pointer | None:
        """The fallback's pointer, once its copies are in the cache; None where there is none, or it is no good."""
        if self._fallback is None or not self._fallback.is_dir():
            return None
        try:
            pointer = fallback.seed(self._fallback, self.cache, self._key)
        except (OSError, PointerUnreadable, SnapshotRefused) as error:
            log.error("fallback.unusable", fallback=str(self._fallback), error=str(error))
            return None
        log.warning("fallback.taken", fallback=str(self._fallback), snapshot=pointer.current)
        return pointer

    def _copied_manifest(self, version: str) -> Manifest | None:
        known = self._known or self._last_seen()
        checksum = known.manifests.get(version, "") if known else ""
        folder = self.copies.folder(version)
        try:
            data = (folder / FILE_NAME).read_bytes()
            signature = (folder / SIGNATURE_NAME).read_bytes() if self._key else b""
            return accept(data, version, checksum, self._key, signature) if checksum else None
        except (OSError, SnapshotRefused):
            return None

    def _is_reachable(self, reachable: bool, why: StoreError | None = None) -> None:
        if reachable != self.reachable:
            self.reachable = reachable
            if reachable:
                log.info("store.reachable", store=self.url)
            else:
                event = "store.went_back" if isinstance(why, StoreWentBack) else "store.unreachable"
                log.error(event, store=self.url, error=str(why), cache=str(self.cache))

    def _write(self, path: Path, write: Callable[[Path], object]) -> None:
        try:
            local_files.replace(self.cache / path, write)
        except OSError as error:  # the store did answer; that it cannot be remembered must not matter now
            log.warning("cache.not_written", cache=str(self.cache), file=str(path), error=error.strerror)
