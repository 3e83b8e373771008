"""How long a shard takes to open a generation of 50,000 users, and what others notice of it meanwhile.

The generation is one snapshot's only partition. A shard serves one version of it and is asked for that at half of its
peak, in an open loop; a few seconds later another version is promoted, opened beside it, and the asking goes on. Before
and meanwhile are of one stretch: requests that were due before the promotion, and those due until the new version was
warm. Then a third version is promoted while nobody asks: work in the background keeps out of the way of requests, and
takes longer where there are some.

Opening lasts from when the shard saw the pointer until everything is warm, by its own log.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import queue
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import processes, ratios, synthetic, tables
from bench.subjects import Say, prediction
from bench.wanted import WANTED
from cli.bench.orders import Orders, write_requests
from cli.bench.outcome import Outcome, quantile
from cli.bench.users import of_snapshot
from cli.chaos.versions import copy_store, link_tree, push
from trunkshow import channel as wire
from trunkshow.snapshot.manifest import FILE_NAME, Manifest
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, open_store, who

TURNS = 3
BEFORE_S = 3.0
STRETCH_S = 8.0
CALLERS = 8
LOAD = 0.5
OPEN_WITHIN_S = 60.0
USERS = 2_000


class Heard:
    """What a shard logged, and when; events come on another thread."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[float, Mapping[str, Any]]] = queue.Queue()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Hear one."""
        self._events.put((time.monotonic(), event))

    def until(self, name: str, is_it: Callable[[Mapping[str, Any]], bool]) -> float:
        """When an event of this name that is the one wanted was heard; waits for it.

        Raises:
            SystemExit: it did not come.
        """
        with contextlib.suppress(queue.Empty):
            while True:
                at, event = self._events.get(timeout=OPEN_WITHIN_S)
                if event.get("event") == name and is_it(event):
                    return at
        sys.exit(f"a shard did not say {name} within {OPEN_WITHIN_S:g} s")


def measure(source: Path, folder: Path, say: Say, turns: int = TURNS) -> dict[str, Any]:
    """All turns; medians over them.

    Args:
        source: store of a snapshot.
        folder: on the same file system if possible, so that copies are links.
        say: told of the progress.
        turns: each opens one version beside requests, and one without.
    """
    version = copy_store(str(source), folder / "store")
    store, heard = open_store(folder / "store"), Heard()
    fresh = _versions(store, folder, version)
    busy: list[dict[str, Any]] = []
    idle: list[float] = []
    with processes.trunkshow("shard", "--store", str(folder / "store"), hear=heard) as shard:
        for turn in range(turns):
            asking = Orders(wire.PREDICT, "shard", WANTED, STRETCH_S, seed=turn, pids={"shard": shard.pid})
            _write_requests(store, folder / "requests", version)
            with processes.driver(shard.target, folder / "requests") as driver:
                peak = driver(replace(asking, seconds=1.0, callers=CALLERS)).throughput
                busy.append(_beside(driver, replace(asking, rate=LOAD * peak), store, heard, next(fresh)))
            seen, warm, _ = _opened(store, heard, version := next(fresh))
            idle.append(warm - seen)
            told, alone = busy[-1], idle[-1]
            say(
                f"opening, turn {turn + 1} of {turns}: {told['open_s']:.2f} s beside {LOAD * peak:.0f} requests/s,"
                f" {alone:.2f} s alone; p99 {told['before_ms']:.1f} ms before, {told['meanwhile_ms']:.1f} ms meanwhile"
            )
    return {
        "machine": tables.machine(),
        "turns": turns,
        "users": _users(source),
        "rate": statistics.median(one["rate"] for one in busy),
        "open_s": ratios.spread([one["open_s"] for one in busy]),
        "open_idle_s": ratios.spread(idle),
        "seen_s": ratios.spread([one["seen_s"] for one in busy]),
        "before_p99_ms": ratios.spread([one["before_ms"] for one in busy]),
        "meanwhile_p99_ms": ratios.spread([one["meanwhile_ms"] for one in busy]),
        "ratio": ratios.of_turns([one["meanwhile_ms"] for one in busy], [one["before_ms"] for one in busy]),
        "stepped_down": sum(one["stepped_down"] for one in busy),
    }


