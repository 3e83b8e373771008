"""Requests per second of a shard, and of router plus shard, beside a bare echo of as many bytes.

    (a) echo            grpc.aio, no (de)serialisers, the mean reply size of (b)
    (b) shard           Predict: two carousels of ten, for-you and because-you-liked, from the user's home partition
    (c) router+shard    Recommend: the same slates

Servers are real child processes, started as an operator starts them; the load is one more (`bench.load`). The three
are measured in turns, and what counts is the median, over the turns, of the ratios within a turn. On two cores the
client takes one for itself: requests per second are then the client's limit as much as the server's, and the
processor seconds per 1,000 requests say what a server costs by itself. Other work on the machine only ever slows a turn
down; where there is some, `best`, the fastest turn of each, says more than the median.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bench import echo, load, processes, synthetic, tables
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

USERS_MAX = 5000
CONCURRENCIES = (8, 32)
PREDICT = "/trunkshow.v1.ShardService/Predict"
STEPPED_DOWN_SHARE_MAX = 0.01
"""With more slates of a lower rung than this, what was measured is not what is claimed."""

RECOMMEND = "/trunkshow.v1.RecommendationService/Recommend"


@dataclass(frozen=True)
class Subject:
    """Something to measure.

    Attributes:
        name: for the table.
        kind: how `bench.load` checks its replies.
        target: HOST:PORT.
        method: to call.
        requests: file of the requests to send.
        servers: the processes that answer, by name; their processor time is told.
    """

    name: str
    kind: str
    target: str
    method: str
    requests: Path
    servers: dict[str, processes.Started]


def measure(store: Path, folder: Path, turns: int, seconds: float) -> dict[str, Any]:
    """All turns over all subjects.

    Args:
        store: with a snapshot.
        folder: for the request files.
        turns: of measurements; one takes all subjects at all concurrencies.
        seconds: of one measurement.
    """
    samples: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with _subjects(store, folder) as (users, subjects):
        for _, concurrency, subject in itertools.product(range(turns), CONCURRENCIES, subjects):
            samples.setdefault((subject.name, concurrency), []).append(_once(subject, concurrency, seconds))
    rows = [_row(name, concurrency, taken, samples) for (name, concurrency), taken in samples.items()]
    return {"machine": tables.machine(), "turns": turns, "seconds": seconds, "users": users, "rows": rows}


@contextlib.contextmanager
def _subjects(store: Path, folder: Path) -> Iterator[tuple[int, list[Subject]]]:
    """How many users are asked for, and what is asked, all of it up and serving."""
    with contextlib.ExitStack() as stack:
        shard = stack.enter_context(processes.trunkshow("shard", "--store", str(store)))
        users = _write_requests(store, folder, shard.target)
        of_shard = Subject("shard", "shard", shard.target, PREDICT, folder / "predict", {"shard": shard})
        reply_bytes = round(_once(of_shard, CONCURRENCIES[0], 1.0)["reply_bytes"])
        bare = stack.enter_context(processes.echo(reply_bytes))
        router = stack.enter_context(processes.trunkshow("router", "--store", str(store), "--shards", shard.target))
        yield (
            users,
            [
                Subject("echo", "echo", bare.target, echo.METHOD, folder / "predict", {"echo": bare}),
                of_shard,
                Subject(
                    "router+shard",
                    "router",
                    router.target,
                    RECOMMEND,
                    folder / "recommend",
                    {"router": router, "shard": shard},
                ),
            ],
        )


def _write_requests(store: Path, folder: Path, shard: str) -> int:
    """Request files for the shard and for the router, over the same users in the same order; how many.

    Users whom the shard cannot give the whole slate, in a store of the caller's own, are left out.
    """
    snapshot = Snapshot.open(open_store(store))
    recommend, predict = [], []
    with grpc.insecure_channel(shard) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)
        for user, partition in _users(snapshot):
            plain = pb.RecommendRequest(user_id=user, carousels=load.CAROUSELS, items_per_carousel=load.ITEMS)
            wrapped = shard_pb2.PredictRequest(
                request=plain.SerializeToString(),
                snapshot_version=snapshot.version,
                partitions=[partition],
                carousels=load.CAROUSELS,
            )
            try:
                load.check_shard(ask(wrapped.SerializeToString(), timeout=load.TIMEOUT_S))
            except load.WrongReply:
                continue
            recommend.append(wrapped.request)
            predict.append(wrapped.SerializeToString())
    snapshot.close()
    load.write_requests(folder / "recommend", recommend)
    load.write_requests(folder / "predict", predict)
    return len(predict)


def _users(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Users and their homes, of all partitions in turn."""
    by_partition = []
    for number in range(snapshot.partitions):
        opened = snapshot.open_partition(number)
        by_partition.append([(user, number) for user in opened.sample_users(USERS_MAX // snapshot.partitions + 1)])
        opened.close()
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*by_partition))
    return [entry for entry in in_turn if entry is not None][:USERS_MAX]


def _once(subject: Subject, concurrency: int, seconds: float) -> dict[str, Any]:
    before = {name: server.cpu_s() for name, server in subject.servers.items()}
    command = [sys.executable, "-m", "bench.load", subject.target, subject.method, str(subject.requests)]
    chosen = ["--kind", subject.kind, "--concurrency", str(concurrency), "--seconds", str(seconds)]
    done = subprocess.run([*command, *chosen], stdout=subprocess.PIPE, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    measured["cpu_s_per_1000"] = {
        name: (server.cpu_s() - before[name]) / measured["answered"] * 1000 for name, server in subject.servers.items()
    }
    return measured


def _row(
    name: str,
    concurrency: int,
    taken: Sequence[dict[str, Any]],
    samples: dict[tuple[str, int], list[dict[str, Any]]],
) -> dict[str, Any]:
    """Medians over the turns; the ratio to the echo is the median of the ratios within each turn."""
    bare = samples["echo", concurrency]
    ratios = [one["rps"] / beside["rps"] for one, beside in zip(taken, bare, strict=True)]
    row = {key: statistics.median(one[key] for one in taken) for key in ("rps", "p50_ms", "p99_ms", "reply_bytes")}
    return {
        "subject": name,
        "concurrency": concurrency,
        **row,
        "stepped_down": sum(one["stepped_down"] for one in taken),
        "answered": sum(one["answered"] for one in taken),
        "to_echo": statistics.median(ratios),
        "best_rps": max(one["rps"] for one in taken),
        "best_to_echo": max(one["rps"] for one in taken) / max(one["rps"] for one in bare),
        "to_echo_range": [min(ratios), max(ratios)],
        "cpu_s_per_1000": {
            server: statistics.median(one["cpu_s_per_1000"][server] for one in taken)
            for server in taken[0]["cpu_s_per_1000"]
        },
    }


def _show(result: dict[str, Any]) -> None:
    print(f"{result['machine']}, {result['turns']} turns of {result['seconds']:g} s each, {result['users']} users\n")
    columns = (
        "subject",
        "callers",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "÷ echo",
        "least, most",
        "best",
        "best ÷ echo's",
        "CPU s per 1,000 requests",
        "lower rung",
    )
    rows = [
        (
            row["subject"],
            row["concurrency"],
            row["rps"],
            row["p50_ms"],
            row["p99_ms"],
            row["to_echo"],
            "{:.2f}, {:.2f}".format(*row["to_echo_range"]),
            row["best_rps"],
            row["best_to_echo"],
            ", ".join(f"{name} {value:.3f}" for name, value in row["cpu_s_per_1000"].items()),
            row["stepped_down"],
        )
        for row in sorted(result["rows"], key=lambda row: row["concurrency"])
    ]
    tables.show(columns, rows)
    print()
    for concurrency in CONCURRENCIES:
        ratio = {row["subject"]: row["to_echo"] for row in result["rows"] if row["concurrency"] == concurrency}
        print(f"{concurrency:2d} callers: (b)/(a) = {ratio['shard']:.2f}, (c)/(a) = {ratio['router+shard']:.2f}")


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a snapshot store of your own; else one is made up and built")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "trunkshow-bench",
        help="where the made-up one is kept",
    )
    parser.add_argument("--quick", action="store_true", help="three short turns instead of seven")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    store = chosen.store or synthetic.store_of(chosen.work)
    with tempfile.TemporaryDirectory() as folder:
        turns, seconds = (3, 1.0) if chosen.quick else (7, 2.5)
        result = measure(store, Path(folder), turns, seconds)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        _show(result)
    if any(row["stepped_down"] > STEPPED_DOWN_SHARE_MAX * row["answered"] for row in result["rows"]):
        sys.exit("more than 1 % of the slates are of a lower rung: the machine is too busy to measure anything")


if __name__ == "__main__":
    main()
