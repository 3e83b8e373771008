"""What is right of events: who was told what, what the log holds, and what slates say they know. Pure.

1. An event that was acknowledged is in the log, under its id.
2. Whatever is in the log was sent, by the user whose event it is.
3. A slate has every event of its user that is in the log folded in, once: however often it was sent, and in whatever
   order. It never has more of them than that, and once a fault is over it soon has no fewer. What was shown is in the
   log alone.
4. An event that was neither acknowledged nor refused may be in the log or not; it was sent again, so it counts once.
5. Who was told that they are forgotten is a stranger to every slate, whatever the log holds of theirs. Of who asked and
   was not told yet nothing is known.

An event is told apart by its id. Sending them is `cli.chaos.recording`'s, reading the log and asking for slates
`cli.chaos.looking`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Account:
    """What became of the events of a fault.

    Attributes:
        events: different ones, that were sent.
        tries: times that they were sent: those that were sent twice on purpose, and those sent again, among them.
        recorded: of the events, those that are in the log.
        acknowledged: of the events, those that somebody was told are in the log.
        refused: tries for which there was no room.
        unanswered: tries that were not acknowledged in time, or of which it was said that nobody knows.
        rejected: events that broke the contract, because a router's clock was wrong.
        lost: acknowledged, and not in the log; or in the log, and not in a slate that calls itself fresh.
        twice: in a slate more often than in the log.
        strange: in the log, and never sent so.
        users: whose events they are.
        forgotten: of the users, those who were told that they are forgotten.
        remembered: of these, those whom a slate knew afterwards.
        fresh_s: after the heal, until every slate had all of them; None where that was not seen.
    """

    events: int = 0
    tries: int = 0
    recorded: int = 0
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0
    rejected: int = 0
    lost: int = 0
    twice: int = 0
    strange: int = 0
    users: int = 0
    forgotten: int = 0
    remembered: int = 0
    fresh_s: float | None = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Account:
        """The account that `to_json` wrote."""
        return cls(**raw)

    @classmethod
    def sum(cls, parts: Iterable[Account]) -> Account:
        """All of them as one: the sums of what is counted, the longest time."""
        several = list(parts)
        times = [one.fresh_s for one in several]
        longest = None if None in times else max((one for one in times if one is not None), default=0.0)
        counted = Counter[str]()
        for one in several:
            counted.update({name: count for name, count in asdict(one).items() if name != "fresh_s"})
        return cls(**counted, fresh_s=longest)


@dataclass
class Cohort:
    """The events of one fault.

    Attributes:
        user_of: their users, by their ids.
        counts: of tries, by what became of them: see `Account`.
        rejected: ids of those that broke the contract.
    """

    user_of: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    rejected: set[str] = field(default_factory=set)

    @property
    def users(self) -> frozenset[str]:
        """Whose events they are."""
        return frozenset(self.user_of.values())


class Ledger:
    """Of a whole run.

    Attributes:
        cohort: of the present fault.
    """

    def __init__(self) -> None:
        self.cohort = Cohort()
        self._cohort_of: dict[str, Cohort] = {}
        self._acknowledged: set[str] = set()
        self._recorded: dict[str, set[str]] = {}
        self._in_log: set[str] = set()
        self._asked_to_be_forgotten: set[str] = set()
        self._forgotten: set[str] = set()
        self._strange: set[str] = set()

    def turn(self) -> Cohort:
        """Events that are new from now on are of the next fault; those until now."""
        closed, self.cohort = self.cohort, Cohort()
        return closed

    # --- what happens --------------------------------------------------------------------------------------------

    def sent(self, ids_to_users: Mapping[str, str]) -> None:
        """A try."""
        for event_id, user in ids_to_users.items():
            cohort = self._cohort_of.setdefault(event_id, self.cohort)
            cohort.user_of[event_id] = user
            cohort.counts["tries"] += 1

    def acknowledged(self, ids: Iterable[str]) -> None:
        """A try that was answered: these are in the log."""
        self._acknowledged.update(ids)

    def rejected(self, ids: Iterable[str]) -> None:
        """A try that was answered: these break the contract."""
        for event_id in ids:
            self._cohort_of[event_id].rejected.add(event_id)

    def failed(self, ids: Iterable[str], how: str) -> None:
        """A try that was `refused` or `unanswered`."""
        for event_id in ids:
            self._cohort_of[event_id].counts[how] += 1

    def asks_to_be_forgotten(self, user: str) -> None:
        """Somebody, of whom nothing is sent any more."""
        self._asked_to_be_forgotten.add(user)

    def forgotten(self, user: str) -> None:
        """They were told that they are."""
        self._forgotten.add(user)

    def stands(self, event_id: str, user: str, *, folds: bool = True) -> None:
        """The log holds this, which slates know of where it is folded in."""
        cohort = self._cohort_of.get(event_id)
        if cohort is None or cohort.user_of[event_id] != user:
            self._strange.add(event_id)
        self._in_log.add(event_id)
        if folds:
            self._recorded.setdefault(user, set()).add(event_id)

    # --- what is right -------------------------------------------------------------------------------------------

    def is_settled(self, cohort: Cohort) -> bool:
        """Whether it is known of every event whether it is in the log, and who of the users is forgotten."""
        if cohort.users & self._asked_to_be_forgotten - self._forgotten:
            return False
        return all(one in self._acknowledged or one in cohort.rejected for one in cohort.user_of)

    def is_forgotten(self, user: str) -> bool:
        """Whether somebody was told so."""
        return user in self._forgotten

    def folded(self, user: str) -> int:
        """Of how many events a slate must know."""
        return 0 if user in self._forgotten else len(self._recorded.get(user, NOBODY))

    def is_behind(self, user: str, known: Sequence[int]) -> bool:
        """Whether one of several slates knows too few of somebody's events, or any of who is forgotten."""
        return max(known) > 0 if user in self._forgotten else min(known) < self.folded(user)

    def account(self, cohort: Cohort, known: Mapping[str, Sequence[int]], fresh_s: float | None) -> Account:
        """What became of a fault's events.

        Args:
            cohort: of these.
            known: events that users' fresh slates said they know, one number for each router that gave such a slate.
            fresh_s: until all slates knew all.
        """
        mine = cohort.user_of.keys()
        acknowledged = mine & self._acknowledged
        strange, self._strange = self._strange, set()
        gone, unsure = cohort.users & self._forgotten, self._asked_to_be_forgotten - self._forgotten
        known = {user: has for user, has in known.items() if user not in unsure}
        return Account(
            events=len(mine),
            tries=cohort.counts["tries"],
            recorded=len(mine & self._in_log),
            acknowledged=len(acknowledged),
            refused=cohort.counts["refused"],
            unanswered=cohort.counts["unanswered"],
            rejected=len(cohort.rejected),
            lost=len(acknowledged - self._in_log)
            + sum(self.folded(one) - min(known[one]) for one in known if min(known[one]) < self.folded(one)),
            twice=sum(max(0, max(known[one]) - self.folded(one)) for one in known.keys() - gone),
            strange=len(strange),
            users=len(cohort.users),
            forgotten=len(gone),
            remembered=sum(max(known.get(one, (0,))) > 0 for one in gone),
            fresh_s=fresh_s,
        )
