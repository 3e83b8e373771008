"""What a run came to: the verdicts of all its parts, and one verdict per fault, as if it had been a single run.

A run that ended, however it did, is read from its report and goes on: `cli.chaos.resuming`. What a report looks like
for a person is `cli.chaos.report`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cli.chaos import origin
from cli.chaos.denied import Denial
from cli.chaos.ledger import Account
from cli.chaos.origin import Part
from cli.chaos.plan import Plan
from cli.chaos.tally import Tally
from cli.chaos.verdict import Verdict


@dataclass
class Result:
    """What a run came to.

    Attributes:
        plan: what was to be done.
        rate: requests a second that were sent.
        sustained: requests a second that the cluster was measured to sustain; 0 where it was not measured.
        verdicts: in the order of the plan, those of earlier parts first.
        places: what is at an address that receipts name.
        snapshot: that everything began with; empty before that is known.
        earlier: parts of the run before this one.
        commit: of what runs now.
    """

    plan: Plan
    rate: float = 0.0
    sustained: float = 0.0
    verdicts: list[Verdict] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    snapshot: str = ""
    earlier: tuple[Part, ...] = ()
    commit: str = field(default_factory=origin.commit)

    @property
    def requests(self) -> int:
        """Sent during faults and recoveries, in all parts."""
        return sum(verdict.tally.requests for verdict in self.verdicts)

    @property
    def by_fault(self) -> list[Verdict]:
        """One verdict per fault."""
        return merged(self.verdicts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them, this one last, unless it has nothing to tell yet."""
        judged = len(self.verdicts) - sum(part.faults for part in self.earlier)
        return (*self.earlier, Part(self.commit, origin.machine(), judged)) if judged else self.earlier

    @property
    def as_one(self) -> Plan:
        """The plan of a single run that does what all parts did.

        Minutes are of one part alone, and which the others had is not known. So requests say how long: as many as had
        been sent by the middle of the last fault, since another run's last round, with a few more or less, is then the
        same one.
        """
        if not (self.earlier and self.verdicts):
            return self.plan
        sent = self.requests - self.verdicts[-1].tally.requests // 2
        return replace(self.plan, minutes=0.0, requests=max(self.plan.requests, sent))

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not any(verdict.broken for verdict in self.by_fault)

    def to_json(self) -> dict[str, Any]:
        """Everything, with what it takes to do it again, and to go on with it."""
        return {
            "seed": self.plan.seed,
            "commit": self.commit,
            "machine": origin.machine(),
            "cluster": {
                "shards": self.plan.terrain.shards,
                "replicas": self.plan.terrain.replicas,
                "routers": self.plan.terrain.routers,
            },
            "rate": round(self.rate, 1),
            "sustained": round(self.sustained, 1),
            "passed": self.passed,
            "places": self.places,
            "verdicts": [verdict.to_json() for verdict in self.by_fault],
            "snapshot": self.snapshot,
            "flags": {**self.plan.flags(), "rate": self.rate},
            "parts": [asdict(part) for part in self.parts],
            "steps": [verdict.to_json() for verdict in self.verdicts],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], plan: Plan) -> Result:
        """What a part came to, as the begin of another one, which has a plan of its own and processes elsewhere."""
        places = raw["places"]
        verdicts = [Verdict.from_json(one) for one in raw["steps"]]
        for tally in (verdict.tally for verdict in verdicts):
            tally.latecomers = [one.named(places) for one in tally.latecomers]
        earlier = tuple(Part(**part) for part in raw["parts"])
        return cls(plan, raw["flags"]["rate"], raw["sustained"], verdicts, {}, raw["snapshot"], earlier)


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
        denial=Denial.sum(one.denial for one in rounds),
    )


def _all_events(rounds: Sequence[Verdict]) -> Account | None:
    accounts = [one.events for one in rounds if one.events is not None]
    return Account.sum(accounts) if accounts else None
