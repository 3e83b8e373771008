"""What a second router process on the same port brings: slates a second, and the routers' processor time of each.

Usage: python -m bench.router_processes [--work FOLDER]. One shard, in front of it in turns a router of one process and
one of two, asked over the same number of connections at a time by a closed loop. Every process is on this machine, the
driver too: where that has two processors, they are busy with the shard and the driver as well, and what is measured is
whether two share them as well as one does. What a second one brings where processors are to spare needs a larger one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import processes, ratios, synthetic, tables
from bench.subjects import Say
from bench.wanted import WANTED
from cli.addresses import free_address
from cli.bench.orders import Orders, write_requests
from cli.bench.outcome import Outcome, quantile
from cli.bench.users import of_snapshot, requests_for
from trunkshow import channel as wire
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

COUNTS = (1, 2)
TURNS = 3
STRETCH_S = 5.0
CALLERS = 16
CONNECTIONS = 8


def measure(store: Path, say: Say, turns: int = TURNS) -> dict[str, Any]:
    """Each in turn, some times.

    Args:
        store: of a snapshot.
        say: told of the progress.
        turns: how often.
    """
    found: dict[int, list[Outcome]] = {count: [] for count in COUNTS}
    with contextlib.ExitStack() as stack:
        requests = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "requests"
        write_requests(requests, _requests(store))
        shard = stack.enter_context(processes.trunkshow("shard", "--store", str(store)))
        for turn in range(turns):
            for count, outcomes in found.items():
                outcomes.append(_asked(store, shard.target, requests, count, turn))
                say(f"turn {turn + 1} of {turns}, {count} processes: {outcomes[-1].throughput:.0f} slates a second")
    rows = {str(count): _row(outcomes) for count, outcomes in found.items()}
    one, more = (found[count] for count in COUNTS)
    ratio = ratios.of_turns([each.throughput for each in more], [each.throughput for each in one])
    return {"machine": tables.machine(), "turns": turns, "processes": rows, "ratio": ratio}


def _asked(store: Path, shard: str, requests: Path, count: int, seed: int) -> Outcome:
    with _router(store, shard, count) as (target, pids), processes.driver(target, requests) as driver:
        orders = Orders(
            wire.RECOMMEND.path,
            "slate",
            WANTED,
            STRETCH_S,
            callers=CALLERS,
            seed=seed,
            pids=pids,
            connections=CONNECTIONS,
        )
        outcome = driver(orders)
    if not outcome.passed:
        sys.exit(f"{count} router processes: failed {dict(outcome.failed)}, {outcome.judged.complaints[:3]}")
    return outcome


@contextlib.contextmanager
def _router(store: Path, shard: str, count: int) -> Iterator[tuple[str, Mapping[str, int]]]:
    """A router of so many processes, all of them serving: where, and the processes' ids by name."""
    serving = threading.Semaphore(0)

    def hear(event: Mapping[str, Any]) -> None:
        if event.get("event") == "server.serving":
            serving.release()

    own = ("--store", str(store), "--shards", shard, "--processes", str(count))
    with processes.trunkshow("router", *own, listen=free_address(), hear=hear) as router:
        for _ in range(count - 1):  # the first one was waited for
            if not serving.acquire(timeout=processes.START_S_MAX):
                raise processes.DidNotStart(f"one of {count} router processes does not serve")
        children = Path(f"/proc/{router.pid}/task/{router.pid}/children").read_text(encoding="utf-8").split()
        pids = [int(pid) for pid in children] if count > 1 else [router.pid]
        yield router.target, {f"router {number}": pid for number, pid in enumerate(pids, start=1)}


def _row(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "slates_per_s": ratios.spread([one.throughput for one in outcomes]),
        "p99_ms": ratios.spread([quantile(one.latencies_ms, 0.99) for one in outcomes]),
        "router_ms_per_slate": ratios.spread([sum(one.cpu_s.values()) / one.answered * 1e3 for one in outcomes]),
    }


def _requests(store: Path) -> list[bytes]:
    with contextlib.closing(Snapshot.open(open_store(store))) as snapshot:
        return requests_for([one.user for one in of_snapshot(snapshot)], WANTED, 0)


def markdown(result: dict[str, Any]) -> str:
    """A table for people."""
    names = {"slates_per_s": "slates a second", "p99_ms": "p99, ms", "router_ms_per_slate": "routers' ms per slate"}
    rows = [(count, *(f"{row[name]['median']:.4g}" for name in names)) for count, row in result["processes"].items()]
    table = tables.text(("processes", *names.values()), rows)
    ratio = result["ratio"]
    return (
        f"{table}\n\nTwo processes ÷ one, slates a second: **{ratio['median']:.2f}** ({ratio['least']:.2f} to"
        f" {ratio['most']:.2f}); {CALLERS} callers over {CONNECTIONS} connections, {result['turns']} turns.\n"
    )


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=synthetic.WORK, help="where the made-up snapshot is kept")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = measure(synthetic.store_of(chosen.work, synthetic.CATALOGUE), tables.remark)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        print(markdown(result))


if __name__ == "__main__":
    main()
