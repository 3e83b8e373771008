"""What a user is doing right now: the mix of categories in the present session, and where it changed.

The newest events of a day, as a sequence of categories, are runs of one intent each. Within a run the category is
drawn from an unknown mix, whose prior is the user's usual mix p₀ with the weight of κ events: after n events of a run,
n(c) of them in c,

    p(c | run) = (n(c) + κ p₀(c)) / (n + κ)

A run may end before any event, with a probability that grows with the time that passed since the one before:

    h(gap) = 1 - (1 - h₀) · 2^-(gap / H)

The probability w_r that the present run began at event r follows by the recursion of Adams and MacKay: "Bayesian Online
Changepoint Detection", 2007, arXiv:0710.3742, eq. 3, with the time between events in the hazard. It weighs every window
that begins at an event by its evidence, so that a session of one interest is read whole and one that has just turned is
read from its turn on:

    p(c | now) = (1 - h(age)) · sum_r w_r p(c | run from r) + h(age) · p₀(c)      with the age of the newest event

So an intent ages by the rule by which it ends: it fades into what is usual, half of it in H. `window` names the
shortest of five minutes, an hour and a day that holds the run whose beginning is likeliest; the mixes of all three are
there as well. A change is reported where the probability that the present run is not the day's first is `CHANGED_MIN`
or more (odds of three to one, "positive" evidence after Kass and Raftery: "Bayes Factors", JASA 90, 1995, table 1).

The weights depend on the events alone, so that they are worked out once (`Session`), and aged at each look. Bounded:
the newest `EVENTS_MAX` events of a day; the work is quadratic in them, a look's is linear. The same events in any order
give the same intent. What is done with it is left to `trunkshow.stream.ranking`; which category an item has, and p₀, to
the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trunkshow.v1 import events_pb2

INTERESTS = frozenset(
    (
        events_pb2.INTERACTION_VIEW,
        events_pb2.INTERACTION_CLICK,
        events_pb2.INTERACTION_CART,
        events_pb2.INTERACTION_ORDER,
        events_pb2.INTERACTION_RENTAL,
        events_pb2.INTERACTION_LIKE,
    )
)
"""Interactions that say what somebody is after; events of others are not to be given."""

EVENTS_MAX = 32
DAY_MS = 86_400_000
SPANS = (("5m", 300_000), ("1h", 3_600_000), ("1d", DAY_MS))
"""Time windows, shortest first: name and length in milliseconds."""

CHANGED_MIN = 0.75

SHOP_EVENTS = 20.0
"""Events with which the whole shop's mix of categories stands in a user's usual one."""

Usual = Callable[[int], float]
"""A category's share in what the user usually does, above 0."""


class Interest(NamedTuple):
    """One event of a session: when, and its item's category."""

    time_ms: int
    category: int


@dataclass(frozen=True)
class IntentRule:
    """How quickly an intent is believed, and forgotten.

    Attributes:
        prior_events: κ.
        turn: h₀, the probability of a change from one event to the next.
        half_life_ms: H.
    """

    prior_events: float = 1.0
    turn: float = 0.05
    half_life_ms: float = 1_800_000.0

    def hazard(self, gap_ms: float) -> float:
        """h: the probability that an intent has ended after so long without an event."""
        return float(1 - (1 - self.turn) * 0.5 ** (max(gap_ms, 0) / self.half_life_ms))


RULE = IntentRule()


@dataclass(frozen=True)
class Intent:
    """What a user is doing at one moment.

    Attributes:
        lifts: p(c | now) ÷ p₀(c) of each category of the day's events.
        other_lift: the same of every category without an event: below 1.
        strength: 1 - h(age), the probability that the newest event's intent still holds.
        leading: the category with the largest p(c | now) among those of the day; -1 where there is none.
        window: the name of the shortest span that holds the present run; empty without events.
        changed_ms: when the present run began, where it is not the day's first; None where it is.
        mixes: of each span, the shares of the categories in its events.
    """

    lifts: Mapping[int, float]
    other_lift: float = 1.0
    strength: float = 0.0
    leading: int = -1
    window: str = ""
    changed_ms: int | None = None
    mixes: Mapping[str, Mapping[int, float]] | None = None

    def lift(self, category: int) -> float:
        """How much likelier a category is now than usually; 1 where it is not known."""
        return self.lifts.get(category, self.other_lift) if category >= 0 else 1.0


