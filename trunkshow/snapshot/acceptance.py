"""Whether a manifest may be believed, and whether what it describes may follow what is served. Values in, verdict out.

Rules, in the order in which they are checked; the first that does not hold refuses the snapshot:

1. The manifest is the very bytes that were pushed: their SHA-256 is the one that the pointer names.
2. Where a key is given, those bytes carry its signature (`signature`).
3. The schema is one that this release reads, and every field is there, of its type (`manifest`).
4. It is of the version that was asked for, whose name is a plain word.
5. Its paths are relative, in their shortest form, and stay inside the snapshot's folder; none is the manifest's own.
6. Sizes are numbers that a file can have, checksums are SHA-256 in hex, and their sum is one that a disk can hold.
7. The counts agree with one another, with the parameters, and with the partitions that there are files of.

And before it is to be served, against its parent, the version that is served:

8. It is of the same data set, and its vectors have as many dimensions.
9. Users, items and events are within the variance of the parent's counts.

That each file has the size and the checksum that is said here is checked when it is fetched or opened
(`store.Store.ensure`); that arrays have the shapes that the parameters say, when they are opened (`reader`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from trunkshow.snapshot.lifecycle import is_name
from trunkshow.snapshot.manifest import FILE_NAME, File, Manifest, SnapshotRefused
from trunkshow.snapshot.signature import SIGNATURE_NAME, Key, check_signature

PATH_CHARS_MAX = 1024
FILES_MAX = 5_000_000
FILE_BYTES_MAX = 2**44
SNAPSHOT_BYTES_MAX = 2**48
PARTITIONS_MAX = 65_535
"""What the directory has room for (`directory`): two bytes a user."""

VARIANCE = 0.5
"""By default a count may grow to 1.5 times the parent's, or shrink to half of it."""

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_PARTITION = re.compile(r"partitions/(\d{5})/")
_DECIDED_BY = ("users", "items", "events")


def accept(data: bytes, version: str, sha256: str = "", key: Key | None = None, signature: bytes = b"") -> Manifest:
    """The manifest in `data`, if rules 1 to 7 hold.

    Args:
        data: what lies in the store.
        version: that was asked for.
        sha256: of the manifest that was pushed, in hex; not known where empty.
        key: whose signature it must carry; none is asked for where None.
        signature: that lies beside it; empty where there is none.

    Raises:
        SnapshotRefused: one does not.
    """
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise SnapshotRefused(f"the manifest of {version} does not have the checksum that the pointer says")
    if key is not None:
        check_signature(key, data, signature, version)
    try:
        manifest = Manifest.from_json(data.decode())
    except UnicodeDecodeError as error:
        raise SnapshotRefused(f"the manifest of {version} is not text: {error.reason}") from None
    if manifest.version != version or not is_name(version):
        raise SnapshotRefused(f"the manifest of {version!r} calls itself {manifest.version!r}")
    check_files(manifest.files)
    _check_counts(manifest)
    return manifest


def check_files(files: Mapping[str, File]) -> None:
    """Rules 5 and 6.

    Raises:
        SnapshotRefused: naming the path at fault.
    """
    if len(files) > FILES_MAX:
        raise SnapshotRefused(f"the manifest names {len(files)} files, more than {FILES_MAX}")
    for path, file in files.items():
        if not _stays_inside(path):
            raise SnapshotRefused(f"the manifest names {path[:200]!r}, which is no path inside a snapshot")
        if not 0 <= file.bytes <= FILE_BYTES_MAX or not _SHA256.match(file.sha256):
            raise SnapshotRefused(f"the manifest says of {path} what no file has: {file}")
    if sum(file.bytes for file in files.values()) > SNAPSHOT_BYTES_MAX:
        raise SnapshotRefused(f"the manifest's files are more than {SNAPSHOT_BYTES_MAX} bytes together")


def compare(manifest: Manifest, parent: Manifest, variance: float = VARIANCE) -> None:
    """Rules 8 and 9.

    Args:
        manifest: of the version that is to be served.
        parent: of the one that is.
        variance: by which a count may differ, as a share of the parent's: 0.5 lets it be half, or one and a half times
            as large; infinity lets it be anything.

    Raises:
        SnapshotRefused: naming what differs.
    """
    ours, theirs = manifest.version, parent.version
    if manifest.dataset != parent.dataset:
        raise SnapshotRefused(f"{ours} is of the data set {manifest.dataset!r}, {theirs} of {parent.dataset!r}")
    if manifest.parameters["factors"] != parent.parameters["factors"]:
        raise SnapshotRefused(
            f"{ours} has vectors of {manifest.parameters['factors']} dimensions, {theirs} of "
            f"{parent.parameters['factors']}"
        )
    for what in _DECIDED_BY:
        now, before = manifest.counts[what], parent.counts[what]
        if abs(now - before) > variance * before:
            raise SnapshotRefused(f"{ours} has {now} {what}, {theirs} has {before}: more than {variance:.0%} apart")


def _stays_inside(path: str) -> bool:
    """A relative path in its shortest form, of characters that no file system reads as anything else."""
    pieces = path.split("/")
    return (
        0 < len(path) <= PATH_CHARS_MAX
        and path not in {FILE_NAME, SIGNATURE_NAME}
        and path.isprintable()
        and not any(character in path for character in "\\:")
        and all(piece.strip(". ") for piece in pieces)  # neither empty, nor `.`, nor `..`
        and not any(piece.startswith(".") for piece in pieces)  # names of files on their way
    )


def _check_counts(manifest: Manifest) -> None:
    """Rule 7."""
    counts, parameters = manifest.counts, manifest.parameters
    for what in (*_DECIDED_BY, "partitions"):
        _check_count(what, counts.get(what))
    if not 1 <= counts["partitions"] <= PARTITIONS_MAX or parameters.get("partitions") != counts["partitions"]:
        raise SnapshotRefused(
            f"the manifest counts {counts['partitions']} partitions; its parameters say {parameters.get('partitions')}"
        )
    _check_count("factors", parameters.get("factors"))
    for what in ("users_per_partition", "items_per_partition"):
        _check_list(what, counts.get(what), counts["partitions"])
    if sum(counts["users_per_partition"]) != counts["users"]:
        raise SnapshotRefused(f"the manifest counts {counts['users']} users, and others in its partitions")
    if max(counts["items_per_partition"]) > counts["items"]:
        raise SnapshotRefused(f"the manifest counts {counts['items']} items, and more in a partition")
    with_files = {int(found[1]) for path in manifest.files if (found := _PARTITION.match(path))}
    if with_files != set(range(counts["partitions"])):
        raise SnapshotRefused(f"the manifest counts {counts['partitions']} partitions; it has files of other ones")


def _check_list(what: str, values: Any, length: int) -> None:
    if not isinstance(values, list) or len(values) != length:
        raise SnapshotRefused(f"the manifest's {what} is no list of {length} numbers")
    for value in values:
        _check_count(what, value)


def _check_count(what: str, value: Any) -> None:
    if type(value) is not int or not 0 <= value < 2**53:
        raise SnapshotRefused(f"the manifest's {what} is {str(value)[:50]!r}, which counts nothing")
