"""Snapshots of a few bytes, with manifests that hold together: for tests of stores, which open nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import FILE_NAME, SCHEMA, Manifest, describe
from trunkshow.snapshot.store import Store, who

FILES = {"taste/directions.npy": b"a few bytes", "partitions/00000/items.npy": b"of a partition" * 100}

PLAIN = Manifest(
    schema=SCHEMA,
    version="",
    created_at="2026-05-01T00:00:00+00:00",
    dataset="Läden № 1",
    data_until="2024-04-30T00:00:00+00:00",
    parameters={"partitions": 1, "factors": 8},
    counts={
        "events": 100,
        "users": 20,
        "items": 30,
        "partitions": 1,
        "users_per_partition": [20],
        "items_per_partition": [30],
    },
    segments=("new", "löyal"),
    models={},
    metrics={},
    partitioning={},
    index={},
    files={},
)


def write(folder: Path, version: str) -> Manifest:
    """What a builder leaves in its folder."""
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(content)
    manifest = replace(PLAIN, version=version, files={path: describe(folder / path) for path in FILES})
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def push(store: Store, version: str) -> Manifest:
    """Build and push a version."""
    with store.building() as folder:
        manifest = write(folder / "snapshot", version)
        store.push(folder / "snapshot", manifest, who())
    return manifest


def publish(store: Store, *versions: str) -> Pointer:
    """The same, each served after the other."""
    for version in versions:
        push(store, version)
        store.move(lambda pointer, version=version: pointer.promoted(version, who()))  # type: ignore[misc]
    return store.pointer()