NO_INTENT = Intent({})


@dataclass(frozen=True)
class Session:
    """The newest events of a user, read: what of an intent does not change until the next one.

    Attributes:
        events: of the day before the newest, at most `EVENTS_MAX`, in order of time; at least one.
        weights: w_r of each.
        usual: p₀ of each of their categories.
        rule: its parameters.
    """

    events: tuple[Interest, ...]
    weights: tuple[float, ...]
    usual: Mapping[int, float]
    rule: IntentRule = RULE

    @classmethod
    def of(cls, events: Iterable[Interest], usual: Usual, rule: IntentRule = RULE) -> Session | None:
        """A user's events, in any order; None where no category is known of any."""
        known = sorted(event for event in events if event.category >= 0)
        if not known:
            return None
        begins_ms = known[-1].time_ms - DAY_MS
        newest = tuple(event for event in known if event.time_ms > begins_ms)[-EVENTS_MAX:]
        shares = {category: usual(category) for category in {event.category for event in newest}}
        return cls(newest, tuple(run_starts(newest, shares.__getitem__, rule)), shares, rule)

    def at(self, now_ms: int) -> Intent:
        """What the user is doing at a moment, milliseconds since the epoch; an event later than that is just now."""
        session, weights = self.events, self.weights
        age_ms = now_ms - session[-1].time_ms
        if age_ms >= DAY_MS:
            return NO_INTENT
        strength = 1 - self.rule.hazard(age_ms)
        shares = _shares(session, weights, strength, self.rule)
        other = 1 - sum(shares.values())
        lifts = {category: share / self.usual[category] + other for category, share in shares.items()}
        start = max(range(len(session)), key=lambda at: (weights[at], -at))
        later = max(range(1, len(session)), key=lambda at: (weights[at], -at), default=0)
        return Intent(
            lifts=lifts,
            other_lift=other,
            strength=strength,
            leading=max(lifts, key=lambda category: (lifts[category] * self.usual[category], -category)),
            window=next((name for name, span in SPANS if now_ms - session[start].time_ms <= span), SPANS[-1][0]),
            changed_ms=session[later].time_ms if 1 - weights[0] >= CHANGED_MIN else None,
            mixes={name: _mix(session, now_ms - span) for name, span in SPANS},
        )


def run_starts(session: Sequence[Interest], usual: Usual, rule: IntentRule = RULE) -> list[float]:
    """(n,) w_r: the probability that the run of the last of n events, in order of time, began at each of them."""
    weights = [1.0]
    for at in range(1, len(session)):
        category, prior = session[at].category, rule.prior_events * usual(session[at].category)
        hazard = rule.hazard(session[at].time_ms - session[at - 1].time_ms)
        had, ahead = 0, [0.0] * at
        for start in range(at - 1, -1, -1):
            had += session[start].category == category
            ahead[start] = (had + prior) / (at - start + rule.prior_events)
        goes_on = [(1 - hazard) * weight * chance for weight, chance in zip(weights, ahead, strict=True)]
        begins = hazard * prior / rule.prior_events  # whatever run it was that ended
        total = sum(goes_on) + begins
        weights = [weight / total for weight in (*goes_on, begins)]
    return weights


def _shares(
    session: Sequence[Interest], weights: Sequence[float], strength: float, rule: IntentRule
) -> dict[int, float]:
    """What the events bring to p(c | now), by category."""
    counted = Counter[int]()
    shares = dict.fromkeys((event.category for event in session), 0.0)
    for start in range(len(session) - 1, -1, -1):
        counted[session[start].category] += 1
        share = strength * weights[start] / (len(session) - start + rule.prior_events)
        for category, count in counted.items():
            shares[category] += share * count
    return shares


def _mix(session: Sequence[Interest], after_ms: int) -> dict[int, float]:
    within = Counter(event.category for event in session if event.time_ms > after_ms)
    return {category: count / within.total() for category, count in within.most_common()}
