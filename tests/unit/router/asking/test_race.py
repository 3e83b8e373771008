"""Replicas of one partition asked one after the other, and against one another: no time passes but the test's own."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest
from scripted import ANSWER, Clock, Replica, settled

from router.asking.attempts import Attempt
from router.asking.failover import Failovers
from router.asking.health import Sign
from router.asking.race import Race
from router.asking.terms import Rules, Terms
from router.cluster.shard_channel import ShardChannel
from trunkshow.hedging import Patience, Tokens
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Deadline
from trunkshow.v1 import recommendation_pb2 as pb

P95_MS = 10.0
Told = tuple[str, pb.Outcome, bool]


class Course:
    """One race over replicas a, b, …, run by hand.

    Attributes:
        clock: of the race.
        replicas: by their turn.
        ended: attempts as the rules were told of them, and what they say of the replica.
    """

    def __init__(
        self,
        replicas: int = 2,
        *,
        tokens: int = 9,
        budget_ms: float = 200,
        rivals: int | None = None,
        failovers: Failovers | None = None,
        again: bool = False,
        kind: Kind = Kind.ONE,
    ) -> None:
        self.clock = Clock()
        self.replicas = [Replica("abc"[number], P95_MS) for number in range(replicas)]
        self.ended: list[tuple[Attempt, Sign]] = []
        self.failovers = failovers or Failovers()
        rules = Rules(
            Patience(),
            Tokens(0.0, tokens),
            self.failovers,
            lambda _, __, one, sign: self.ended.append((one, sign)),
            self.clock,
            self.clock.set_timer,
        )
        until = Deadline.after(budget_ms, self.clock())
        terms = Terms(b"", until, "id", pb.RUNG_SNAPSHOT, kind, lambda: pb.REASON_NO_REPLICA)
        self.race = Race(cast("list[ShardChannel]", self.replicas), terms, rules, rivals, again=again)
        self.running: asyncio.Future[Any]

    async def begin(self) -> tuple[Replica, ...]:
        """Set it off."""
        self.running = asyncio.ensure_future(self.race.run())
        await settled(self.running)
        return tuple(self.replicas)

    async def told(self) -> list[Told]:
        """Wait for its end, which must be near; the attempts by replica, outcome, hedge."""
        await settled(self.running)
        assert self.running.done()
        return [(one.replica, one.outcome, one.hedge) for one in self.race.attempts]


async def test_an_answer_in_time_needs_nobody_else() -> None:
    """One call, no timer left behind, nothing in flight."""
    course = Course()
    a, b = await course.begin()
    a.call.answer()
    assert await course.told() == [("a", pb.OUTCOME_ANSWERED, False)]
    assert (course.running.result(), b.calls, course.clock.waiting, a.in_flight) == (ANSWER, [], [], 0)


async def test_a_rival_is_asked_after_the_p95() -> None:
    """Not before it."""
    course = Course()
    _, b = await course.begin()
    course.clock.pass_ms(P95_MS - 1)
    early = len(b.calls)
    course.clock.pass_ms(1)
    assert (early, len(b.calls)) == (0, 1)
    b.call.answer()
    await course.told()


async def test_the_loser_is_cancelled() -> None:
    """So that the shard sees it; and the story is kept."""
    course = Course()
    a, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    b.call.answer()
    assert await course.told() == [("a", pb.OUTCOME_CANCELLED, False), ("b", pb.OUTCOME_ANSWERED, True)]
    assert (a.call.was_cancelled, a.in_flight, b.in_flight) == (True, 0, 0)


async def test_the_first_one_may_still_win() -> None:
    """A hedge is a rival, not a successor."""
    course = Course()
    a, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    a.call.answer()
    assert await course.told() == [("a", pb.OUTCOME_ANSWERED, False), ("b", pb.OUTCOME_CANCELLED, True)]
    assert b.call.was_cancelled


async def test_a_rivals_error_wins_nothing() -> None:
    """The one that is still on its way goes on."""
    course = Course()
    a, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    b.call.fail(grpc.StatusCode.INTERNAL)
    await settled(course.running)
    assert not course.running.done()
    a.call.answer()
    assert await course.told() == [("a", pb.OUTCOME_ANSWERED, False), ("b", pb.OUTCOME_FAILED, True)]


async def test_after_an_error_the_next_one_is_asked_at_once() -> None:
    """Without a hedge's token: failover is none."""
    course = Course(tokens=0)
    a, b = await course.begin()
    a.call.fail(grpc.StatusCode.UNAVAILABLE)
    await settled(course.running)
    b.call.answer()
    assert await course.told() == [("a", pb.OUTCOME_FAILED, False), ("b", pb.OUTCOME_ANSWERED, False)]


