"""What became of the answers while something was wrong: from a series of tallies and three moments to a verdict. Pure.

Rules:

1. A fault's requests are those sent from its injection until the end of its recovery time.
2. No request fails where the promise says that all are answered; no answer is wrong, ever.
3. Where the promise says that a replica was healthy, at most one answer in `LATE_ONE_IN` is late; elsewhere as the
   promise says. There, too, at most one in `MISSED_ONE_IN` of those with a shorter deadline of their own has no answer
   by then: a busy machine alone makes some of them miss it, so that this is no more than a bound.
4. The cluster has recovered at the begin of the first window of `WINDOW_S` after the heal in which no request failed,
   and at least `WHOLE_SHARE` of those that a whole cluster answers from the current snapshot were answered from it.
   That is at most `RECOVERY_S_MAX` after the heal.
5. Where the promise says that nobody need step down, at most one in `POOR_ONE_IN` does of those who need not.
6. Where the pointer was moved, the last answer from another version than it names was asked for within the time
   promised, and none came later.
7. The drivers sent what they were to send, but for one request in `UNSENT_ONE_IN`: a flood that was none shows nothing.
8. No event is lost or counted twice, ever, and nobody is known who was forgotten (`cli.chaos.ledger` says what that
   means). Some are recorded, and are in every slate within the time promised after the heal. While the log is away
   nothing is called FRESH for long. One that is full refuses some, or it was none; hardly any try, one in
   `UNANSWERED_ONE_IN`, is left without an answer then.
9. No answer is from a snapshot that fails its checks, not even from those of its files that are whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cli.chaos.faults import Promise
from cli.chaos.ledger import Account
from cli.chaos.tally import MANNERS, SLICE_S, Series, Tally

LATE_ONE_IN = 10_000
MISSED_ONE_IN = 10
HURRIED_MIN = 50
"""Of those; fewer show nothing."""

RECOVERY_S_MAX = 5.0
POOR_ONE_IN = 1_000
UNSENT_ONE_IN = 1_000
UNANSWERED_ONE_IN = 100
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
        switched_s: after the pointer's move, until every answer was from the version it names; None where it was not
            moved.
        whole_again: every shard was ready after it, with no help.
        spoilt: answers from a version that must be refused.
        trouble: what kept the fault from being injected as it was meant; empty where nothing did.
        events: what became of those; None where nobody recorded.
        falsely_fresh: answers FRESH while nobody could know.
    """

    fault: str
    particulars: str
    promise: Promise
    seconds: float
    tally: Tally
    recovered_s: float | None
    switched_s: float | None
    whole_again: bool = True
    trouble: str = ""
    spoilt: int = 0
    events: Account | None = None
    falsely_fresh: int = 0

    @property
    def broken(self) -> tuple[str, ...]:
        """The promises that were not kept, in words; none for a pass."""
        return tuple(_broken(self))

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
            "held_up": tally.held_up,
            "late_in_router": tally.late_in_router,
            "unsent": tally.unsent,
            "manners": {name: tally.counts[name] for name in MANNERS},
            "p50_ms": round(tally.quantile_ms(0.5), 1),
            "p99_ms": round(tally.quantile_ms(0.99), 1),
            "personal": tally.personal,
            "stepped_down": tally.stepped_down,
            "spoilt": self.spoilt,
            "because": tally.because,
            "rungs": dict(tally.rungs),
            "statuses": dict(tally.statuses),
            "recovered_s": None if self.recovered_s is None else round(self.recovered_s, 2),
            "switched_s": None if self.switched_s is None else round(self.switched_s, 2),
            "events": None if self.events is None else self.events.to_json(),
            "falsely_fresh": self.falsely_fresh,
            "broken": list(self.broken),
            "complaints": tally.complaints,
            "latecomers": [one.to_json() for one in tally.latecomers],
        }


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
) -> Verdict:
    """The verdict on one fault."""
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
    )


