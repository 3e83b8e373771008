"""A last copy to begin with, for who starts on an empty cache while the store is away.

    FOLDER/POINTER.json            the pointer as it was when the copy was made
    FOLDER/snapshots/VERSION/...   of the version that was current then: the manifest, and what a router opens

It is made beforehand (`keep`) and only read afterwards: it may lie in an image, or on a volume that many share. It is
taken into the cache file by file, each checked as if it came from the store (`seed`); from then on the cache has a
last-seen pointer like any other, and what follows from that is `cached_store`'s business. Partitions are not in it:
without the store a shard goes on from its own disk.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from trunkshow.snapshot import local_files, pointer_json
from trunkshow.snapshot.acceptance import accept
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import FILE_NAME, Manifest, SnapshotRefused
from trunkshow.snapshot.reader import DIRECTORY, SHARED
from trunkshow.snapshot.signature import SIGNATURE_NAME, Key
from trunkshow.snapshot.store import Store, resolve

POINTER = "POINTER.json"


def keep(store: Store, folder: Path) -> Manifest:
    """Make the copy of what a store serves, or make it anew; the manifest of the version that is in it.

    Raises:
        StoreError: nothing is served, or the store does not answer.
        SnapshotRefused: a file is not what the manifest says; the copy that was there stays as it was.
        OSError: the folder does not take it.
    """
    pointer = store.pointer()
    version = pointer.current or resolve(store)
    manifest, target = store.manifest(version), folder / "snapshots" / version
    local_files.ensure(target, manifest.under(*SHARED, DIRECTORY), partial(store.fetch, version))
    local_files.replace(target / FILE_NAME, partial(store.fetch, version, FILE_NAME))
    try:
        local_files.replace(target / SIGNATURE_NAME, partial(store.fetch, version, SIGNATURE_NAME))
    except SnapshotRefused:
        (target / SIGNATURE_NAME).unlink(missing_ok=True)  # it is not signed
    local_files.replace(folder / POINTER, partial(_write, pointer_json.dumps(pointer).encode()))
    for other in (folder / "snapshots").iterdir():
        if other.name != version:
            shutil.rmtree(other, ignore_errors=True)
    return manifest


def seed(folder: Path, cache: Path, key: Key | None = None) -> Pointer:
    """Take the copy into a cache; the pointer as it was.

    Args:
        folder: of the copy.
        cache: that gets it, the pointer last.
        key: whose signature the manifest must carry; none is asked for where None.

    Raises:
        PointerUnreadable, SnapshotRefused: it is not what it was.
        OSError: it is not there, or the cache does not take it.
    """
    data = (folder / POINTER).read_bytes()
    pointer = pointer_json.loads(data)
    version = pointer.current
    source, target = folder / "snapshots" / version, cache / "snapshots" / version
    seals = {name: (source / name).read_bytes() for name in (FILE_NAME, SIGNATURE_NAME) if (source / name).is_file()}
    sealed = seals.get(FILE_NAME, b"")
    manifest = accept(sealed, version, pointer.manifests.get(version, ""), key, seals.get(SIGNATURE_NAME, b""))
    there = {path: file for path, file in manifest.files.items() if (source / path).is_file()}
    local_files.ensure(target, there, partial(_copy, source))
    for name, seal in seals.items():
        local_files.replace(target / name, partial(_write, seal))
    local_files.replace(cache / POINTER, partial(_write, data))
    return pointer


def _copy(source: Path, path: str, target: Path) -> None:
    shutil.copyfile(source / path, target)


def _write(data: bytes, target: Path) -> None:
    target.write_bytes(data)
