"""Background work rests in proportion to what it computed, while the process is busy; while it is idle, not at all."""

from __future__ import annotations

import time

import pytest

from trunkshow import pacing
from trunkshow.pacing import Clocks, Pace


class Machine:
    """One processor, on which one thread works and others may."""

    def __init__(self) -> None:
        self.now = self.own = self.all = 0.0
        self.others_share = 0.0
        self.slept = self.scarce = 0.0

    def compute(self, seconds: float) -> None:
        self._pass(seconds)
        self.own += seconds
        self.all += seconds

    def wait_for_a_processor(self, seconds: float) -> None:
        self._pass(seconds)
        self.scarce += seconds

    def wait_for_the_interpreter(self, seconds: float) -> None:
        self._pass(seconds)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.all += self.others_share * seconds

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            wall=lambda: self.now,
            felt=lambda: self.own + self.scarce,
            thread=lambda: self.own,
            process=lambda: self.all,
            sleep=self.sleep,
        )


def work(machine: Machine, steps: int, share: float = 0.2) -> None:
    pace = Pace(share, machine.clocks)
    for _ in range(steps):
        machine.compute(0.002)
        pace.rest()


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_while_requests_are_answered_it_computes_for_its_share(share: float) -> None:
    machine = Machine()
    machine.others_share = 0.3
    work(machine, 1000, share)
    assert machine.own / machine.now == pytest.approx(share, rel=0.01)


def test_waiting_for_a_processor_counts_as_work() -> None:
    """Where processors are scarce others wait for them, too."""
    machine = Machine()
    machine.others_share = 0.3
    pace = Pace(0.2, machine.clocks)
    for _ in range(1000):
        machine.compute(0.002)
        machine.wait_for_a_processor(0.002)
        pace.rest()
    assert machine.own / machine.now == pytest.approx(0.1, rel=0.01)


def test_waiting_for_the_interpreter_costs_no_rest() -> None:
    """Requests have it meanwhile: nothing was taken from them."""
    machine = Machine()
    machine.others_share = 0.3
    pace = Pace(0.2, machine.clocks)
    for _ in range(1000):
        machine.compute(0.002)
        machine.wait_for_the_interpreter(0.004)
        pace.rest()
    assert machine.slept == pytest.approx(1000 * 0.008, rel=0.01)


def test_what_this_machine_tells_of_a_thread_is_at_least_what_it_computed() -> None:
    """Whether or not it tells of waiting for a processor."""
    with pacing._felt_here() as felt:
        before, until = felt(), time.thread_time() + 0.01
        while time.thread_time() < until:
            pass
        assert felt() - before >= 0.01


def test_in_an_idle_process_it_rests_no_longer_than_it_takes_to_find_out() -> None:
    machine = Machine()
    machine.others_share = 0.01
    work(machine, 1000)
    assert machine.slept <= pacing.WINDOW_S + 0.01


def test_it_goes_slower_once_requests_come_and_faster_once_they_stop() -> None:
    machine = Machine()
    pace = Pace(0.2, machine.clocks)
    slept = []
    for others in (0.0, 0.5, 0.0):
        machine.others_share = others
        before = machine.slept
        for _ in range(200):
            machine.compute(0.002)
            pace.rest()
        slept.append(machine.slept - before)
    idle, busy, idle_again = slept
    assert busy > 10 * max(idle, idle_again)


def test_one_long_step_is_followed_by_a_bounded_rest() -> None:
    machine = Machine()
    pace = Pace(0.2, machine.clocks)
    machine.compute(60.0)
    machine.others_share = 1.0
    machine.all += 60.0
    pace.rest()
    assert machine.slept == pacing.REST_S_MAX


def test_what_is_not_paced_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[Pace] = []
    monkeypatch.setattr(Pace, "rest", lambda self: rests.append(self))
    pacing.rest()
    with pacing.paced():
        pacing.rest()
    pacing.rest()
    assert len(rests) == 1
