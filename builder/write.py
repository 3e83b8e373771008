"""A snapshot's files, from what was trained: directory, catalogue, models, and the manifest, last of all.

Its partitions are `builder.partition_files`' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from builder.kinds import kinds as found_kinds
from builder.partition import Placement
from builder.training import Numbered
from trunkshow.models.protocol import Arrays, Floats
from trunkshow.snapshot import arrays, catalogue, directory, kinds, manifest
from trunkshow.snapshot.manifest import Manifest

CHECKSUM_THREADS = 4


def write_shared(
    folder: Path, numbered: Numbered, fitted: Mapping[str, Arrays], placement: Placement, vectors: Floats
) -> None:
    """Write all but the partitions.

    Args:
        folder: the snapshot's.
        numbered: users and items.
        fitted: every model's arrays, by its name.
        placement: where the users live.
        vectors: (items, factors) float32.
    """
    catalogue.write(folder / "catalogue", numbered.columns)
    kinds.write(folder / kinds.FOLDER, *found_kinds(numbered.training, vectors))
    for name, held in fitted.items():
        arrays.save(folder / "models" / name, held)
    arrays.save(folder / "taste", {"directions": placement.codebook.directions})
    directory.write(folder / "directory", numbered.user_ids, placement.homes, numbered.training.segments)


def seal(folder: Path, draft: Manifest) -> Manifest:
    """Checksum every file, name the version after the moment and the content, and write the manifest, last of all."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(CHECKSUM_THREADS) as pool:  # hashing leaves the interpreter to the others
        described = pool.map(manifest.describe, paths)
        files = {path.relative_to(folder).as_posix(): file for path, file in zip(paths, described, strict=True)}
    content = "\n".join(f"{path} {file.sha256}" for path, file in files.items())
    moment = datetime.now(UTC)
    sealed = replace(
        draft,
        files=files,
        created_at=moment.isoformat(timespec="seconds"),
        version=f"{moment:%Y%m%dT%H%M%S%f}-{hashlib.sha256(content.encode()).hexdigest()[:8]}",
    )
    (folder / manifest.FILE_NAME).write_text(sealed.to_json(), encoding="utf-8")
    return sealed
