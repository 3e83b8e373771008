"""A replica's health: the machine's rules, one claim each, on a clock that the test drives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from scripted import Clock, Replica

from router.asking import health
from router.asking.attempts import Attempt
from router.asking.health import HEALTHY, Health, Limits, Sign, State
from router.asking.infirmary import Infirmary
from router.cluster.shard_channel import ShardChannel, ShardChannels
from trunkshow.latencies import Kind
from trunkshow.v1 import recommendation_pb2 as pb

LIMITS = Limits(failures_max=3, outruns_max=2, base_s=1, longest_s=8, trials=2, share_max=0.5)
NOW = 100.0


def after(signs: Sequence[Sign], now: float = NOW, before: Health = HEALTHY, *, may_eject: bool = True) -> Health:
    """A replica that gave these signs, one after the other, at one moment."""
    for sign in signs:
        before = health.after(before, sign, now, LIMITS, may_eject=may_eject)
    return before


@pytest.mark.parametrize("signs", [[Sign.FAILED] * 3, [Sign.OUTRUN] * 2])
def test_bad_signs_in_a_row_eject(signs: list[Sign]) -> None:
    """Not one fewer."""
    assert [after(signs[:-1]).state(NOW), after(signs).state(NOW)] == [State.HEALTHY, State.EJECTED]


@pytest.mark.parametrize("between", [Sign.GOOD, Sign.NONE])
def test_only_a_good_answer_forgets(between: Sign) -> None:
    """What says nothing of a replica changes nothing."""
    ejected = after([Sign.OUTRUN, between, Sign.OUTRUN]).ejected
    assert ejected == (between is Sign.NONE)


def test_beyond_the_share_nobody_is_ejected() -> None:
    """However badly it does; and once there is room, the next sign does it."""
    kept = after([Sign.FAILED] * 9, may_eject=False)
    assert (kept.ejected, after([Sign.FAILED], before=kept).ejected) == (False, True)


def test_an_ejection_ends_on_probation() -> None:
    """By the clock alone."""
    out = after([Sign.OUTRUN] * 2)
    assert [out.state(NOW + 0.9), out.state(NOW + 1)] == [State.EJECTED, State.ON_PROBATION]


def test_good_answers_end_a_probation() -> None:
    """Two of them, as the limits say."""
    out = after([Sign.OUTRUN] * 2)
    states = [after([Sign.GOOD] * count, NOW + 1, out).state(NOW + 1) for count in (1, 2)]
    assert states == [State.ON_PROBATION, State.HEALTHY]


def test_each_ejection_in_a_row_lasts_twice_as_long() -> None:
    """Up to the longest."""
    now, out, lasted = NOW, after([Sign.OUTRUN] * 2), []
    for _ in range(5):
        lasted.append(out.until - now)
        now = out.until
        out = after([Sign.FAILED], now, out)
    assert lasted == [1, 2, 4, 8, 8]


def test_who_was_well_for_long_starts_anew() -> None:
    """An ejection of an hour ago is no reason for a long one now."""
    out = after([Sign.OUTRUN] * 2)
    well = after([Sign.GOOD] * 2, out.until, out)
    soon, late = out.until + 1, out.until + LIMITS.longest_s + 1
    assert after([Sign.OUTRUN] * 2, soon, well).until - soon == 2
    assert after([Sign.OUTRUN] * 2, late, well).until - late == 1


@pytest.mark.parametrize(
    ("ms", "peers", "lagging"),
    [
        (100, [5, 6, 7], True),
        (23, [6], False),
        (30, [6], True),
        (24, [20, 20], False),
        (100, [0], False),
        (0, [1], False),
    ],
)
def test_who_lags_far_behind_its_peers_is_known(ms: float, peers: list[float], lagging: bool) -> None:
    """By a factor and by a distance; of whom there are no figures nothing is said."""
    assert health.lags(ms, peers, LIMITS) == lagging


class Ward:
    """Replicas, a clock and their infirmary."""

    def __init__(self, count: int, *, can_hedge: bool = True) -> None:
        self.clock = Clock()
        self.can_hedge = can_hedge
        self.replicas = {name: Replica(name) for name in "abcdef"[:count]}
        self.shards = ShardChannels(self.replicas, lambda name: cast("ShardChannel", self.replicas[name]))
        self.infirmary = Infirmary(self.shards, lambda: self.can_hedge, self.clock, LIMITS)

    def note(self, name: str, sign: Sign, times: int = 1) -> None:
        """The replica gives a sign."""
        outcome = pb.OUTCOME_ANSWERED if sign is Sign.GOOD else pb.OUTCOME_FAILED
        for _ in range(times):
            shard = cast("ShardChannel", self.replicas[name])
            self.infirmary.note(shard, Kind.ONE, Attempt(name, outcome), sign)


def test_half_of_the_replicas_at_most_are_asked_last() -> None:
    """Of three, one; of two, one; of one, none."""
    for count, out in ((3, 1), (2, 1), (1, 0), (4, 2)):
        ward = Ward(count)
        for name in ward.replicas:
            ward.note(name, Sign.FAILED, 9)
        assert len(ward.infirmary.last()) == out


def test_one_request_at_a_time_tries_a_replica_on_probation() -> None:
    """And only while a hedge could save it."""
    ward = Ward(2)
    ward.note("a", Sign.OUTRUN, 2)
    ward.clock.pass_ms(1000)
    free = ward.infirmary.last()
    ward.replicas["a"].in_flight = 1
    busy = ward.infirmary.last()
    ward.replicas["a"].in_flight, ward.can_hedge = 0, False
    assert (free, busy, ward.infirmary.last()) == (frozenset(), {"a"}, {"a"})


def test_a_replica_far_slower_than_its_peers_is_ejected() -> None:
    """Though every answer of it is good."""
    ward = Ward(3)
    for name, ms in (("b", 5.0), ("c", 6.0), ("a", 90.0)):
        for _ in range(20):
            ward.replicas[name].latencies[Kind.ONE].add(ms)
    ward.note("a", Sign.GOOD)
    assert (ward.infirmary.last(), ward.infirmary.ejections) == ({"a"}, 1)


async def test_a_replica_that_has_gone_is_forgotten() -> None:
    """Its share is free for another one."""
    ward = Ward(4)
    ward.note("a", Sign.FAILED, 3)
    await ward.shards.remove("a")
    before = ward.infirmary.last()
    ward.note("b", Sign.FAILED, 3)
    assert (before, ward.infirmary.last()) == (frozenset(), {"b"})
