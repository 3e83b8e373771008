"""Recall@20 of the whole serving path against exact search over the whole catalogue.

A router and two shards, each holding half of the partitions, are asked for the for-you carousel, twenty items, of users
of every partition. What comes is compared with the twenty items of the whole catalogue whose vectors have the largest
inner products with the user's, those that the user had left out. What is missed was not on the shelf of the user's
partition, or not found by its index.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import processes, synthetic, tables
from bench.subjects import Say
from cli.addresses import free_address
from cli.bench.users import Resident, of_snapshot
from trunkshow.client import Client, Rung
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

K = 20
USERS = 1_000
FOR_YOU = "for-you"
DEADLINE_MS = 2_000.0


def measure(store: Path, say: Say, users: int = USERS) -> dict[str, Any]:
    """Recall over so many users, spread over all partitions.

    Returns:
        recall, users, stepped_down (slates of a lower rung than the snapshot's; they count like all others), counts.
    """
    with contextlib.closing(Snapshot.open(open_store(store))) as snapshot:
        asked = of_snapshot(snapshot, users)
        say(f"recall@{K} of {len(asked):,} users' slates against exact search over {len(snapshot.catalogue):,} items")
        exact = _exact(snapshot, asked)
        with _served(store) as client:
            shares, stepped_down = [], 0
            for resident in asked:
                slate = client.recommend(resident.user, carousels=(FOR_YOU,), items_per_carousel=K)
                shown = {item.item_id for one in slate.carousels for item in one.items}
                shares.append(len(shown & exact[resident.user]) / K)
                stepped_down += slate.receipt.rung > Rung.SNAPSHOT
    return {
        "machine": tables.machine(),
        "recall": float(np.mean(shares)),
        "users": len(asked),
        "worst_tenth": float(np.quantile(shares, 0.1)),
        "stepped_down": stepped_down,
        "held_out": snapshot.manifest.index["recall@20"],
        "items": len(snapshot.catalogue),
        "items_per_partition": float(np.mean(snapshot.manifest.counts["items_per_partition"])),
        "partitions": snapshot.partitions,
    }


@contextlib.contextmanager
def _served(store: Path) -> Iterator[Client]:
    """A router over two shards."""
    addresses = [free_address(), free_address()]
    with contextlib.ExitStack() as stack:
        members = ("--store", str(store), "--shards", *addresses)
        for address in addresses:
            own = ("--name", address, "--replicas", "1")
            stack.enter_context(processes.trunkshow("shard", *members, *own, listen=address))
        router = stack.enter_context(processes.trunkshow("router", *members))
        client = stack.enter_context(Client(router.target, deadline_ms=DEADLINE_MS))
        client.connect()
        yield client


def _exact(snapshot: Snapshot, residents: list[Resident]) -> dict[str, set[str]]:
    """The best items of the whole catalogue by user."""
    found: dict[str, set[str]] = {}
    for number in range(snapshot.partitions):
        partition = snapshot.open_partition(number)
        found |= {one.user: best(snapshot, partition, one.user) for one in residents if one.partition == number}
        partition.close()
    return found


def best(snapshot: Snapshot, home: Partition, user_id: str) -> set[str]:
    """The items of the whole catalogue with the largest inner products, those that the user had left out."""
    user = home.user(user_id)
    assert user is not None
    scores = snapshot.ials.vectors @ user.vector
    scores[user.items] = -np.inf
    rows = np.argpartition(-scores, K)[:K]
    return {snapshot.catalogue.id(row) for row in rows.tolist()}


def markdown(result: dict[str, Any]) -> str:
    """A line for people."""
    return (
        f"Recall@{K} of what a router and two shards answer, against exact search over all {result['items']:,} items:"
        f" **{result['recall']:.4f}** over {result['users']:,} users of {result['partitions']} partitions, which list"
        f" {result['items_per_partition']:,.0f} items each; {result['worst_tenth']:.2f} for the worst-off tenth."
        f" {result['stepped_down']} slates were of a lower rung. Of users who had no say in what partitions list, the"
        f" build measured {result['held_out']:.4f}.\n"
    )


def main() -> None:
    """Measure, and print a line or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a snapshot store of your own; else one is made up and built")
    parser.add_argument("--work", type=Path, default=synthetic.WORK, help="where the made-up one is kept")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    store = chosen.store or synthetic.store_of(chosen.work, synthetic.CATALOGUE)
    result = measure(store, tables.remark)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        print(markdown(result))


if __name__ == "__main__":
    main()
