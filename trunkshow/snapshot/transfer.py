"""A version from one store to another: every file checked on its way, the manifest and its signature as they are."""

from __future__ import annotations

from functools import partial

from trunkshow.snapshot import local_files
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import FILE_NAME, SnapshotRefused
from trunkshow.snapshot.signature import SIGNATURE_NAME
from trunkshow.snapshot.store import Store


def copy(source: Store, version: str, target: Store, who: Who) -> Pointer:
    """Push a version of one store to another one.

    Raises:
        StoreError: one of them cannot, or the source has no such version.
        SnapshotRefused: a file is not what the manifest says; nothing was pushed.
        LifecycleError: the target had a version of that name already.
    """
    manifest = source.manifest(version)
    with target.building() as folder:
        target.pointer().pushed(version, who)  # a name that is taken is refused before anything is fetched
        built = folder / "snapshot"
        local_files.ensure(built, manifest.files, partial(source.fetch, version))
        source.fetch(version, FILE_NAME, built / FILE_NAME)
        try:
            source.fetch(version, SIGNATURE_NAME, built / SIGNATURE_NAME)
        except SnapshotRefused:
            (built / SIGNATURE_NAME).unlink(missing_ok=True)  # it is not signed
        return target.push(built, manifest, who)