def _beside(driver: processes.Driver, orders: Orders, store: Store, heard: Heard, version: str) -> dict[str, Any]:
    """A version opened while requests come."""
    driver.start(orders)
    time.sleep(BEFORE_S)
    seen, warm, promoted = _opened(store, heard, version)
    outcome = driver.outcome()
    if not outcome.passed:
        sys.exit(f"requests beside an opening: failed {dict(outcome.failed)}, {outcome.judged.complaints[:3]}")
    return {"open_s": warm - seen, "seen_s": seen - promoted, **noticed(outcome, promoted, seen, warm)}


def noticed(outcome: Outcome, promoted: float, seen: float, warm: float) -> dict[str, Any]:
    """The p99 before and meanwhile, in milliseconds; NaN where too few were due then."""
    return {
        "rate": outcome.rate,
        "before_ms": quantile(outcome.latencies_between(0.0, promoted), 0.99),
        "meanwhile_ms": quantile(outcome.latencies_between(seen, warm), 0.99),
        "stepped_down": outcome.judged.stepped_down,
    }


def _opened(store: Store, heard: Heard, version: str) -> tuple[float, float, float]:
    """Promote a version; when the shard saw that, when all of it was warm, and when it was promoted."""
    promoted = time.monotonic()
    store.move(lambda pointer: pointer.promoted(version, who("bench")))
    seen = heard.until("pointer.seen", lambda event: event["current"] == version)
    partitions, warm = store.manifest(version).counts["partitions"], seen
    for _ in range(partitions):
        warm = heard.until("piece.warm", lambda event: event["snapshot"] == version and event["kind"] == "HOME")
    return seen, warm, promoted


def _versions(store: Store, folder: Path, base: str) -> Iterator[str]:
    """The same snapshot under other names, each pushed when it is asked for."""
    source = store.ensure(base, store.manifest(base).files)
    for number in itertools.count(1):
        version = f"{base}.{number:04d}"
        made = folder / "made" / version
        link_tree(source, made)
        manifest = Manifest.from_json((made / FILE_NAME).read_text(encoding="utf-8"))
        (made / FILE_NAME).unlink()  # other versions have a link to the same bytes
        (made / FILE_NAME).write_text(replace(manifest, version=version).to_json(), encoding="utf-8")
        push(store, made, version)
        yield version


def _write_requests(store: Store, path: Path, version: str) -> None:
    with contextlib.closing(Snapshot.open(store, version)) as snapshot:
        write_requests(path, [prediction(version, resident) for resident in of_snapshot(snapshot, USERS)])


def _users(store: Path) -> int:
    opened = open_store(store)
    return int(opened.manifest(opened.pointer().current).counts["users"])


def markdown(result: dict[str, Any]) -> str:
    """A table for people."""
    rows = [
        ("seconds to open, beside requests", result["open_s"]),
        ("seconds to open, nobody asking", result["open_idle_s"]),
        ("seconds until the shard saw the pointer", result["seen_s"]),
        ("p99 ms of the others before", result["before_p99_ms"]),
        ("p99 ms of the others meanwhile", result["meanwhile_p99_ms"]),
        ("meanwhile ÷ before", result["ratio"]),
    ]
    table = tables.text(
        ("", "median", "least", "most"),
        [(name, *(one[of] for of in ("median", "least", "most"))) for name, one in rows],
    )
    said = f"{result['users']:,} users, {result['rate']:.0f} requests a second, {result['turns']} turns."
    return f"{table}\n\n{said}\n"


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=synthetic.WORK, help="where the made-up snapshot is kept")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    source = synthetic.store_of(chosen.work, synthetic.CROWD)
    with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
        result = measure(source, Path(folder), tables.remark)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        print(markdown(result))


if __name__ == "__main__":
    main()
