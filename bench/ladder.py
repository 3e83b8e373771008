"""The ladder of limits: what each step between a bare echo and a router costs, with replies of one size.

    echo             grpc.aio, no (de)serialisers, as many bytes as a shard's reply on average
    forwarder+echo   a server that passes bytes on to the echo, and back: what a hop costs at least
    shard            Predict: a personal slate of two carousels of ten, from the user's home partition
    router+shard     Recommend: the same slates
    …, kept slates   the same two of a shard as it is by default: it sends again what it made before (docs/adr/0033).
                     All others make every slate; of a few thousand users nearly all had been kept, see the column
    router, batch    RecommendBatch of 50 users; figures are per user

Servers are real child processes, started as an operator starts them; the load (`cli.bench.driver`) is one more. First
closed loops find what each can do: the better of few and of many callers. Then each is asked at half of that in an open
loop, and latency counts from when a request was due. All are measured in turns; a ratio is of two measured in one turn,
and what counts is the median over the turns. On two cores the driver takes one for itself: requests per second are its
limit as much as the server's, and the processor seconds say what a server costs by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import ratios, synthetic, tables
from bench.subjects import (
    CALLERS,
    ECHO,
    FORWARDER,
    ROUTER,
    ROUTER_BATCH,
    ROUTER_KEPT,
    SHARD,
    SHARD_KEPT,
    Say,
    Subject,
    standing,
)
from cli.bench.outcome import QUANTILES, Outcome, name_of

LOAD = 0.5
LESSER_SHARE_MAX = 0.01
"""With more slates of a lower rung or with too few items than this, what was measured is not what is claimed."""

RATIOS = (
    (FORWARDER, ECHO),
    (SHARD, ECHO),
    (SHARD_KEPT, ECHO),
    (ROUTER, SHARD),
    (ROUTER, FORWARDER),
    (ROUTER_KEPT, FORWARDER),
    (ROUTER_BATCH, ECHO),
)
PEAK_ONLY = frozenset({ROUTER_BATCH, SHARD_KEPT, ROUTER_KEPT})
"""What is not asked at half load."""


@dataclass(frozen=True)
class Turns:
    """How much is measured.

    Attributes:
        count: turns over all subjects.
        peak_s: of one closed loop.
        half_s: of one open loop.
    """

    count: int = 5
    peak_s: float = 2.5
    half_s: float = 5.0


QUICK = Turns(2, 0.7, 1.0)


def measure(store: Path, folder: Path, turns: Turns, say: Say) -> dict[str, Any]:
    """All turns over all subjects.

    Args:
        store: with a snapshot.
        folder: for the request files.
        turns: how much is measured.
        say: told of the progress.
    """
    with standing(store, folder, say) as (users, subjects):
        peaks = [_peak_turn(subjects, turns, number, say) for number in range(turns.count)]
        best = {one.name: statistics.median(_best(peak, one.name).throughput for peak in peaks) for one in subjects}
        single = [one for one in subjects if one.name not in PEAK_ONLY]
        halves = [_half_turn(single, best, turns, number, say) for number in range(turns.count)]
    return {
        "machine": tables.machine(),
        "turns": turns.count,
        "seconds": [turns.peak_s, turns.half_s],
        "users": users,
        "peak": [_peak_row(peaks, one.name, callers) for one in subjects for callers in one.callers],
        "ratios": {f"{top} ÷ {bottom}": _ratio(peaks, top, bottom) for top, bottom in RATIOS},
        "half_load": [_half_row(halves, one.name) for one in single],
    }


Peak = dict[tuple[str, int], Outcome]
"""One turn's closed loops, by subject and callers."""


def _peak_turn(subjects: Sequence[Subject], turns: Turns, number: int, say: Say) -> Peak:
    taken: Peak = {}
    for level in range(len(CALLERS)):
        for one in _alternated(subjects, number):
            orders = replace(one.orders, seconds=turns.peak_s, callers=one.callers[level], seed=number)
            taken[one.name, one.callers[level]] = _checked(one, one.ask(orders))
    told = ", ".join(f"{one.name} {_best(taken, one.name).throughput:,.0f}/s" for one in subjects)
    say(f"closed loops, turn {number + 1} of {turns.count}: {told}")
    return taken


def _half_turn(
    subjects: Sequence[Subject], best: dict[str, float], turns: Turns, number: int, say: Say
) -> dict[str, Outcome]:
    taken = {}
    for one in _alternated(subjects, number):
        orders = replace(one.orders, seconds=turns.half_s, rate=LOAD * best[one.name], seed=number)
        taken[one.name] = _checked(one, one.ask(orders))
    told = ", ".join(f"{name} p99 {outcome.quantile_ms(0.99):.1f} ms" for name, outcome in taken.items())
    say(f"half load, turn {number + 1} of {turns.count}: {told}")
    return taken


def _alternated(subjects: Sequence[Subject], number: int) -> Sequence[Subject]:
    """There in one turn and back in the next: what a machine does as it grows warm or busy favours nobody."""
    return subjects if number % 2 == 0 else subjects[::-1]


