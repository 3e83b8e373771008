"""Points as pictures: one picture per question, one panel per axis. Small PNGs that can be read in print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.growth.fitting import is_quiet
from bench.growth.points import Point, axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = ("users", "items", "partitions", "shards")
DOTS_PER_INCH = 90
_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#7b2d8b")


class Line(NamedTuple):
    """What is drawn.

    Attributes:
        label: of the line.
        value: of a point.
    """

    label: str
    value: Callable[[Mapping[str, Any]], float]


class Picture(NamedTuple):
    """One picture.

    Attributes:
        name: of its file.
        title: above it.
        unit: of the upright axis.
        lines: that are drawn in each panel.
        quiet: of points from a quiet machine alone; it is not drawn where there are none.
    """

    name: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    quiet: bool = False


def _memory(role: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda one: float(np.mean([of["anonymous"] for of in one["serving"]["memory"][role]])) / 2**20


def _start(role: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda one: float(np.mean([of["cpu_s"] for of in one["serving"]["opened"][role]]))


def _cpu(role: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda one: float(one["serving"]["cpu_ms_per_request"][role])


def _build_cpu(one: Mapping[str, Any]) -> float:
    spent = one["build"]["cpu_seconds"]
    return float(sum(spent[stage] for stage in ("fit", "partition", "write", "publish")))


PICTURES = (
    Picture(
        "growth-request",
        "Processor time per request",
        "ms",
        (Line("shards", _cpu("shard")), Line("router", _cpu("router"))),
        quiet=True,
    ),
    Picture(
        "growth-latency",
        "Latency through router and shards, at half of the peak",
        "ms",
        (
            Line("p50", lambda one: one["serving"]["load"]["half"]["p50_ms"] or float("nan")),
            Line("p99", lambda one: one["serving"]["load"]["half"]["p99_ms"] or float("nan")),
        ),
        quiet=True,
    ),
    Picture(
        "growth-throughput",
        "Throughput of eight callers, all on one machine",
        "requests per second",
        (Line("peak", lambda one: one["serving"]["load"]["peak"]["requests_per_s"]),),
        quiet=True,
    ),
    Picture(
        "growth-memory",
        "Anonymous memory after a load, per process",
        "MiB",
        (Line("a shard", _memory("shard")), Line("a router", _memory("router"))),
    ),
    Picture(
        "growth-start",
        "Processor seconds from start to serving, per process",
        "s",
        (Line("a shard", _start("shard")), Line("a router", _start("router"))),
        quiet=True,
    ),
    Picture(
        "growth-build",
        "Build with factors given: processor seconds, peak memory, snapshot",
        "s, MiB",
        (
            Line("processor seconds", _build_cpu),
            Line("peak memory, MiB", lambda one: one["build"]["peak_rss_bytes"] / 2**20),
            Line("snapshot, MiB", lambda one: one["build"]["bytes"]["all"] / 2**20),
        ),
    ),
)


def draw(
    found: Sequence[Mapping[str, Any]], axes: Mapping[str, tuple[Point, ...]], folder: Path, note: str
) -> list[Path]:
    """Draw every picture; return the files.

    Args:
        found: points, as `measuring` wrote them.
        axes: that they lie on.
        folder: for the files.
        note: below each picture: commit, machine, whether anything else ran.
    """
    served = {Point(**one["point"]): one for one in found if "serving" in one}
    quiet = {point: one for point, one in served.items() if is_quiet(one)}
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _picture(picture, by_point, axes, folder, note)
        for picture in PICTURES
        if (by_point := quiet if picture.quiet else served)
    ]


def _picture(
    picture: Picture,
    by_point: Mapping[Point, Mapping[str, Any]],
    axes: Mapping[str, tuple[Point, ...]],
    folder: Path,
    note: str,
) -> Path:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(12, 3.2), sharey=True, layout="constrained")
    for name, panel in zip(PANELS, panels, strict=True):
        _panel(panel, name, picture, [(at, by_point[point]) for at, point in axis(axes, name) if point in by_point])
    if picture.name != "growth-build":
        panels[0].set_ylim(bottom=0)  # last, since the panels share it
    panels[0].set_ylabel(picture.unit)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    figure.suptitle(picture.title, fontsize=11)
    figure.supxlabel(note, fontsize=7, color="#555555")
    target = folder / f"{picture.name}.png"
    figure.savefig(target, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
    return target


def _panel(panel: Axes, name: str, picture: Picture, measured: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
    for line, colour in zip(picture.lines, _COLOURS, strict=False):
        values = [line.value(one) for _, one in measured]
        panel.plot([at for at, _ in measured], values, "o-", color=colour, label=line.label, markersize=4)
    panel.set_xscale("log")
    panel.set_yscale("log" if picture.name == "growth-build" else "linear")
    panel.set_xticks([at for at, _ in measured], [_short(at) for at, _ in measured])
    panel.minorticks_off()
    panel.set_xlabel(name, fontsize=9)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
