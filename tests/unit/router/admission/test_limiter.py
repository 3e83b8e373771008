"""The limit on slates that are made at a time: what is counted, and what comes of it before a cluster as a queue."""

from __future__ import annotations

import random

import pytest
from queueing import Cluster, asked

from router.admission.limit import Bounds
from router.admission.limiter import Limiter

BOUNDS = Bounds(goal_ms=60, deadline_ms=200, floor=1, start=128, ceiling=1024)
REQUESTS = 30_000
"""Of an overload."""


def test_beyond_the_limit_nobody_is_admitted() -> None:
    """Until somebody leaves."""
    limiter = Limiter(Bounds(goal_ms=60, start=2))
    admitted = [limiter.admit() for _ in range(3)]
    limiter.leave()
    assert (admitted, limiter.admit(), limiter.shed) == ([True, True, False], True, 1)


def test_batches_have_what_pages_leave_and_half_of_the_limit_at_most() -> None:
    """However many calls for them there are, a page is admitted as if there were none."""
    limiter = Limiter(Bounds(goal_ms=60, start=16))
    alone = [limiter.admit_of_batch(4) for _ in range(3)]
    pages = [limiter.admit() for _ in range(17)]
    limiter.leave_of_batch(4)
    beside = limiter.admit_of_batch(1)
    assert (alone, pages.count(True), limiter.shed) == ([True, True, False], 16, 1)
    assert (beside, limiter.all_in_flight) == (False, 20)


def test_one_call_for_a_batch_may_always_be_under_way() -> None:
    """To each shard, where pages use the limit up: it still brings much; a second one waits."""
    limiter = Limiter(Bounds(goal_ms=60, start=1))
    assert limiter.admit()
    assert [limiter.admit_of_batch(4, always=first) for first in (True, True, False)] == [True, True, False]


def test_what_batches_have_in_flight_is_load() -> None:
    """Where answers take too long, a trial takes away of all of it, and batches lose their room first."""
    limiter = Limiter(Bounds(goal_ms=60, start=64))
    assert all(limiter.admit_of_batch(4) for _ in range(8))
    for _ in range(64):
        limiter.admit()
        limiter.observe(100)
        limiter.leave()
    assert limiter.limit == pytest.approx(0.6 * 32)
    limiter.leave_of_batch(32)
    assert [limiter.admit_of_batch(4) for _ in range(3)] == [True, True, False]


def test_a_slow_minority_does_not_move_it() -> None:
    """One shard of three that hangs is not overload."""
    limiter = Limiter(BOUNDS)
    for _ in range(100):
        limiter.admit()
    for number in range(512):
        limiter.observe(190, answered=False) if number % 3 == 0 else limiter.observe(5)
    assert limiter.limit >= BOUNDS.start


def test_who_failed_at_once_says_nothing_of_load() -> None:
    """A shard that refuses connections is quick, and no reason to send it more."""
    limiter = Limiter(BOUNDS)
    for _ in range(100):
        limiter.admit()
    for _ in range(512):
        limiter.observe(1, answered=False)
    assert limiter.limit == BOUNDS.start


def test_answers_that_took_no_time_at_all_break_nothing() -> None:
    """A shard says that all of the time was waited by wish: in a trial such medians are compared, too."""
    limiter = Limiter(BOUNDS)
    for ms in (190.0, 0.0):
        for _ in range(100):
            limiter.admit()
        for _ in range(512):
            limiter.observe(ms)
        for _ in range(limiter.in_flight):
            limiter.leave()
    assert limiter.limit >= BOUNDS.floor


def test_who_was_admitted_before_a_fall_is_left_out() -> None:
    """They waited behind more than are let in now."""
    limiter = Limiter(BOUNDS)
    for _ in range(128):
        limiter.admit()
    for _ in range(128):
        limiter.observe(190, answered=False)
    assert limiter.limit == 64
    for _ in range(128 - 65):
        limiter.observe(190, answered=False)
    assert limiter.limit == 64


@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize("ms", [65.0, 80.0, 120.0])
def test_what_load_does_not_cause_sheds_hardly_anybody(ms: float, spread: float) -> None:
    """285 requests a second, and a network that takes so long: looking for the cause again and again costs little."""
    chance = random.Random(5)
    network = Cluster(network_ms=lambda _: ms * chance.lognormvariate(0, spread))
    seen = asked(Limiter(BOUNDS), network, lambda _: 285, seconds=200)
    assert seen.between(0, 60).admitted > 0.97
    assert seen.admitted > 0.99


