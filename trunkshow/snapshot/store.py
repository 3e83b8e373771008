"""The snapshot store, as everybody but its adapters sees it: a port, its errors, and how one is opened.

    POINTER.json                          what is served, and the life of every version; moved by compare-and-swap alone
    snapshots/VERSION/                    complete snapshots, never written to again; the manifest is written last

What moves there are is `lifecycle`'s business; how the document is kept, and that of two movers one sees the other's
move, is an adapter's: `folder_store`, `s3_store`. `cached_store` goes on where either does not answer.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import File, Manifest


class StoreError(Exception):
    """The store cannot do what was asked; the message is one line fit for a person."""


class StoreUnreachable(StoreError):
    """The store does not answer, or not in time; it may do so later."""


class NoSuchSnapshot(StoreError):
    """The store answers that it has no version of that name."""


class DiskFailed(StoreError):
    """This machine's disk does not take or give the copies: it is full, or fails. It says nothing of the snapshot."""


class PointerMoved(StoreError):
    """Somebody else promoted a version meanwhile; what was to be promoted is pushed, and not served."""


class PointerLost(StoreError):
    """The store has snapshots and no pointer: what is served there cannot be told, and nothing may be removed."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url} has snapshots, and no POINTER.json that says which one is served; put it back (the cache of a "
            "shard or a router has a copy), or move the snapshots elsewhere"
        )


class Store(Protocol):
    """Where snapshots are pushed to and fetched from.

    Every method may raise `StoreUnreachable` where the store does not answer, and `StoreError` where it answers that it
    cannot. All of them block, each for a bounded time; none is for an event loop.
    """

    @property
    def url(self) -> str:
        """What a person calls it: a folder's path, or `s3://BUCKET/PREFIX`."""
        ...

    @property
    def reachable(self) -> bool:
        """Whether the pointer that was told last is the store's own, and not a copy of what it was."""
        ...

    def pointer(self) -> Pointer:
        """What is served; an empty pointer where nothing was pushed yet."""
        ...

    def move(self, change: Callable[[Pointer], Pointer]) -> Pointer:
        """Replace the pointer by what `change` makes of it, on the condition that nobody else moved it meanwhile.

        Where somebody did, `change` is called again with what is there then. What it raises passes through, and nothing
        has moved; where it returns the very pointer that it was given, nothing is written.

        Returns:
            The pointer as it is afterwards.
        """
        ...

    def manifest(self, version: str) -> Manifest:
        """A version's manifest.

        Raises:
            NoSuchSnapshot: no such version.
            SnapshotRefused: it cannot be read, or is another than the one that was pushed.
        """
        ...

    def versions(self) -> list[str]:
        """Complete snapshots, oldest first."""
        ...

    def ensure(self, version: str, files: Mapping[str, File]) -> Path:
        """The local folder of a version in which now lie these files, each found to be what the manifest says.

        Args:
            version: that they belong to.
            files: path within the snapshot → size and checksum, from the manifest.

        Raises:
            SnapshotRefused: a file is missing, or is not what the manifest says.
            DiskFailed: copies are kept, and this machine's disk does not take or give them.
        """
        ...

    def forget(self, version: str) -> None:
        """This process serves a version no more: local copies that only it needed may go; what is open stays open.

        It may be asked for again, and is fetched again then. Nothing is raised where a copy cannot be removed.
        """
        ...

    def fetch(self, version: str, path: str, target: Path) -> None:
        """Write one file of a version to `target`, unchecked; for who keeps copies.

        Raises:
            SnapshotRefused: it is not there.
        """
        ...

    def building(self) -> AbstractContextManager[Path]:
        """A local folder to build in, gone afterwards."""
        ...

    def push(self, built: Path, manifest: Manifest, who: Who) -> Pointer:
        """Take in a finished snapshot: every file, the manifest last; then the pointer knows it as pushed.

        Args:
            built: its folder, somewhere inside that of `building()`; it may be gone afterwards.
            manifest: the one that lies in it.
            who: pushes it.

        Raises:
            LifecycleError: the version was pushed before.
        """
        ...

    def remove(self, version: str) -> None:
        """Remove a version's files; the pointer must not know it, or must know it as refused or poisoned.

        Raises:
            StoreError: it is in another state.
        """
        ...

    def traces(self) -> dict[str, float]:
        """When each version was last written to, in seconds since the epoch; of those, too, that are not complete."""
        ...


def open_store(
    url: str | Path, cache: Path | None = None, verify_key: Path | None = None, fallback: Path | None = None
) -> Store:
    """The store at a folder's path or at `s3://BUCKET/PREFIX`; nothing is read yet.

    Args:
        url: where it is.
        cache: a local folder to keep copies in, so that what was fetched once is there when the store is not.
        verify_key: file of the public key whose signature every manifest must carry; none is asked for where None.
        fallback: a folder to fill an empty cache from while the store does not answer (`trunkshow.snapshot.fallback`).

    Raises:
        StoreError: a URL that names no store.
        KeyUnusable: the file holds no such key.
    """
    # Adapters import this module, and the object store's client is not for processes that read a folder.
    from trunkshow.snapshot.cached_store import CachedStore
    from trunkshow.snapshot.folder_store import FolderStore
    from trunkshow.snapshot.signature import load_key

    key = None if verify_key is None else load_key(verify_key)
    store: Store
    if str(url).startswith("s3://"):
        from trunkshow.snapshot.s3_store import S3Store

        store = S3Store(str(url), key=key)
    elif "://" in str(url):
        raise StoreError(f"{url} names no store; there are folders, and s3://BUCKET/PREFIX")
    else:
        store = FolderStore(Path(url), key)
    return store if cache is None else CachedStore(store, cache, key, fallback)


def resolve(store: Store, version: str = "") -> str:
    """The version asked for, or the one that is served.

    Raises:
        StoreError: nothing is served from here.
    """
    chosen = version or store.pointer().current
    if not chosen:
        raise StoreError(f"{store.url} serves no snapshot; make one with `trunkshow build`, or promote one")
    return chosen


def who(why: str = "", by: str = "") -> Who:
    """This process as a mover of the pointer, now.

    Args:
        why: in words, for the history.
        by: user and host where empty.
    """
    return Who(datetime.now(UTC).isoformat(timespec="milliseconds"), by or f"{_user()}@{socket.gethostname()}", why)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id has no name
        return str(os.getuid())
