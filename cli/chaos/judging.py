"""From a series of tallies and some moments to a verdict, by the rules of `cli.chaos.verdict`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cli.chaos.denied import Takings
from cli.chaos.faults import Promise
from cli.chaos.ledger import Account
from cli.chaos.tally import SLICE_S, Series, Tally
from cli.chaos.verdict import Verdict

WINDOW_S = 0.5
WHOLE_SHARE = 0.99
STILL_OUT_S = 6.0
"""What is asked so long before the heal may be answered after it: a batch."""

PERSONAL_MIN = 5
"""Requests in a window that can show a recovery; with fewer it shows nothing."""


@dataclass(frozen=True)
class Moments:
    """When things happened; monotonic seconds.

    Attributes:
        injected: the fault.
        healed: the fault.
        ended: the look at it.
        moved: the store's pointer, for the last time, perhaps long ago.
        version: that it has named ever since; empty where nobody looks.
        spoilt: versions that must be refused.
    """

    injected: float
    healed: float
    ended: float
    moved: float = 0.0
    version: str = ""
    spoilt: frozenset[str] = frozenset()


def judge(
    fault: str,
    particulars: str,
    promise: Promise,
    series: Series,
    moments: Moments,
    *,
    whole_again: bool = True,
    trouble: str = "",
    events: Account | None = None,
    takings: Takings | None = None,
) -> Verdict:
    """The verdict on one fault."""
    late = series.late(moments.injected, moments.ended)
    false_from = moments.injected + (promise.false_after_s or float("inf"))
    false_until = moments.healed - STILL_OUT_S
    away = series.between(false_from, false_until) if false_from < false_until else Tally()
    return Verdict(
        fault,
        particulars,
        promise,
        moments.healed - moments.injected,
        series.between(moments.injected, moments.ended),
        recovered_s(series, moments),
        switched_s(series, moments),
        whole_again,
        trouble,
        sum(series.between(moments.injected, moments.ended).versions[version] for version in moments.spoilt),
        events,
        away.rungs["FRESH"],
        None if takings is None else takings.denial(moments.injected, moments.ended, late),
    )


def recovered_s(series: Series, moments: Moments) -> float | None:
    """How long after the heal the cluster had recovered (rule 4)."""
    slices = series.slices(moments.healed, moments.ended)
    width = round(WINDOW_S / SLICE_S)
    for first in range(len(slices) - width + 1):
        began = slices[first][0]
        window = Tally.sum(tally for at, tally in slices[first:] if at < began + WINDOW_S)
        if _is_whole(window):
            return max(0.0, began - moments.healed)
    return None


def switched_s(series: Series, moments: Moments) -> float | None:
    """How long after the pointer's move other versions were served (rule 6)."""
    if not (moments.version and moments.injected <= moments.moved <= moments.ended):
        return None
    others = [
        at
        for at, tally in series.slices(moments.moved, moments.ended)
        if any(count for version, count in tally.versions.items() if version != moments.version)
    ]
    return others[-1] + SLICE_S - moments.moved if others else 0.0


def _is_whole(window: Tally) -> bool:
    return (
        not window.failed
        and window.personal >= PERSONAL_MIN
        and window.personal - window.stepped_down >= WHOLE_SHARE * window.personal
    )
