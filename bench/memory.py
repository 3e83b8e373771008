"""What a user costs a shard in resident memory, beyond their history and with nothing online.

Two snapshots of the same items and as many events are held by a shard each, in turns: one of 50,000 users, one of
5,000. Both are asked for 5,000 users spread over all, so that what is mapped is resident. What the larger one has more,
without what its histories are longer, is divided by the users that it has more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from bench import processes, synthetic, tables
from bench.subjects import TIMEOUT_S, Say, prediction
from cli.bench import usage
from cli.bench.users import USERS_MAX, of_snapshot
from trunkshow import channel as wire
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

TURNS = 2
OF_USERS = ("users.lmdb", "homes.lmdb", "users.faiss")


@dataclass(frozen=True)
class Held:
    """What a shard holds.

    Attributes:
        users: how many.
        history_bytes: of their histories, as records have them.
        file_bytes: of their files, all together.
        rss_bytes: of the process that holds them.
    """

    users: int
    history_bytes: int
    file_bytes: int
    rss_bytes: float = 0.0


def per_user(crowd: Held, handful: Held) -> float:
    """Resident bytes of a user beyond the history: the difference of two shards by that of their users."""
    more = (crowd.rss_bytes - handful.rss_bytes) - (crowd.history_bytes - handful.history_bytes)
    return more / (crowd.users - handful.users)


def measure(crowd: Path, handful: Path, say: Say, turns: int = TURNS) -> dict[str, Any]:
    """Both shards in turns; the medians."""
    taken: dict[Path, list[int]] = {crowd: [], handful: []}
    for turn in range(turns):
        for store, sizes in taken.items():
            sizes.append(_resident(store))
        say(f"memory, turn {turn + 1} of {turns}: {taken[crowd][-1] / 1e6:.0f} and {taken[handful][-1] / 1e6:.0f} MB")
    large, small = (_held(store) for store in (crowd, handful))
    pairs = zip(taken[crowd], taken[handful], strict=True)
    of_turns = [per_user(replace(large, rss_bytes=one), replace(small, rss_bytes=other)) for one, other in pairs]
    return {
        "machine": tables.machine(),
        "bytes_per_user": statistics.median(of_turns),
        "least": min(of_turns),
        "most": max(of_turns),
        "history_bytes_per_user": large.history_bytes / large.users,
        "file_bytes_per_user": (large.file_bytes - large.history_bytes) / large.users,
        "users": [large.users, small.users],
        "rss_bytes": [statistics.median(taken[crowd]), statistics.median(taken[handful])],
    }


def _resident(store: Path) -> int:
    """Resident bytes of a shard that was asked for users of all of the snapshot."""
    with (
        processes.trunkshow("shard", "--store", str(store)) as shard,
        contextlib.closing(Snapshot.open(open_store(store))) as snapshot,
        grpc.insecure_channel(shard.target) as channel,
    ):
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(wire.PREDICT)
        for resident in of_snapshot(snapshot, USERS_MAX):
            ask(prediction(snapshot.version, resident), timeout=TIMEOUT_S)
        return usage.of(shard.pid).rss_bytes


def _held(store: Path) -> Held:
    """All but the process's memory."""
    with contextlib.closing(Snapshot.open(open_store(store))) as snapshot:
        users = history = 0
        for number in range(snapshot.partitions):
            with contextlib.closing(snapshot.open_partition(number)) as partition:
                records = (partition.user(user) for user in partition.sample_users(partition.users))
                sizes = [
                    part.nbytes for one in records if one for part in (one.items, one.weights, one.times, one.marks)
                ]
                users, history = users + partition.users, history + sum(sizes)
        files = snapshot.manifest.under("partitions")
        of_users = sum(file.bytes for path, file in files.items() if path.rpartition("/")[2] in OF_USERS)
        of_users += sum(file.bytes for file in snapshot.manifest.under("directory").values())
        return Held(users, history, of_users)


def markdown(result: dict[str, Any]) -> str:
    """A line for people."""
    large, small = result["users"]
    return (
        f"Memory of a shard per user, nothing online: **{result['bytes_per_user']:.0f} bytes** beyond the history of"
        f" {result['history_bytes_per_user']:.0f} ({result['least']:.0f} to {result['most']:.0f}; {large:,} users"
        f" against {small:,} with as many events). Their files, which are mapped, have"
        f" {result['file_bytes_per_user']:.0f} bytes a user beyond the history.\n"
    )


def main() -> None:
    """Measure, and print a line or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=synthetic.WORK, help="where the made-up snapshots are kept")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    stores = [synthetic.store_of(chosen.work, shape) for shape in (synthetic.CROWD, synthetic.HANDFUL)]
    result = measure(stores[0], stores[1], tables.remark)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        print(markdown(result))


if __name__ == "__main__":
    main()