async def test_who_fails_whenever_others_did_is_passed_over() -> None:
    """The one after it is asked at once; where nobody is left, the race is over."""
    failovers = Failovers(burst=1)
    failovers.ended("b", pb.OUTCOME_OVERLOADED, failover=True)
    course = Course(3, failovers=failovers)
    a, b, c = await course.begin()
    a.call.fail(grpc.StatusCode.RESOURCE_EXHAUSTED)
    await settled(course.running)
    c.call.fail(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert [told[0] for told in await course.told()] == ["a", "c"]
    assert (b.calls, failovers.affords("c"), failovers.refused) == ([], False, 1)


async def test_whose_turn_comes_first_is_asked_whatever_became_of_its_failovers() -> None:
    """That is how it earns the next one; unless others failed at the same before."""
    for again, asked in ((False, 1), (True, 0)):
        failovers = Failovers(burst=1)
        failovers.ended("a", pb.OUTCOME_FAILED, failover=True)
        course = Course(1, failovers=failovers, again=again)
        (a,) = await course.begin()
        assert len(a.calls) == asked
        course.running.cancel()
        await settled(course.running)


async def test_who_is_passed_over_may_still_be_a_rival() -> None:
    """A hedge has a budget of its own."""
    failovers = Failovers(burst=1)
    failovers.ended("b", pb.OUTCOME_FAILED, failover=True)
    course = Course(3, failovers=failovers)
    a, b, c = await course.begin()
    a.call.fail(grpc.StatusCode.UNAVAILABLE)
    await settled(course.running)
    course.clock.pass_ms(P95_MS)
    assert (len(b.calls), len(c.calls)) == (1, 1)
    b.call.answer()
    await course.told()


async def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    """Another replica may do better."""
    course = Course()
    a, b = await course.begin()
    a.call.garble()
    await settled(course.running)
    b.call.answer()
    assert (await course.told())[0] == ("a", pb.OUTCOME_FAILED, False)


async def test_without_a_token_nobody_is_asked_until_there_is_one() -> None:
    """The budget is asked again after another patience."""
    course = Course(tokens=0)
    _, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    course.race._rules.tokens._left = 1
    before = len(b.calls)
    course.clock.pass_ms(P95_MS)
    assert (before, len(b.calls)) == (0, 1)
    b.call.answer()
    await course.told()


async def test_who_was_slow_in_this_request_is_no_rival() -> None:
    """But is asked after an error: there is always something to try."""
    course = Course(rivals=1)
    a, b = await course.begin()
    course.clock.pass_ms(10 * P95_MS)
    hedged = len(b.calls)
    a.call.fail(grpc.StatusCode.INTERNAL)
    await settled(course.running)
    b.call.answer()
    assert (hedged, await course.told()) == (
        0,
        [("a", pb.OUTCOME_FAILED, False), ("b", pb.OUTCOME_ANSWERED, False)],
    )


async def test_who_is_late_has_used_the_time_up() -> None:
    """Nobody is asked after that."""
    course = Course(tokens=0)
    a, b = await course.begin()
    a.call.fail(grpc.StatusCode.DEADLINE_EXCEEDED)
    assert await course.told() == [("a", pb.OUTCOME_LATE, False)]
    assert b.calls == []


async def test_without_time_nobody_is_asked() -> None:
    """And the attempt says so."""
    course = Course(budget_ms=0.5)
    a, _ = await course.begin()
    assert (await course.told(), a.calls) == ([("a", pb.OUTCOME_LATE, False)], [])


async def test_a_call_gets_the_time_that_is_left() -> None:
    """And no more: the rival less than the first."""
    course = Course(budget_ms=100)
    a, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    assert (a.call.timeout, b.call.timeout) == (pytest.approx(0.1), pytest.approx(0.09))
    b.call.answer()
    await course.told()


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (grpc.StatusCode.INTERNAL, pb.OUTCOME_FAILED, pb.REASON_SHARD_FAILED),
        (grpc.StatusCode.FAILED_PRECONDITION, pb.OUTCOME_NOT_HELD, pb.REASON_NO_REPLICA),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, pb.OUTCOME_OVERLOADED, pb.REASON_OVERLOADED),
        (grpc.StatusCode.DEADLINE_EXCEEDED, pb.OUTCOME_LATE, pb.REASON_SHARD_LATE),
    ],
)
async def test_an_error_is_called_by_its_name(code: grpc.StatusCode, outcome: pb.Outcome, reason: pb.Reason) -> None:
    """In the attempt, and in what it means for the answer."""
    course = Course(replicas=1)
    (a,) = await course.begin()
    a.call.fail(code)
    await course.told()
    assert [(one.outcome, one.reason) for one in course.race.attempts] == [(outcome, reason)]


