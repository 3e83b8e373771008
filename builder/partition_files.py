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
from trunkshow.snapshot.user_columns import UserColumns

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
    users, width = training.matrix.shape[0], max(training.matrix.shape[1], 1)
    pairs = training.users.astype(np.int64) * width + training.items
    order = np.argsort(pairs)
    pairs = pairs[order]
    ends = np.flatnonzero(np.diff(pairs, append=-1))
    begins = np.concatenate([[0], ends + 1])[: len(ends)]
    pairs, newest = pairs[ends], _per_group(np.maximum, training.times[order], begins)
    of_user = pairs // width
    newest_first = _newest_first(of_user, newest, users)
    worth = training.weights[order].astype(np.float64)
    return {
        "history_items": (pairs % width)[newest_first].astype(np.int32),
        "history_times": (newest[newest_first] // 1000).clip(0, 2**32 - 1).astype(np.uint32),
        "history_weights": _per_group(np.add, worth, begins)[newest_first].astype(np.float32),
        "history_marks": _per_group(np.bitwise_or, numbered.marks[order], begins)[newest_first],
        "history_starts": np.searchsorted(of_user, np.arange(users + 1)),
        "segments": training.segments,
    }


def _newest_first(of_user: NDArray[np.int64], times: NDArray[np.int64], users: int) -> NDArray[np.int64]:
    """(g,) order by user and falling time, equals as they come: by one key where both fit, in a fifth of the time."""
    ago = times.max(initial=0) - times
    span = int(ago.max(initial=0)) + 1
    if span * users > np.iinfo(np.int64).max:
        return np.lexsort((ago, of_user))
    return np.argsort(of_user * span + ago, kind="stable")


def _per_group(reduce: np.ufunc, values: NDArray[Any], begins: NDArray[np.integer]) -> NDArray[Any]:
    """(g,) of (n,) values, reduced from each group's beginning to the next one's."""
    return reduce.reduceat(values, begins) if len(values) else values


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
    users = np.array(named["by_home"][slice(*named["home_starts"][number : number + 2])])
    rows: Rows = np.array(named["list_items"][slice(*named["list_starts"][number : number + 2])])
    ids = Strings(named["id_offsets"], named["id_text"])
    task.folder.mkdir(parents=True, exist_ok=True)
    written = task.folder.with_name(f"{task.folder.name}-unfinished") / uuid.uuid4().hex
    try:
        # Rows ascend with ids by code point, which is also the order of their UTF-8 bytes.
        kind = partition.write(
            written,
            [ids[user] for user in users.tolist()],
            columns_of(named, users),
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


def columns_of(named: Named, users: NDArray[np.integer]) -> UserColumns:
    """Some users (n,), of `histories` and everybody's vectors."""
    begin, lengths = named["history_starts"][users], np.diff(named["history_starts"])[users]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    where = np.arange(starts[-1]) + np.repeat(begin - starts[:-1], lengths)
    return UserColumns(
        named["segments"][users],
        named["user_vectors"][users],
        starts,
        *(named[f"history_{name}"][where] for name in ("items", "weights", "times", "marks")),
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
