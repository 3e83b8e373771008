"""From an event to its effect: how long until what a shopper did is in their page, beside many events and requests.

A real cluster, as `trunkshow up` runs it: a NATS server that forces every record to the disk, a router, two shards
that both hold everything. Shoppers record events in an open loop, in calls of about ten (what a page showed and what
was done there), others ask for slates, and probes click and look for the effect (`bench.fresh_load`; who shops, and
what they do, is `bench.fresh_shop`'s). Turns with events and turns without take their places one after the other, so
that what events cost whoever asks is a ratio within one run. Driver and cluster share the machine's cores.

Usage: python -m bench.fresh [--store .demo/store] [--events-per-s 2000] [--requests-per-s 200] [--turns 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import processes, tables
from bench.fresh_shop import Shop
from cli.addresses import free_address
from cli.cluster import READY_WITHIN_S, until_ready
from trunkshow.models.item_neighbours import ItemNeighbours
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

SHARDS = 2
PROBED = 120
NAMED = 400
NEIGHBOURS_MIN = 40
EFFECT_MS_MAX = 1000.0
"""The aim: 99 of 100 events are to have their effect within it."""

BEHIND_MS_MAX = 250.0
"""A driver that was further behind its plan measured itself."""

STREAMS = {
    "effect": "event to visible effect, asked every 20 ms",
    "own_writes": "event to slate, read with its watermark",
    "acknowledged": "acknowledgement of a call of events",
    "answered": "answer to a request",
    "ages": "knowledge's age, as receipts say",
}
SHARES = (50, 90, 99)


def measure(store: Path, folder: Path, turns: int, seconds: float, rates: dict[str, float]) -> dict[str, Any]:
    """Turns without events and with them, one after the other.

    Args:
        store: with a snapshot.
        folder: for the event log.
        turns: of each.
        seconds: of one.
        rates: events, requests and probes per second.
    """
    taken: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    clicked: dict[str, int] = {}
    shop = shop_of(store)
    with _cluster(store, folder) as (target, servers):
        for seed in range(2 * turns):
            kind = ("without", "with")[seed % 2]
            load = {**rates, "seconds": seconds, "seed": seed, "clicked": clicked}
            load["events_per_s"] = rates["events_per_s"] if kind == "with" else 0.0
            one = _driven({"target": target, "servers": servers, "shop": shop.to_json(), "load": load})
            clicked = one.pop("clicked")
            taken[kind].append(one)
    return {
        "machine": tables.machine(),
        "turns": turns,
        "seconds": seconds,
        **rates,
        "kinds": {kind: _summed(those) for kind, those in taken.items()},
        "p99_ratio": statistics.median(
            _quantiles(busy["answered"])["p99"] / _quantiles(quiet["answered"])["p99"]
            for quiet, busy in zip(taken["without"], taken["with"], strict=True)
        ),
    }


def shop_of(store: Path) -> Shop:
    """Who shops, what they see, whom probes play, and what these click."""
    snapshot = Snapshot.open(open_store(store))
    rng = np.random.default_rng(0)
    users: list[str] = []
    for number in range(snapshot.partitions):
        opened = snapshot.open_partition(number)
        users += opened.sample_users(5000 // snapshot.partitions)
        opened.close()
    users = [users[at] for at in rng.permutation(len(users))]
    catalogue, neighbours = snapshot.catalogue, snapshot.models[ItemNeighbours.name]
    assert isinstance(neighbours, ItemNeighbours)
    rows = rng.permutation(len(catalogue)).tolist()
    named: dict[str, str] = {}
    for row in rows:
        if len(neighbours.neighbours(row, NEIGHBOURS_MIN).rows) == NEIGHBOURS_MIN:
            named.setdefault(catalogue.title(row), catalogue.id(row))
        if len(named) == NAMED:
            break
    items = [catalogue.id(row) for row in rows[:20_000]]
    snapshot.close()
    return Shop(users[PROBED:], items, users[:PROBED], [(item, title) for title, item in named.items()])


@contextlib.contextmanager
def _cluster(store: Path, folder: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """The router's address, and the processes' ids by name."""
    addresses = [free_address() for _ in range(SHARDS)]
    with contextlib.ExitStack() as stack:
        log, url = stack.enter_context(processes.event_log(folder / "events"))
        common = ("--store", str(store), "--log", url, "--shards", *addresses)
        # The router first: it makes the log, which shards only read.
        router = stack.enter_context(processes.trunkshow("router", *common))
        shards = [
            stack.enter_context(processes.trunkshow("shard", *common, "--name", one, listen=one)) for one in addresses
        ]
        asyncio.run(asyncio.wait_for(until_ready(router.target), READY_WITHIN_S))
        named = {"log": log, "router": router, **{f"shard {at}": one for at, one in enumerate(shards)}}
        yield router.target, {name: one.pid for name, one in named.items()}


def _driven(orders: dict[str, Any]) -> dict[str, Any]:
    """One measurement, by a process of its own."""
    command = [sys.executable, "-m", "bench.fresh_load"]
    done = subprocess.run(command, input=json.dumps(orders).encode(), stdout=subprocess.PIPE, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _summed(those: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All turns of a kind as one."""
    cores = {name: statistics.median(one["cores"][name] for one in those) for name in those[0]["cores"]}
    counted = {name: sum(one[name] for one in those) for name in ("not_as_fresh", "not_shown", "events")}
    return {
        **{name: _quantiles([ms for one in those for ms in one[name]]) for name in STREAMS},
        **counted,
        "events_per_s": counted["events"] / sum(one["seconds"] for one in those),
        "rungs": dict(sum((Counter(one["rungs"]) for one in those), Counter[str]())),
        "errors": dict(sum((Counter(one["errors"]) for one in those), Counter[str]())),
        "behind_ms": max(one["behind_ms"] for one in those),
        "cores": cores,
    }


