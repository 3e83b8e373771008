"""The manifest: what a snapshot is, and the checksum of every file in it. Pure values; files are hashed on request.

Rules of acceptance, checked by every process before it opens anything:

1. The schema is one that this release reads.
2. Every field is there, of its type.
3. A file is opened only after its size and SHA-256 were found to be those of the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
FILE_NAME = "manifest.json"


class SnapshotRefused(Exception):
    """A snapshot that must not be served; the message says why, in one line."""


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

    def to_json(self) -> str:
        """The manifest as text, keys sorted, so that equal manifests are equal bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest in `text`.

        Raises:
            SnapshotRefused: not a manifest, or of a schema that this release does not read.
        """
        try:
            raw = json.loads(text)
            schema = raw["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise SnapshotRefused(f"the manifest cannot be read: {error!r}") from error
        if schema != SCHEMA:
            raise SnapshotRefused(f"the manifest has schema {schema}; this release reads schema {SCHEMA}")
        try:
            files = {path: File(int(file["bytes"]), str(file["sha256"])) for path, file in raw.pop("files").items()}
            manifest = cls(files=files, segments=tuple(raw.pop("segments")), **raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotRefused(f"the manifest is incomplete: {error}") from error
        for name, kind in _TYPES.items():
            if not isinstance(getattr(manifest, name), kind):
                raise SnapshotRefused(f"the manifest's {name} is not a {kind.__name__}")
        return manifest

    def under(self, *folders: str) -> dict[str, File]:
        """The files that lie in any of these folders of the snapshot."""
        prefixes = tuple(f"{folder}/" for folder in folders)
        return {path: file for path, file in self.files.items() if path.startswith(prefixes)}


_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("version", "created_at", "dataset", "data_until"), str),
    **dict.fromkeys(("parameters", "counts", "models", "metrics", "partitioning", "index"), dict),
}


def describe(path: Path) -> File:
    """A file's size and checksum."""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    return File(path.stat().st_size, digest.hexdigest())


def accept(data: bytes, version: str, sha256: str = "") -> Manifest:
    """The manifest in `data`, if it is this version's.

    Args:
        data: what lies in the store.
        version: that was asked for.
        sha256: of the manifest that was pushed, in hex; unknown where empty.

    Raises:
        SnapshotRefused: it is another one, or cannot be read.
    """
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise SnapshotRefused(f"the manifest of {version} does not have the checksum that the pointer says")
    try:
        manifest = Manifest.from_json(data.decode())
    except UnicodeDecodeError as error:
        raise SnapshotRefused(f"the manifest of {version} is not text: {error.reason}") from None
    if manifest.version != version:
        raise SnapshotRefused(f"the manifest of {version} calls itself {manifest.version}")
    return manifest


def verify(folder: Path, files: Mapping[str, File], called: str = "") -> None:
    """Check files of a snapshot against its manifest.

    Args:
        folder: where they lie.
        files: path within the folder → size and checksum.
        called: what to call a file in a refusal; its path where empty.

    Raises:
        SnapshotRefused: the first file that is missing, of another size, or of other content.
    """
    for path, expected in files.items():
        name = called or path
        try:
            size = (folder / path).stat().st_size
            if size != expected.bytes:
                raise SnapshotRefused(f"{name} has {size} bytes; the manifest says {expected.bytes}")
            found = describe(folder / path)
        except OSError as error:
            raise SnapshotRefused(f"{name} cannot be read: {error.strerror}") from error
        if found.sha256 != expected.sha256:
            raise SnapshotRefused(f"{name} does not have the checksum that the manifest says")