def _checked(subject: Subject, outcome: Outcome) -> Outcome:
    """What came, where nothing of it is wrong.

    Raises:
        SystemExit: calls failed, or a slate has what it must not.
    """
    judged = outcome.judged
    if not outcome.passed:
        what = f"{outcome.answered} answered, failed {dict(outcome.failed)}, {dict(judged.counts)}"
        sys.exit(f"{subject.name}: {what}; {'; '.join(judged.complaints[:3])}")
    return outcome


def _best(peak: Peak, name: str) -> Outcome:
    """The better of few and of many callers."""
    return max((outcome for (of, _), outcome in peak.items() if of == name), key=lambda one: one.throughput)


def _ratio(peaks: Sequence[Peak], top: str, bottom: str) -> dict[str, Any]:
    return ratios.of_turns(*([_best(one, name).throughput for one in peaks] for name in (top, bottom)))


def _peak_row(peaks: Sequence[Peak], name: str, callers: int) -> dict[str, Any]:
    taken = [one[name, callers] for one in peaks]
    return {"subject": name, "callers": callers, **_common(taken)}


def _half_row(halves: Sequence[dict[str, Outcome]], name: str) -> dict[str, Any]:
    taken = [one[name] for one in halves]
    p99 = [[one[of].quantile_ms(0.99) for one in halves] for of in (name, FORWARDER)]
    return {
        "subject": name,
        "rate": taken[0].rate,
        **_common(taken),
        "sent_late_p99_ms": ratios.median_quantile([one.lags_ms for one in taken], 0.99),
        "ratio": ratios.of_turns(*p99),
    }


def _common(taken: Sequence[Outcome]) -> dict[str, Any]:
    """Medians over the turns."""
    latencies, names = [one.latencies_ms for one in taken], list(taken[0].cpu_s)
    return {
        "requests_per_s": statistics.median(one.throughput for one in taken),
        **{name_of(share): ratios.median_quantile(latencies, share) for share in QUANTILES},
        "reply_bytes": statistics.median(one.reply_bytes for one in taken),
        "answered": sum(one.answered for one in taken),
        "lesser": sum(max(one.judged.stepped_down, one.judged.counts["short"]) for one in taken),
        "kept": sum(one.judged.kept for one in taken),
        "cpu_s_per_1000": {name: statistics.median(one.cpu_s_per_1000()[name] for one in taken) for name in names},
        "rss_mb": {name: max(one.rss_bytes[name] for one in taken) / 1e6 for name in names},
    }


def too_busy(result: dict[str, Any]) -> bool:
    """Whether too many slates are of a lower rung, or short, for any of it to mean something."""
    rows = [*result["peak"], *result["half_load"]]
    return any(row["lesser"] > LESSER_SHARE_MAX * row["answered"] for row in rows)


def markdown(result: dict[str, Any]) -> str:
    """Tables for people."""
    peak = tables.text(
        (
            "subject",
            "callers",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "CPU s per 1,000",
            "resident MB",
            "lesser",
            "kept",
        ),
        [
            (
                row["subject"],
                row["callers"],
                row["requests_per_s"],
                row["p50_ms"],
                row["p99_ms"],
                _by_name(row["cpu_s_per_1000"], ".3f"),
                _by_name(row["rss_mb"], ".0f"),
                row["lesser"],
                f"{row['kept'] / row['answered']:.0%}",
            )
            for row in result["peak"]
        ],
    )
    between = tables.text(
        ("requests per second", "median ratio", "least", "most"),
        [(name, one["median"], one["least"], one["most"]) for name, one in result["ratios"].items()],
    )
    half = tables.text(
        ("at half load", "requests/s", *_QUANTILE_HEADS, "sent late p99", "p99 ÷ forwarder's", "least", "most"),
        [
            (
                row["subject"],
                row["rate"],
                *(row[name_of(share)] for share in QUANTILES),
                row["sent_late_p99_ms"],
                row["ratio"]["median"],
                row["ratio"]["least"],
                row["ratio"]["most"],
            )
            for row in result["half_load"]
        ],
    )
    return f"{peak}\n\n{between}\n\n{half}\n"


_QUANTILE_HEADS = ("p50 ms", "p90", "p99", "p99.9")


def _by_name(values: dict[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a snapshot store of your own; else one is made up and built")
    parser.add_argument("--work", type=Path, default=synthetic.WORK, help="where the made-up one is kept")
    parser.add_argument("--quick", action="store_true", help="two short turns")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    store = chosen.store or synthetic.store_of(chosen.work, synthetic.CATALOGUE)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(store, Path(folder), QUICK if chosen.quick else Turns(), tables.remark)
    if chosen.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print(markdown(result))
    if too_busy(result):
        sys.exit("more than 1 % of the slates are of a lower rung or short: this machine is too busy to measure")


if __name__ == "__main__":
    main()
