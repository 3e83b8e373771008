"""Small pictures made of block characters, where one would rather look than read. Pure: numbers in, text out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from trunkshow.client import Rung

EIGHTHS = " ▏▎▍▌▋▊▉█"
COLUMNS = "▁▂▃▄▅▆▇█"

RUNG_STYLES = {
    Rung.UNSPECIFIED: "dim",
    Rung.FRESH: "bold green",
    Rung.SNAPSHOT: "green",
    Rung.PREVIOUS: "cyan",
    Rung.STAND_IN: "yellow",
    Rung.SEGMENT: "magenta",
    Rung.POPULAR: "red",
}


def bar(value: float, largest: float, width: int = 24) -> str:
    """A horizontal bar, to an eighth of a character; empty for nothing."""
    if largest <= 0 or value <= 0:
        return ""
    eighths = max(1, round(min(value / largest, 1) * width * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def columns(values: Sequence[float], width: int = 64) -> str:
    """One column per value, its height against the largest; wider ones where there is room for gaps between them."""
    largest = max(values, default=0) or 1
    heights = [COLUMNS[min(int(value / largest * 8), 7)] for value in values]
    thick = min(width // max(len(values), 1) - 1, 3)
    return " ".join(height * thick for height in heights) if thick > 0 else "".join(heights)


def ladder(reached: Rung) -> Text:
    """The ladder from the best rung down, the one reached standing out."""
    steps = [
        Text(f"● {rung.name}", RUNG_STYLES[rung]) if rung is reached else Text("○ " + rung.name, "dim")
        for rung in Rung
        if rung is not Rung.UNSPECIFIED
    ]
    return Text("  ").join(steps)


def number(value: float) -> str:
    """A number to three figures, never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def size(count: float) -> str:
    """Bytes for a person, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers as ranges: 0–3, 7, 9–12."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
