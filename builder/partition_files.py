"""Partitions' files, one task per partition: what it needs of what was trained, writing it, and measuring its index.

Which users and items are in which partition is `builder.plan`'s business; who does the tasks `builder.crew`'s; what the
files are `trunkshow.snapshot.partition`'s.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder import sparse
from builder.crew.port import Shared
from builder.partition import TOP
from builder.plan import Plan
from builder.training import Numbered
from trunkshow.models.protocol import Floats, Rows
from trunkshow.snapshot import partition
from trunkshow.snapshot.arrays import Strings
from trunkshow.snapshot.records import UserRecord

Named = Mapping[str, NDArray[Any]]


def inputs(numbered: Numbered, plan: Plan, user_vectors: Floats, item_vectors: Floats) -> dict[str, NDArray[Any]]:
    """What the tasks of all partitions read, by name, ready to be shared.

    Args:
        numbered: users and items.
        plan: where the users live, which items each partition lists, and who is held out to measure with.
        user_vectors: (users, factors) float32.
        item_vectors: (items, factors) float32.
    """
    homes = plan.placement.homes
    by_home = np.argsort(homes, kind="stable")
    offsets, text = Strings.pack(numbered.user_ids)
    return {
        "user_vectors": user_vectors,
        "item_vectors": item_vectors,
        "id_offsets": offsets,
        "id_text": text,
        "by_home": by_home,
        "home_starts": np.searchsorted(homes[by_home], np.arange(len(plan.lists) + 1)),
        "list_items": np.concatenate(plan.lists),
        "list_starts": np.cumsum([0, *map(len, plan.lists)]),
        "held_out_users": plan.held_out.users,
        "held_out_items": plan.held_out.items,
        "held_out_homes": homes[plan.held_out.users],
        **histories(numbered),
        **({} if plan.hidden is None else sparse.named("hidden", plan.hidden)),
    }


def histories(numbered: Numbered) -> dict[str, NDArray[Any]]:
    """Every user's history, newest first, each item once, at its last time, with its summed weight and all marks."""
    training = numbered.training
    users, items, times, weights = training.users, training.items, training.times, training.weights
    width = max(training.matrix.shape[1], 1)
    pairs, where = np.unique(users.astype(np.int64) * training.matrix.shape[1] + items, return_inverse=True)
    last = np.zeros(len(pairs), np.int64)
    np.maximum.at(last, where, times)
    worth = np.bincount(where, weights, minlength=len(pairs)).astype(np.float32)
    of_user = pairs // width
    marks = np.zeros(len(pairs), np.uint8)
    np.bitwise_or.at(marks, where, numbered.marks)
    order = np.lexsort((pairs, -last, of_user))
    return {
        "history_items": (pairs % width)[order].astype(np.int32),
        "history_times": (last[order] // 1000).clip(0, 2**32 - 1).astype(np.uint32),
        "history_weights": worth[order],
        "history_marks": marks[order],
        "history_starts": np.searchsorted(of_user[order], np.arange(training.matrix.shape[0] + 1)),
        "segments": training.segments,
    }


@dataclass(frozen=True)
class PartitionTask:
    """One partition to be written, or to be measured once it is.

    Attributes:
        shared: what `inputs` gave.
        folder: that the partitions' folders lie in.
        number: of the partition.
        exact: a flat item index, whatever its size.
    """

    shared: Shared
    folder: Path
    number: int
    exact: bool = False

    @property
    def target(self) -> Path:
        """The partition's folder."""
        return self.folder / Path(partition.name(self.number)).name


def write_partition(task: PartitionTask) -> str:
    """Write one partition elsewhere, and rename it into place; return the FAISS name of its item index.

    What is left by somebody who was killed over it stays elsewhere. Somebody else may have done the same task
    meanwhile: then theirs stays, which has the same bytes.
    """
    named, number = task.shared.arrays(), task.number
    users = named["by_home"][slice(*named["home_starts"][number : number + 2])].tolist()
    rows: Rows = np.array(named["list_items"][slice(*named["list_starts"][number : number + 2])])
    ids = Strings(named["id_offsets"], named["id_text"])
    task.folder.mkdir(parents=True, exist_ok=True)
    written = task.folder.with_name(f"{task.folder.name}-unfinished") / uuid.uuid4().hex
    try:
        # Rows ascend with ids by code point, which is also the order of their UTF-8 bytes.
        kind = partition.write(
            written,
            [ids[user] for user in users],
            [record_of(named, user) for user in users],
            rows,
            named["item_vectors"][rows],
            exact=task.exact,
        )
        if not task.target.exists():
            written.rename(task.target)
    except OSError:
        if not task.target.exists():
            raise
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return kind


def record_of(named: Named, user: int) -> UserRecord:
    """One user's record, of `histories` and their vectors."""
    mine = slice(*named["history_starts"][user : user + 2])
    return UserRecord(
        int(named["segments"][user]),
        named["user_vectors"][user],
        named["history_items"][mine],
        named["history_weights"][mine],
        named["history_times"][mine],
        named["history_marks"][mine],
    )


def index_recall(task: PartitionTask) -> NDArray[np.float64]:
    """(u,) recall@20 of a written partition against exact search over the whole catalogue, of its held-out users."""
    named = task.shared.arrays()
    positions = np.flatnonzero(named["held_out_homes"] == task.number)
    if not len(positions):
        return np.empty(0)
    opened = partition.Partition(task.target, named["item_vectors"])
    shares = []
    for position in positions.tolist():
        user = int(named["held_out_users"][position])
        seen = set(sparse.row(named, "hidden", user).tolist()) if sparse.has(named, "hidden") else set()
        found = _unseen(opened, np.array(named["user_vectors"][user]), seen)
        shares.append(np.isin(named["held_out_items"][position, :TOP], found).mean())
    opened.close()
    return np.array(shares, np.float64)


def _unseen(opened: partition.Partition, vector: Floats, seen: set[int]) -> list[int]:
    ask = 2 * TOP
    while True:
        rows, _ = opened.nearest_items(vector, ask)
        unseen = [row for row in rows.tolist() if row not in seen]
        if len(unseen) >= TOP or len(rows) < ask:
            return unseen[:TOP]
        ask *= 4
