"""What shoppers notice of a swap: latency and rungs while a new snapshot comes in, beside steady stretches of one run.

Usage: python -m bench.swap [--store STORE]. A cluster of `trunkshow chaos` (3 shards, 2 replicas, 2 routers, links
between them) is asked at half of what it sustains. Steady and swapping stretches take turns; in a swapping one a new
snapshot is pushed and promoted at the beginning, and the stretch ends once every answer is from it and a little later.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench import tables
from cli.chaos.ground import Ground, standing
from cli.chaos.orders import Orders
from cli.chaos.run import BREATH_S, all_told, sustained
from cli.chaos.tally import Tally
from cli.chaos.terrain import Terrain
from cli.chaos.traffic import flowing

TURNS = 6
STEADY_S = 12.0
AFTER_S = 2.0
LOAD = 0.5


async def measure(store: str, work: Path) -> dict[str, Tally]:
    """Tallies of all steady stretches and of all swapping ones."""
    found = {"steady": Tally(), "swapping": Tally()}
    async with standing(Terrain(store, work)) as ground:
        rate = LOAD * await sustained(ground, ground.depot.base, 1)
        print(f"{rate:.0f} requests a second")
        orders = Orders(ground.target, ground.depot.oracle, ground.depot.base, 1, rate=rate)
        async with flowing([orders], ground.logs) as ground.traffic:
            await asyncio.sleep(BREATH_S)
            for _ in range(TURNS):
                found["steady"].add(await _stretch(ground, asyncio.sleep(STEADY_S)))
                found["swapping"].add(await _stretch(ground, _swap(ground)))
    return found


async def _stretch(ground: Ground, work: Any) -> Tally:
    began = time.monotonic()
    await work
    ended = time.monotonic()
    if not await all_told(ground.traffic, ended):
        print("calls are still under way; what becomes of them is not counted")
    ground.traffic.check()
    return ground.traffic.series.between(began, ended)


async def _swap(ground: Ground) -> None:
    version = await ground.depot.push()
    await ground.depot.promote(version)
    await ground.until_served(version)
    await asyncio.sleep(AFTER_S)


def rows(found: dict[str, Tally]) -> list[tuple[object, ...]]:
    """One per kind of stretch, and their ratio."""
    shown: list[tuple[object, ...]] = [
        (
            name,
            f"{tally.requests:,}",
            tally.failed,
            tally.late,
            f"{tally.stepped_down} of {tally.personal:,}",
            *(f"{tally.quantile_ms(share):.1f}" for share in (0.5, 0.9, 0.99)),
        )
        for name, tally in found.items()
    ]
    ratios = [found["swapping"].quantile_ms(share) / found["steady"].quantile_ms(share) for share in (0.5, 0.9, 0.99)]
    return [*shown, ("ratio", "", "", "", "", *(f"{ratio:.2f}" for ratio in ratios))]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default=".demo/store")
    with tempfile.TemporaryDirectory() as work:
        found = uvloop.run(measure(parser.parse_args().store, Path(work)))
    heads = ("stretch", "requests", "failed", "late", "stepped down", "p50 ms", "p90 ms", "p99 ms")
    tables.show(heads, rows(found))


if __name__ == "__main__":
    main()