def _quantiles(ms: Sequence[float]) -> dict[str, float]:
    if not ms:
        return {"count": 0, **{f"p{share}": 0.0 for share in SHARES}, "max": 0.0}
    found = np.percentile(ms, SHARES).tolist()
    return {
        "count": len(ms),
        **{f"p{share}": value for share, value in zip(SHARES, found, strict=True)},
        "max": max(ms),
    }


def _show(result: dict[str, Any]) -> None:
    print(result["machine"])
    each = "{turns} turns of {seconds:g} s each; {requests_per_s:g} requests/s, {probes_per_s:g} probes/s"
    print(each.format(**result), end="\n\n")
    rows = [
        (words, f"{one['events_per_s']:,.0f}", *(round(value, 1) for value in one[name].values()))
        for name, words in STREAMS.items()
        for one in result["kinds"].values()
        if one[name]["count"]
    ]
    tables.show(("milliseconds", "events/s", "count", "p50", "p90", "p99", "max"), rows)
    print()
    for kind, one in result["kinds"].items():
        cores = ", ".join(f"{name} {share:.2f}" for name, share in one["cores"].items())
        print(
            f"{kind} events: {one['not_as_fresh']} of {one['own_writes']['count']} that read their writes were not as "
            f"fresh, {one['not_shown']} clicks not shown; rungs {one['rungs']}; errors {one['errors'] or 'none'}; the "
            f"driver was up to {one['behind_ms']:.0f} ms behind\n  cores used: {cores}"
        )
    kept = result["kinds"]["with"]["effect"]["p99"] <= EFFECT_MS_MAX
    print(f"\np99 of requests with events ÷ without: {result['p99_ratio']:.2f} (median over the turns)")
    print(f"the aim, {EFFECT_MS_MAX:,.0f} ms from event to effect for 99 of 100: {'kept' if kept else 'NOT KEPT'}")


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path(".demo/store"))
    parser.add_argument("--events-per-s", type=float, default=2000)
    parser.add_argument("--requests-per-s", type=float, default=200)
    parser.add_argument("--probes-per-s", type=float, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rates = {name: getattr(chosen, name) for name in ("events_per_s", "requests_per_s", "probes_per_s")}
    with tempfile.TemporaryDirectory() as folder:
        result = measure(chosen.store.resolve(), Path(folder), chosen.turns, chosen.seconds, rates)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        _show(result)
    if any(one["behind_ms"] > BEHIND_MS_MAX for one in result["kinds"].values()):
        sys.exit("the driver could not keep to its plan: the machine is too busy to measure anything")


if __name__ == "__main__":
    main()
