"""The manifest: what a snapshot is, and the checksum of every file in it. Pure values; files are hashed on request.

A manifest is read only where its schema is one that this release reads, and every field is there, of its type. Whether
it is to be believed is `acceptance`'s business. A file is opened only after its size and SHA-256 were found to be those
of the manifest.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trunkshow import pacing
from trunkshow.eventlog.watermark import Watermark

SCHEMA = 2
"""Of snapshots that are written: from 2 on users' vectors are in half precision (`records`, `index`)."""

READABLE = (1, 2)
FILE_NAME = "manifest.json"

BLOCK_BYTES = 2**18
"""Hashed without a rest: well below a millisecond."""

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""By these a file system says that there is no such file. By any other it says something of itself: it is full, it
fails, too much is open; about the file nothing is known by it, so nothing is refused."""


class SnapshotRefused(Exception):
    """A snapshot that must not be served; the message says why, in one line."""


class FileSpoilt(SnapshotRefused):
    """A file is not what the manifest says: it is spoilt where it lies, or was on its way here."""


@dataclass(frozen=True)
class File:
    """A file of the snapshot.

    Attributes:
        bytes: its size.
        sha256: of its content, in hex.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a snapshot says of itself.

    Attributes:
        schema: of this format.
        version: of the snapshot; unique in its store, later ones sort later.
        created_at: ISO 8601, UTC.
        dataset: its name.
        data_until: time of the last event, ISO 8601, UTC.
        parameters: what a person chose (partitions, factors, seed, repeat, models' settings).
        counts: events, users, items, partitions, users and items per partition.
        segments: their names, in the order of their codes.
        models: name of each model → the carousel it makes.
        metrics: of the evaluated model and the baseline on held-out events.
        partitioning: the measures of the taste hash.
        index: kind of the item index, and its recall against exact search.
        files: path within the snapshot → size and checksum.
        log_watermark: of the event log, up to which the events were read that it was built from; empty where they are
            not from a log. Snapshots from before there was one have none.
        forgotten_watermark: of the tombstones beside the log, up to which those who are to be forgotten were left out;
            empty as above.
        log_lineage: lane → number and digest of the last record of the log that it was built with; empty as above.
    """

    schema: int
    version: str
    created_at: str
    dataset: str
    data_until: str
    parameters: Mapping[str, Any]
    counts: Mapping[str, Any]
    segments: tuple[str, ...]
    models: Mapping[str, str]
    metrics: Mapping[str, Any]
    partitioning: Mapping[str, Any]
    index: Mapping[str, Any]
    files: Mapping[str, File]
    log_watermark: str = ""
    forgotten_watermark: str = ""
    log_lineage: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest as text, keys sorted, so that equal manifests are equal bytes."""
        said = asdict(self)
        for name in (*_OF_LOGS, _LINEAGE):  # releases that do not know them read the manifest as well
            if not said[name]:
                del said[name]
        return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest in `text`.

        Raises:
            SnapshotRefused: not a manifest, or of a schema that this release does not read.
        """
        try:
            raw = json.loads(text)
            schema = raw["schema"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SnapshotRefused(f"the manifest cannot be read: {error!r:.200}") from error
        if schema not in READABLE:
            readable = " and ".join(map(str, READABLE))
            raise SnapshotRefused(f"the manifest has schema {schema!r:.20}; this release reads schemas {readable}")
        try:
            files = {path: _file(path, file) for path, file in raw.pop("files").items()}
            manifest = cls(files=files, segments=tuple(raw.pop("segments")), **raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotRefused(f"the manifest is incomplete: {error!s:.200}") from error
        for name, kind in _TYPES.items():
            if not isinstance(getattr(manifest, name), kind):
                raise SnapshotRefused(f"the manifest's {name} is not a {kind.__name__}")
        for name in _OF_LOGS:
            if watermark := getattr(manifest, name):
                _refuse_no_watermark(name, watermark)
        _refuse_no_lineage(manifest.log_lineage)
        return manifest

    def under(self, *folders: str) -> dict[str, File]:
        """The files that lie in any of these folders of the snapshot."""
        prefixes = tuple(f"{folder}/" for folder in folders)
        return {path: file for path, file in self.files.items() if path.startswith(prefixes)}


_OF_LOGS = ("log_watermark", "forgotten_watermark")
_LINEAGE = "log_lineage"
LANE_DIGITS_MAX = 5
"""As in watermarks."""

_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("version", "created_at", "dataset", "data_until", *_OF_LOGS), str),
    **dict.fromkeys(("parameters", "counts", "models", "metrics", "partitioning", "index", _LINEAGE), dict),
}


def _refuse_no_watermark(name: str, text: str) -> None:
    try:
        Watermark.parse(text)
    except ValueError as error:
        raise SnapshotRefused(f"the manifest's {name} is none: {text[:200]!r}") from error


def _refuse_no_lineage(raw: Mapping[str, Any]) -> None:
    for lane, last in raw.items():
        if not (lane.isascii() and lane.isdigit() and len(lane) <= LANE_DIGITS_MAX and _is_last(last)):
            raise SnapshotRefused(f"the manifest's {_LINEAGE} is none: {lane[:20]!r} has {last!r:.100}")


def _is_last(raw: object) -> bool:
    return isinstance(raw, (list, tuple)) and [type(one) for one in raw] == [int, str]


def _file(path: str, raw: Mapping[str, Any]) -> File:
    size, sha256 = raw["bytes"], raw["sha256"]
    if type(size) is not int or not isinstance(sha256, str):
        raise SnapshotRefused(f"the manifest says of {path[:200]} what no file has: {raw!r:.200}")
    return File(size, sha256)


def describe(path: Path) -> File:
    """A file's size and checksum."""
    digest, block = hashlib.sha256(), memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as opened:
        while count := opened.readinto(block):
            digest.update(block[:count])
            pacing.rest()
    return File(path.stat().st_size, digest.hexdigest())


def verify(folder: Path, files: Mapping[str, File], called: str = "") -> None:
    """Check files of a snapshot against its manifest.

    Args:
        folder: where they lie.
        files: path within the folder → size and checksum.
        called: what to call a file in a refusal; its path where empty.

    Raises:
        FileSpoilt: the first file that is missing, of another size, or of other content.
        OSError: it cannot be read, for no fault of its own.
    """
    for path, expected in files.items():
        name = called or path
        try:
            size = (folder / path).stat().st_size
            if size != expected.bytes:
                raise FileSpoilt(f"{name} has {size} bytes; the manifest says {expected.bytes}")
            found = describe(folder / path)
        except OSError as error:
            if error.errno not in ABSENT:
                raise
            raise FileSpoilt(f"{name} cannot be read: {error.strerror}") from error
        if found.sha256 != expected.sha256:
            raise FileSpoilt(f"{name} does not have the checksum that the manifest says")