async def test_when_the_caller_leaves_everything_is_called_off() -> None:
    """Both shards are told, and the rules hear of both attempts."""
    course = Course()
    a, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    course.running.cancel()
    await settled(course.running)
    assert (a.call.was_cancelled, b.call.was_cancelled, a.in_flight, b.in_flight) == (True, True, 0, 0)
    assert [(one.outcome, sign) for one, sign in course.ended] == [(pb.OUTCOME_CANCELLED, Sign.NONE)] * 2


async def test_who_was_outrun_is_told_on() -> None:
    """By its patience; the rival that had no time to be slow is not."""
    course = Course(replicas=3)
    _, b, c = await course.begin()
    course.clock.pass_ms(P95_MS)
    course.clock.pass_ms(P95_MS)
    c.call.answer()
    await course.told()
    told = {one.replica: sign for one, sign in course.ended}
    assert (told, len(b.calls)) == ({"a": Sign.OUTRUN, "b": Sign.OUTRUN, "c": Sign.GOOD}, 1)


async def test_who_waits_for_a_users_events_is_not_blamed_for_it() -> None:
    """The rival may have had them; one that says nothing until the time is over is to blame, for that is no wait."""
    course = Course(kind=Kind.WAITING)
    _, b = await course.begin()
    course.clock.pass_ms(P95_MS)
    b.call.answer()
    await course.told()
    assert [(one.replica, sign) for one, sign in course.ended] == [("b", Sign.GOOD), ("a", Sign.NONE)]
    hanging = Course(1, kind=Kind.WAITING)
    (a,) = await hanging.begin()
    hanging.clock.pass_ms(200)
    a.call.fail(grpc.StatusCode.DEADLINE_EXCEEDED)
    await hanging.told()
    assert [sign for _, sign in hanging.ended] == [Sign.FAILED]


async def test_who_had_too_little_time_is_not_blamed() -> None:
    """A caller in a hurry says nothing of the shard."""
    course = Course(budget_ms=P95_MS / 2)
    a, _ = await course.begin()
    course.clock.pass_ms(P95_MS / 2)
    a.call.fail(grpc.StatusCode.DEADLINE_EXCEEDED)
    await course.told()
    assert [sign for _, sign in course.ended] == [Sign.NONE]


async def test_a_line_that_is_cut_is_a_failure_and_no_end() -> None:
    """A shard that leaves the membership cancels what is on its way; the next one is asked."""
    course = Course()
    a, b = await course.begin()
    a.call._ended.cancel()
    for callback in a.call._callbacks:
        callback(a.call)
    await settled(course.running)
    b.call.answer()
    assert await course.told() == [("a", pb.OUTCOME_FAILED, False), ("b", pb.OUTCOME_ANSWERED, False)]
