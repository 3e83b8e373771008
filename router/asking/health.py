"""How well each replica does, and which ones are asked last because of it: one state machine.

    healthy → ejected        failures in a row; or outrun in a row; or its median lies far above its peers'
    ejected → on probation   base × 2^n seconds later, at most `longest_s`; n counts ejections in a row
    on probation → healthy   enough good answers in a row
    on probation → ejected   the first bad sign; n grows

Rules:

1. Bad signs are errors and answers that did not come within the replica's own patience. That it does not hold a
   partition (the topology knows better), that it is overloaded (others are not better off), and that a caller left
   are no signs at all.
2. A good answer forgets the bad signs before it.
3. At most a share of the replicas is ejected at a time, and never the only one. Whoever would be beyond that stays.
4. Ejected is not forbidden: an ejected replica is asked last. There is always something to try.
5. One on probation gets one request at a time, and only while a hedge could be paid for, in case it still hangs.
6. A replica that was healthy for as long as its last ejection could have lasted at most starts at n = 0 again.

A replica that hangs is found out by what is outrun: long before its calls end, and before the watch calls it lost.
The formula for the time is that of the outlier detection of Envoy and gRPC (proposal A50); these know no hedges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from statistics import median

from trunkshow.serving.backoff import Backoff


class Sign(Enum):
    """What an attempt says of the replica that it was made of."""

    GOOD = auto()
    FAILED = auto()
    """An error, or no answer where there was time enough for one."""
    OUTRUN = auto()
    """It exceeded its patience, and a rival was faster."""
    NONE = auto()


class State(Enum):
    """A state of the machine."""

    HEALTHY = auto()
    EJECTED = auto()
    ON_PROBATION = auto()


@dataclass(frozen=True)
class Limits:
    """When a replica is ejected, and for how long.

    Attributes:
        failures_max: in a row.
        outruns_max: in a row.
        slower_than_peers: its median over the median of its peers' medians.
        slower_by_ms: and at least so much above it.
        base_s: of the first ejection.
        longest_s: of any.
        trials: good answers in a row that end a probation.
        share_max: of all replicas that may be ejected at a time.
    """

    failures_max: int = 5
    outruns_max: int = 3
    slower_than_peers: float = 4.0
    slower_by_ms: float = 20.0
    base_s: float = 0.5
    longest_s: float = 15.0
    trials: int = 3
    share_max: float = 0.5


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Health:
    """One replica's.

    Attributes:
        ejected: whether it was, and its probation is not passed.
        until: seconds on the clock; when its ejection ends, or ended.
        ejections: in a row.
        failures: in a row.
        outruns: in a row.
        trials: good answers on probation.
    """

    ejected: bool = False
    until: float = 0.0
    ejections: int = 0
    failures: int = 0
    outruns: int = 0
    trials: int = 0

    def state(self, now: float) -> State:
        """As of now."""
        if not self.ejected:
            return State.HEALTHY
        return State.EJECTED if now < self.until else State.ON_PROBATION


HEALTHY = Health()


def after(health: Health, sign: Sign, now: float, limits: Limits, *, may_eject: bool) -> Health:
    """A replica's health after a sign.

    Args:
        health: before it.
        sign: seen now.
        now: seconds on the clock.
        limits: that hold.
        may_eject: whether rule 3 allows one more.
    """
    if sign is Sign.NONE:
        return health
    state = health.state(now)
    if sign is Sign.GOOD:
        return _after_good(health, state, limits)
    if state is State.EJECTED:  # asked last, and no better: it is out already
        return health
    if state is State.ON_PROBATION:
        return ejected(health, now, limits)
    failures = health.failures + (sign is Sign.FAILED)
    outruns = health.outruns + (sign is Sign.OUTRUN)
    seen = replace(health, failures=failures, outruns=outruns)
    beyond = failures >= limits.failures_max or outruns >= limits.outruns_max
    return ejected(seen, now, limits) if beyond and may_eject else seen


def ejected(health: Health, now: float, limits: Limits) -> Health:
    """Ejected as of now."""
    long_ago = not health.ejected and now - health.until > limits.longest_s
    before = 0 if long_ago else health.ejections
    out_s = Backoff(limits.base_s, limits.longest_s).after(before + 1)
    return Health(ejected=True, until=now + out_s, ejections=before + 1)


def lags(median_ms: float, peers_ms: Iterable[float], limits: Limits) -> bool:
    """Whether a replica is far slower than its peers; 0 stands for a median that is not known yet."""
    known = [ms for ms in peers_ms if ms]
    if not (known and median_ms):
        return False
    usual = median(known)
    return median_ms > limits.slower_than_peers * usual and median_ms > usual + limits.slower_by_ms


def room(of_all: Mapping[str, Health], replicas: int, limits: Limits) -> bool:
    """Whether one more of so many replicas may be ejected."""
    out = sum(health.ejected for health in of_all.values())
    return out + 1 <= limits.share_max * replicas


def _after_good(health: Health, state: State, limits: Limits) -> Health:
    if state is State.ON_PROBATION:
        passed = health.trials + 1
        if passed < limits.trials:
            return replace(health, trials=passed)
        return Health(until=health.until, ejections=health.ejections)
    if health.failures or health.outruns:
        return replace(health, failures=0, outruns=0)
    return health