def _broken(verdict: Verdict) -> Iterator[str]:
    tally, promise, switched = verdict.tally, verdict.promise, verdict.switched_s
    if not tally.requests:
        yield "nothing was asked"
    if tally.unsent * UNSENT_ONE_IN > tally.requests:
        yield f"the drivers could not send {tally.unsent} requests"
    if promise.answered and tally.failed:
        yield f"{tally.failed} requests failed"
    if tally.wrong:
        yield f"{tally.wrong} answers were wrong"
    yield from _out_of_time(tally, promise)
    if promise.whole and tally.stepped_down * POOR_ONE_IN > tally.personal:
        yield f"{tally.stepped_down} answers of {tally.personal} stepped down"
    if switched is not None and switched > promise.switched_s_max:
        yield f"another version was served until {switched:.1f} s after the pointer had moved"
    if verdict.events is not None:
        yield from _of_events(verdict.events, promise)
    if verdict.falsely_fresh:
        yield f"{verdict.falsely_fresh} answers were called fresh, although the log was away"
    yield from _in_trouble(verdict)


def _out_of_time(tally: Tally, promise: Promise) -> Iterator[str]:
    one_in = LATE_ONE_IN if promise.healthy else promise.late_one_in
    if tally.late * one_in > tally.requests:
        yield f"{tally.late} answers of {tally.requests} were late"
    if promise.healthy and HURRIED_MIN <= tally.hurried < tally.missed * MISSED_ONE_IN:
        yield f"{tally.missed} of {tally.hurried} calls in haste missed their deadline"


def _of_events(events: Account, promise: Promise) -> Iterator[str]:
    if events.lost:
        yield f"{events.lost} events were acknowledged and lost"
    if events.twice:
        yield f"{events.twice} events were counted twice"
    if events.remembered:
        yield f"{events.remembered} people were known after they had been forgotten"
    if events.strange:
        yield f"{events.strange} records of the log are of events that nobody sent"
    if events.events and not events.acknowledged + events.rejected:
        yield f"none of {events.events} events was acknowledged in the end"
    if promise.refuses and not events.refused:
        yield "nothing was refused: the log was never full"
    if promise.refuses and events.unanswered * UNANSWERED_ONE_IN > events.tries:
        yield f"{events.unanswered} of {events.tries} tries had no answer, although the log only had no room"
    if events.fresh_s is None:
        yield "slates did not have every event while they were looked at"
    elif events.fresh_s > promise.fresh_s_max:
        yield f"slates had every event after {events.fresh_s:.1f} s"


def _in_trouble(verdict: Verdict) -> Iterator[str]:
    if verdict.recovered_s is None:
        yield "it did not recover while it was looked at"
    elif verdict.recovered_s > RECOVERY_S_MAX:
        yield f"it recovered after {verdict.recovered_s:.1f} s"
    if verdict.spoilt:
        yield f"{verdict.spoilt} answers were from a snapshot that is spoilt"
    if verdict.trouble:
        yield verdict.trouble
    if not verdict.whole_again:
        yield "not every shard became ready again by itself"


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


def merged(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """One verdict per fault, of all its rounds together: the sums of what is counted, the worst of what is timed."""
    rounds: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        rounds.setdefault(verdict.fault, []).append(verdict)
    return [_merged(of_fault) for of_fault in rounds.values()]


def _merged(rounds: Sequence[Verdict]) -> Verdict:
    recoveries = [one.recovered_s for one in rounds]
    return replace(
        rounds[0],
        particulars="; ".join(dict.fromkeys(one.particulars for one in rounds)),
        seconds=sum(one.seconds for one in rounds),
        tally=Tally.sum(one.tally for one in rounds),
        recovered_s=None if None in recoveries else max(one for one in recoveries if one is not None),
        switched_s=max((one.switched_s for one in rounds if one.switched_s is not None), default=None),
        whole_again=all(one.whole_again for one in rounds),
        spoilt=sum(one.spoilt for one in rounds),
        trouble="; ".join(filter(None, dict.fromkeys(one.trouble for one in rounds))),
        events=_all_events(rounds),
        falsely_fresh=sum(one.falsely_fresh for one in rounds),
    )


def _all_events(rounds: Sequence[Verdict]) -> Account | None:
    accounts = [one.events for one in rounds if one.events is not None]
    return Account.sum(accounts) if accounts else None
