"""Askings after a failure stay within their budget where they are in vain, whatever comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.asking.failover import Failovers
from trunkshow.v1 import recommendation_pb2 as pb

SHARE, BURST = 0.1, 5
ASKINGS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=400)
"""Whether another replica had failed before, and whether this one answers."""


@given(ASKINGS)
def test_failovers_in_vain_never_exceed_the_burst_and_the_share_of_answers(
    askings: list[tuple[bool, bool]],
) -> None:
    """In every stretch, not only from the start."""
    failovers = Failovers(SHARE, BURST)
    vain, good = [0], [0]
    for after_failure, answers in askings:
        asked = not after_failure or failovers.affords("a")
        if asked:
            outcome = pb.OUTCOME_ANSWERED if answers else pb.OUTCOME_FAILED
            failovers.ended("a", outcome, failover=after_failure)
        vain.append(vain[-1] + (asked and after_failure and not answers))
        good.append(good[-1] + (asked and answers))
    for begin in range(0, len(vain), 7):
        for end in range(begin, len(vain), 11):
            assert vain[end] - vain[begin] <= BURST + SHARE * (good[end] - good[begin]) + 1e-6


@given(st.lists(st.booleans(), max_size=400))
def test_who_fails_less_than_one_in_eleven_times_is_never_passed_over(failing: list[bool]) -> None:
    """Failures that are rare cost nobody an answer."""
    failovers, since = Failovers(SHARE, BURST), 11
    for fails in failing:
        fails = fails and since >= 11
        since = 0 if fails else since + 1
        assert failovers.affords("a")
        failovers.ended("a", pb.OUTCOME_FAILED if fails else pb.OUTCOME_ANSWERED, failover=True)
