"""What became of the answers while something was wrong, as a value: counts and times, and which promises they break.

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

Counting and timing is `cli.chaos.judging`'s, several rounds of a fault together `cli.chaos.result`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cli.chaos.denied import Denial
from cli.chaos.faults import Promise
from cli.chaos.ledger import Account
from cli.chaos.tally import MANNERS, Tally

LATE_ONE_IN = 10_000
MISSED_ONE_IN = 10
HURRIED_MIN = 50
"""Of those; fewer show nothing."""

RECOVERY_S_MAX = 5.0
POOR_ONE_IN = 1_000
UNSENT_ONE_IN = 1_000
UNANSWERED_ONE_IN = 100


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
        denial: what the machine was denied meanwhile; None where the system does not tell. No rule looks at it.
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
    denial: Denial | None = None

    @property
    def broken(self) -> tuple[str, ...]:
        """The promises that were not kept, in words; none for a pass."""
        return tuple(_broken(self))

    def to_json(self) -> dict[str, Any]:
        """Plain values: all of it, its tally's own keys among the others, and what follows from them for readers."""
        tally = self.tally
        return {
            "fault": self.fault,
            "particulars": self.particulars,
            "promise": asdict(self.promise),
            "seconds": self.seconds,
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
            "because": tally.because,
            "broken": list(self.broken),
            "recovered_s": self.recovered_s,
            "switched_s": self.switched_s,
            "whole_again": self.whole_again,
            "trouble": self.trouble,
            "spoilt": self.spoilt,
            "events": None if self.events is None else self.events.to_json(),
            "falsely_fresh": self.falsely_fresh,
            "denial": None if self.denial is None else self.denial.to_json(),
            **tally.to_json(),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Verdict:
        """The verdict that `to_json` wrote; what follows from the rest is not read."""
        return cls(
            raw["fault"],
            raw["particulars"],
            Promise(**raw["promise"]),
            raw["seconds"],
            Tally.from_json(raw),
            raw["recovered_s"],
            raw["switched_s"],
            raw["whole_again"],
            raw["trouble"],
            raw["spoilt"],
            None if raw["events"] is None else Account.from_json(raw["events"]),
            raw["falsely_fresh"],
            Denial.from_json(raw["denial"]) if raw.get("denial") else None,
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
