"""What became of the answers while something was wrong: from a series of tallies and three moments to a verdict. Pure.

Rules:

1. A fault's requests are those sent from its injection until the end of its recovery time.
2. No request fails where the promise says that all are answered; no answer is wrong, ever.
3. Where the promise says that a replica was healthy, at most one answer in `LATE_ONE_IN` is late.
4. The cluster has recovered at the begin of the first window of `WINDOW_S` after the heal in which no request failed,
   and at least `WHOLE_SHARE` of those that a whole cluster answers from the current snapshot were answered from it.
   That is at most `RECOVERY_S_MAX` after the heal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from cli.chaos.faults import Promise
from cli.chaos.tally import SLICE_S, Series, Tally

LATE_ONE_IN = 10_000
RECOVERY_S_MAX = 5.0
WINDOW_S = 0.5
WHOLE_SHARE = 0.99
PERSONAL_MIN = 5
"""Requests in a window that can show a recovery; with fewer it shows nothing."""


@dataclass(frozen=True)
class Moments:
    """When a fault was injected, when it was healed, and when the look at it ended; monotonic seconds."""

    injected: float
    healed: float
    ended: float


@dataclass(frozen=True)
class Verdict:
    """What became of a fault's requests.

    Attributes:
        fault: its name.
        particulars: what was drawn for it.
        promise: what it was held to.
        seconds: from injection to heal.
        tally: of its requests.
        recovered_s: after the heal; None where it did not within the time looked at.
        broken: the promises that were not kept, in words; none for a pass.
    """

    fault: str
    particulars: str
    promise: Promise
    seconds: float
    tally: Tally
    recovered_s: float | None
    broken: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        tally = self.tally
        return {
            "fault": self.fault,
            "particulars": self.particulars,
            "promise": asdict(self.promise),
            "seconds": round(self.seconds, 2),
            "requests": tally.requests,
            "batched": tally.batched,
            "failed": tally.failed,
            "wrong": tally.wrong,
            "late": tally.late,
            "late_in_router": tally.late_in_router,
            "unsent": tally.unsent,
            "p50_ms": round(tally.quantile_ms(0.5), 1),
            "p99_ms": round(tally.quantile_ms(0.99), 1),
            "personal": tally.personal,
            "stepped_down": tally.stepped_down,
            "rungs": dict(tally.rungs),
            "statuses": dict(tally.statuses),
            "recovered_s": None if self.recovered_s is None else round(self.recovered_s, 2),
            "broken": list(self.broken),
            "complaints": tally.complaints,
        }


def judge(fault: str, particulars: str, promise: Promise, series: Series, moments: Moments) -> Verdict:
    """The verdict on one fault."""
    tally = series.between(moments.injected, moments.ended)
    recovered = recovered_s(series, moments)
    return Verdict(
        fault,
        particulars,
        promise,
        moments.healed - moments.injected,
        tally,
        recovered,
        tuple(_broken(promise, tally, recovered)),
    )


def _broken(promise: Promise, tally: Tally, recovered: float | None) -> list[str]:
    broken = []
    if not tally.requests:
        broken.append("nothing was asked")
    if promise.answered and tally.failed:
        broken.append(f"{tally.failed} requests failed")
    if tally.wrong:
        broken.append(f"{tally.wrong} answers were wrong")
    if promise.healthy and tally.late * LATE_ONE_IN > tally.requests:
        broken.append(f"{tally.late} answers of {tally.requests} were late")
    if recovered is None:
        broken.append("it did not recover while it was looked at")
    elif recovered > RECOVERY_S_MAX:
        broken.append(f"it recovered after {recovered:.1f} s")
    return broken


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


def _is_whole(window: Tally) -> bool:
    return (
        not window.failed
        and window.personal >= PERSONAL_MIN
        and window.personal - window.stepped_down >= WHOLE_SHARE * window.personal
    )


def merged(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """One verdict per fault, of all its rounds together; each promise is as broken as in any of them."""
    rounds: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        rounds.setdefault(verdict.fault, []).append(verdict)
    return [_merged(of_fault) for of_fault in rounds.values()]


def _merged(rounds: list[Verdict]) -> Verdict:
    first = rounds[0]
    recoveries = [verdict.recovered_s for verdict in rounds]
    recovered = None if None in recoveries else max(one for one in recoveries if one is not None)
    tally = Tally.sum(verdict.tally for verdict in rounds)
    return replace(
        first,
        particulars="; ".join(dict.fromkeys(verdict.particulars for verdict in rounds)),
        seconds=sum(verdict.seconds for verdict in rounds),
        tally=tally,
        recovered_s=recovered,
        broken=tuple(_broken(first.promise, tally, recovered)),
    )