@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize("capacity", [50, 150, 500, 2000])
def test_at_five_times_the_capacity_it_is_used_up_and_answers_are_in_time(capacity: int, spread: float) -> None:
    """One server, work of the same length or exponential: it hardly runs dry, and who is admitted is answered.

    Where one of nine pieces of work alone takes a quarter of the deadline, fewer are.
    """
    cluster = Cluster(servers=1, work_ms=1000 / capacity, spread=spread)
    seconds = REQUESTS / (5 * capacity)
    seen = asked(Limiter(BOUNDS), cluster, lambda _: 5 * capacity, seconds).between(seconds / 2, seconds)
    assert seen.good > 0.8 * capacity * seconds / 2
    assert seen.good > (0.99 if capacity > 100 or not spread else 0.8) * len(seen.answered_ms)


@pytest.mark.parametrize(("capacity", "share"), [(150, 0.3), (500, 0.15), (2000, 0.1)])
def test_in_a_flood_a_seventh_of_which_comes_in_batches_pages_come_first(capacity: int, share: float) -> None:
    """Batches have one call at a time, which is the less the more is made at a time; nothing goes to waste."""
    cluster = Cluster(servers=1, work_ms=1000 / capacity)
    seconds = REQUESTS / (5 * capacity)
    seen = asked(Limiter(BOUNDS), cluster, lambda _: 5 * capacity, seconds, batched=1 / 7)
    assert seen.of_batches < share * capacity * seconds
    later = seen.between(seconds / 2, seconds)
    assert later.good + seen.of_batches / 2 > 0.8 * capacity * seconds / 2
    assert later.good > (0.99 if capacity > 150 else 0.95) * len(later.answered_ms)


def test_batches_beside_few_pages_use_what_is_free_and_pages_do_not_wait_for_them() -> None:
    """Far more users of batches than can be answered, and pages for a tenth of the capacity: none is turned away."""
    limiter = Limiter(BOUNDS)
    seen = asked(limiter, Cluster(servers=4, work_ms=4), lambda _: 100, seconds=60, batched=20)
    assert limiter.shed == 0
    assert seen.of_batches > 0.5 * 1000 * 60
    assert seen.good == len(seen.took_ms)


@pytest.mark.parametrize("capacity", [150, 2000])
def test_the_queue_does_not_grow(capacity: int) -> None:
    """It is as long in the last quarter as in the one before."""
    cluster = Cluster(servers=4, work_ms=4000 / capacity)
    limiter = Limiter(BOUNDS)
    seconds = REQUESTS / (5 * capacity)
    seen = asked(limiter, cluster, lambda _: 5 * capacity, seconds)
    before, last = seen.between(seconds / 2, seconds * 3 / 4), seen.between(seconds * 3 / 4, seconds)
    assert last.median_ms < 1.5 * before.median_ms
    assert limiter.in_flight <= limiter.limit + 1 < 0.2 * capacity


def test_below_the_capacity_nobody_is_turned_away() -> None:
    """Four fifths of what the server can do."""
    limiter = Limiter(BOUNDS)
    asked(limiter, Cluster(servers=1, work_ms=2), lambda _: 400, seconds=60)
    assert limiter.shed == 0


def test_a_slow_network_is_told_from_overload_as_they_come_and_go() -> None:
    """Slow, then overloaded as well, then only slow, then neither."""
    cluster = Cluster(lambda now: 70 if now < 100 else 2, servers=8, work_ms=20, spread=0.2)
    seen = asked(Limiter(BOUNDS), cluster, lambda now: 2000 if 40 < now < 60 else 285, seconds=120)
    assert seen.between(10, 40).admitted > 0.98
    flood = seen.between(45, 60)
    assert flood.good > 0.8 * cluster.capacity * 15
    assert flood.good > 0.99 * len(flood.answered_ms)
    assert seen.between(62, 100).admitted > 0.98
    assert seen.between(105, 120).admitted > 0.99


def test_a_network_that_becomes_slow_during_a_flood_is_found_out() -> None:
    """Although load was the cause when it was last looked for."""
    cluster = Cluster(lambda now: 70 if now > 15 else 2, servers=8, work_ms=20, spread=0.2)
    seen = asked(Limiter(BOUNDS), cluster, lambda now: 2000 if now < 15 else 285, seconds=80)
    assert seen.between(40, 80).admitted > 0.95
