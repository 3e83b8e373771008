"""A snapshot's files, from what was trained: directory, catalogue, models, partitions, and the manifest last."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from builder.kinds import kinds as found_kinds
from builder.partition import TOP, BestItems, Placement
from builder.training import Numbered
from trunkshow.models.protocol import Arrays, Floats, Rows
from trunkshow.snapshot import arrays, catalogue, directory, kinds, manifest, partition
from trunkshow.snapshot.manifest import Manifest
from trunkshow.snapshot.records import UserRecord

INDEX_RECALL_MIN = 0.99


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


class Histories:
    """Every user's history, newest first, each item once, at its last time, with its summed weight and all marks."""

    def __init__(self, numbered: Numbered) -> None:
        training = numbered.training
        users, items, times, weights = training.users, training.items, training.times, training.weights
        pairs, where = np.unique(users.astype(np.int64) * training.matrix.shape[1] + items, return_inverse=True)
        last = np.zeros(len(pairs), np.int64)
        np.maximum.at(last, where, times)
        worth = np.bincount(where, weights, minlength=len(pairs)).astype(np.float32)
        of_user = pairs // max(training.matrix.shape[1], 1)
        marks = np.zeros(len(pairs), np.uint8)
        np.bitwise_or.at(marks, where, numbered.marks)
        order = np.lexsort((pairs, -last, of_user))
        self._items = (pairs % max(training.matrix.shape[1], 1))[order].astype(np.int32)
        self._times = (last[order] // 1000).clip(0, 2**32 - 1).astype(np.uint32)
        self._weights = worth[order]
        self._marks = marks[order]
        self._starts = np.searchsorted(of_user[order], np.arange(training.matrix.shape[0] + 1))
        self._segments = training.segments

    def record(self, user: int, vector: Floats) -> UserRecord:
        """The user's record, with their (factors,) vector."""
        mine = slice(self._starts[user], self._starts[user + 1])
        columns = (self._items[mine], self._weights[mine], self._times[mine], self._marks[mine])
        return UserRecord(int(self._segments[user]), vector, *columns)


def write_partitions(
    folder: Path,
    numbered: Numbered,
    placement: Placement,
    user_vectors: Floats,
    item_vectors: Floats,
    lists: Sequence[Rows],
    *,
    exact: bool,
    progress: Callable[[int, int], None],
) -> str:
    """Write every partition anew; return the kinds of item index used.

    Args:
        folder: the snapshot's.
        numbered: users and items.
        placement: where the users live.
        user_vectors: (users, factors) float32.
        item_vectors: (items, factors) float32.
        lists: of each partition, its (n,) item rows, ascending.
        exact: flat indexes, whatever their size.
        progress: told (done, of how many).
    """
    shutil.rmtree(folder / "partitions", ignore_errors=True)
    histories = Histories(numbered)
    by_home = np.argsort(placement.homes, kind="stable")
    bounds = np.searchsorted(placement.homes[by_home], np.arange(len(lists) + 1))
    kinds = set()
    for number, rows in enumerate(lists):
        # Rows ascend with ids by code point, which is also the order of their UTF-8 bytes.
        users = by_home[bounds[number] : bounds[number + 1]].tolist()
        kinds.add(
            partition.write(
                folder / partition.name(number),
                [numbered.user_ids[user] for user in users],
                [histories.record(user, user_vectors[user]) for user in users],
                rows,
                item_vectors[rows],
                exact=exact,
            )
        )
        progress(number + 1, len(lists))
    return ", ".join(sorted(kinds))


def index_recall(
    folder: Path,
    best: BestItems,
    placement: Placement,
    user_vectors: Floats,
    item_vectors: Floats,
    hidden: csr_matrix | None,
) -> float:
    """Recall@20 of the written partitions against exact search over the whole catalogue, mean over `best.users`."""
    homes = placement.homes[best.users]
    shares = []
    for number in np.unique(homes).tolist():
        opened = partition.Partition(folder / partition.name(number), item_vectors)
        for position in np.flatnonzero(homes == number):
            user = best.users[position]
            seen = set() if hidden is None else set(hidden[user].indices.tolist())
            found = _unseen(opened, user_vectors[user], seen)
            exact = best.items[position, :TOP]
            shares.append(np.isin(exact, found).mean())
        opened.close()
    return float(np.mean(shares)) if shares else 1.0


def _unseen(opened: partition.Partition, vector: Floats, seen: set[int]) -> list[int]:
    ask = 2 * TOP
    while True:
        rows, _ = opened.nearest_items(vector, ask)
        unseen = [row for row in rows.tolist() if row not in seen]
        if len(unseen) >= TOP or len(rows) < ask:
            return unseen[:TOP]
        ask *= 4


def seal(folder: Path, draft: Manifest) -> Manifest:
    """Checksum every file, name the version after the moment and the content, and write the manifest, last of all."""
    files = {
        path.relative_to(folder).as_posix(): manifest.describe(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
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
