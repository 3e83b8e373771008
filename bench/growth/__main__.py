"""Measure what has not been measured yet, draw it, fit it: see `bench.growth`.

    python -m bench.growth --small                              a smoke run
    python -m bench.growth --resume                             everything that a run before did not come to
    python -m bench.growth --only items --items-max 100000      one axis, without its largest point
    python -m bench.growth --from FILE --costs cli/plan/costs.json --charts bench/charts      nothing is measured

Three million users are about 85 million events: 15 GB of memory and 10 GB of disk. What a point had no room for is
written down as not measured. Results lie in `--work`/points, a file each; `--save` puts them into one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import tables
from bench.growth import charts, fitting, measuring, points, searching, wanted
from cli.plan import costs

SECONDS, SMALL_SECONDS = 4.0, 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print tables."""
    chosen = _parsed(arguments)
    axes = points.SMALL_AXES if chosen.small else points.AXES
    if chosen.read:
        saved = json.loads(chosen.read.read_text(encoding="utf-8"))
    else:
        work = chosen.work / ("small" if chosen.small else "full")
        todo = [
            one
            for one in points.chosen(axes, chosen.only)
            if one.users <= chosen.users_max and one.items <= chosen.items_max
        ]
        seconds = SMALL_SECONDS if chosen.small else SECONDS
        measuring.measure(todo, work, resume=chosen.resume, seconds=seconds, say=_say)
        saved = {"points": measuring.read(work / "points"), "searches": searching.measure()}
    fitted = fitting.fitted(saved["points"], saved["searches"])
    _show(saved["points"], fitted)
    _write(chosen, saved, axes, fitted)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=points.AXES, default="", help="one axis")
    parser.add_argument("--small", action="store_true", help="tiny points, for the sake of the program")
    parser.add_argument("--resume", action="store_true", help="leave alone what was measured before")
    parser.add_argument("--users-max", type=int, default=sys.maxsize, help="leave larger points out")
    parser.add_argument("--items-max", type=int, default=sys.maxsize)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "trunkshow-growth")
    parser.add_argument(
        "--from", type=Path, dest="read", metavar="FILE", help="measure nothing: points that were saved"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="all points in one file")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="the fitted costs, as `trunkshow plan` reads them")
    parser.add_argument("--charts", type=Path, metavar="FOLDER", help="pictures")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _show(found: Sequence[dict[str, Any]], fitted: costs.Costs) -> None:
    served = [one for one in found if "serving" in one]
    tables.show(_SERVED, [_served(one) for one in served])
    print()
    tables.show(_BUILT, [_built(one) for one in found if "build" in one])
    print()
    tables.show(("cost", "", "value", "unit", "fitted to"), list(fitting.rows(fitted)))
    for name, why in fitted.not_measured.items():
        print(f"\nnot measured: {name}: {why}")


_SIZES = ("users", "items", "partitions", "shards", "factors", "histories x")
_SERVED = (
    *_SIZES,
    "requests/s",
    "p99 ms at half",
    "router ms",
    "shards ms",
    "shard MiB",
    "router MiB",
    "shard start CPU s",
    "lower rung",
)
_BUILT = (*_SIZES, "trained", "events", "listed per partition", "CPU s", "peak MiB", "snapshot MiB")


def _sizes(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one["point"][name] for name in ("users", "items", "partitions", "shards", "factors", "longer"))


def _served(one: dict[str, Any]) -> tuple[Any, ...]:
    serving = one["serving"]
    at_peak, at_half = serving["load"]["peak"], serving["load"]["half"]
    cpu, memory = serving["cpu_ms_per_request"], serving["memory"]
    return (
        *_sizes(one),
        at_peak["requests_per_s"],
        at_half["p99_ms"] or float("nan"),
        cpu["router"],
        cpu["shard"],
        max(of["anonymous"] for of in memory["shard"]) / 2**20,
        memory["router"][0]["anonymous"] / 2**20,
        max(of["cpu_s"] for of in serving["opened"]["shard"]),
        at_peak["stepped_down"] + at_half["stepped_down"],
    )


def _built(one: dict[str, Any]) -> tuple[Any, ...]:
    build = one["build"]
    return (
        *_sizes(one),
        "yes" if one["point"]["trained"] else "no",
        build["counts"]["events"],
        build["counts"]["items_per_partition_mean"],
        wanted.build_cpu_s(one),
        build["peak_rss_bytes"] / 2**20,
        build["bytes"]["all"] / 2**20,
    )


def _write(
    chosen: argparse.Namespace,
    saved: dict[str, Any],
    axes: Mapping[str, tuple[points.Point, ...]],
    fitted: costs.Costs,
) -> None:
    if chosen.save:
        chosen.save.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
    if chosen.costs:
        chosen.costs.write_text(costs.encoded(fitted), encoding="utf-8")
    if chosen.charts:
        machine = fitted.machine
        beside = "nothing else running" if fitted.quiet else "beside other work, with the lowest priority"
        note = f"{fitted.commit}, {machine['date']}, {machine['cpus']} x {machine['cpu']}, {beside}"
        charts.draw(saved["points"], axes, chosen.charts, note)


if __name__ == "__main__":
    main()
