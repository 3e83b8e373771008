"""What a client's hedges may cost: tokens, a reserve, and which of them come back."""

from __future__ import annotations

import asyncio
import random
import threading

import grpc
import grpc.aio
import pytest
from rival_calls import TIMEOUT_S, Answered, Ended, Scripted, asking

from trunkshow import rival_flow, rival_rules, rivals
from trunkshow.rival_rules import BURST, Hedge
from trunkshow.rivals import raced_blocking


async def test_hedges_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every call takes long, no more are hedged than there are tokens; the others wait."""
    monkeypatch.setattr(rival_rules, "BURST", 2)
    monkeypatch.setattr(rival_flow, "FEW", 20)  # else all of them would wait for what nobody is answered for
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slates = [asking(scripted, hedge) for _ in range(10)]
    await scripted.until(10 + 2 * rival_rules.RIVALS)
    assert not hedge.spend(0)
    for call in scripted.calls:
        call.set_result("late")
    assert await asyncio.gather(*slates) == ["late"] * 10
    assert len(scripted.calls) == 10 + 2 * rival_rules.RIVALS


async def test_who_is_refused_a_token_has_another_chance_on_the_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow answers have spent the budget; a router that stands still afterwards costs nobody their answer."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    assert hedge.spend(0)
    slate = asking(scripted, hedge)
    await scripted.until(1 + rival_rules.RIVALS)
    scripted.calls[-1].set_result("from another")
    assert await slate == "from another"
    assert not hedge.spend_last(0)


def test_threads_have_a_reserve_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call is silent, the others are answered at once."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    hedge, over = Hedge(lambda: 2), threading.Event()
    over.set()
    assert hedge.spend(0)
    calls = iter([Answered(threading.Event()), *[Answered(over)] * rival_rules.RIVALS])
    assert raced_blocking(hedge, lambda seconds: next(calls), 0.0, 1.0) == "answered"
    assert not hedge.spend_last(0)


async def test_a_token_comes_back_where_all_ran_into_their_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first router was silent, whatever others were."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slate = asking(scripted, hedge)
    await scripted.until(3)
    nothing = grpc.aio.Metadata()
    for call in scripted.calls:
        call.set_exception(grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, nothing, nothing))
    with pytest.raises(grpc.aio.AioRpcError):
        await slate
    assert hedge.spend(0)


@pytest.mark.parametrize(("silent", "left"), [(True, True), (False, False)])
async def test_a_token_comes_back_where_the_first_router_was_silent(
    monkeypatch: pytest.MonkeyPatch, silent: bool, left: bool
) -> None:
    """It stands still, and the next call may go past it too; one that is merely slow has too much to do as it is."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    monkeypatch.setattr(rivals, "SPARED_S", 0.01 if silent else TIMEOUT_S)
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slate = asking(scripted, hedge)
    await scripted.until(3)
    scripted.calls[1].set_result("second")
    assert await slate == "second"
    if silent:
        await asyncio.wait(scripted.calls)
    else:
        scripted.calls[0].set_result("slow")
        await asyncio.wait(scripted.calls, return_when=asyncio.FIRST_COMPLETED)
    assert hedge.spend(0) is left


@pytest.mark.parametrize(
    ("code", "left"), [(grpc.StatusCode.DEADLINE_EXCEEDED, True), (grpc.StatusCode.UNAVAILABLE, False)]
)
async def test_a_token_comes_back_where_the_first_call_ran_into_its_deadline(
    monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode, left: bool
) -> None:
    """One of 200 ms does so before its while is over: whoever said nothing until then stands still as well."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slate = asking(scripted, hedge)
    await scripted.until(3)
    scripted.calls[1].set_result("second")
    assert await slate == "second"
    assert not hedge.spend(0)
    nothing = grpc.aio.Metadata()
    scripted.calls[0].set_exception(grpc.aio.AioRpcError(code, nothing, nothing))
    await asyncio.wait(scripted.calls[:1])
    assert hedge.spend(0) is left


@pytest.mark.parametrize(
    ("code", "left"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, True),
        (grpc.StatusCode.OK, False),
        (grpc.StatusCode.UNAVAILABLE, False),
    ],
)
def test_a_threads_token_comes_back_where_the_first_call_ran_into_its_deadline(
    monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode, left: bool
) -> None:
    """Only a router that says nothing at all stands still; and not before that is known."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    hedge, first = Hedge(lambda: 2), Ended()
    calls = iter([first, Ended(grpc.StatusCode.OK), Ended()])
    assert raced_blocking(hedge, lambda seconds: next(calls), 0.0, TIMEOUT_S) == "answered"
    assert not hedge.spend(0)
    first.end(code)
    assert hedge.spend(0) is left


def test_what_slow_answers_spent_is_there_again_soon_after_a_router_stands_still() -> None:
    """Else each of its calls would fail for want of a token, until gRPC finds out."""
    hedge = Hedge(lambda: 2)
    while hedge.spend(0):
        pass
    hedge.was_right()
    spent = []
    for _ in range(6):
        spent.append(sum(1 for _ in range(BURST) if hedge.spend(0)))
        for _ in range(spent[-1]):
            hedge.was_right()
    assert spent[-1] == BURST


def spent_by_slow_answers(hedge: Hedge) -> None:
    """Both of two routers answer, and every token is gone."""
    for router in "abba":
        hedge.answered_by(router, hedge.begin())
    number = hedge.begin()
    while hedge.spend(number) or hedge.spend_last(number):
        pass


@pytest.mark.parametrize(("for_s", "by_others", "free"), [(0.2, 4, True), (0.1, 4, False), (0.2, 3, False)])
def test_a_router_that_falls_silent_after_slow_answers_has_spent_all_has_a_reserve_of_its_own(
    for_s: float, by_others: int, free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one that all see to be silent, and bounded."""
    monkeypatch.setattr(rival_rules, "BURST", 3)
    now = [0.0]
    hedge = Hedge(lambda: 2, clock=lambda: now[0])
    spent_by_slow_answers(hedge)
    asked = hedge.begin()
    now[0] += for_s
    for number in [hedge.begin() for _ in range(by_others)]:
        hedge.end(number)
        hedge.answered_by("b", number)
    assert [hedge.spend(asked), hedge.spend_last(asked), hedge.spend(asked), hedge.spend(asked)] == [free] * 3 + [False]


def test_routers_that_all_answer_leave_the_reserve_of_the_silent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow they are, and however long ago it was that anybody asked."""
    now = [0.0]
    monkeypatch.setattr(rival_rules, "BURST", 3)
    hedge = Hedge(lambda: 2, clock=lambda: now[0])
    spent_by_slow_answers(hedge)
    asked = hedge.begin()
    for router in "bbbb":
        now[0] += 0.15
        number = hedge.begin()
        hedge.end(number)
        hedge.answered_by(router, number)
    hedge.answered_by("a", asked - 1)
    assert not hedge.spend(asked)
    now[0] += 3600
    assert not hedge.spend_last(asked)


def test_hedges_that_are_right_half_of_the_time_come_to_an_end() -> None:
    """Whose first call just misses its deadline was slow, as it may be; what comes back beyond the token is bounded."""
    hedge, draw, hedged = Hedge(lambda: 2), random.Random(1), 0
    while hedge.spend(0) and hedged < 2_000:
        hedged += 1
        if draw.random() < 0.6:
            hedge.was_right()
    assert hedged < 5 * BURST


def test_there_are_tokens_left_where_answers_take_as_long_as_the_bounds() -> None:
    """One in twenty takes more than 54 ms; would each be hedged, there were none after some 1,600."""
    hedge, draw = Hedge(lambda: 2), random.Random(1)
    for _ in range(5_000):
        took_s = 0.02 * draw.lognormvariate(0, 0.6)
        patience_s = hedge.patience_s(1.0)
        assert patience_s is not None
        if took_s > patience_s:
            assert hedge.spend(0)
            took_s = patience_s + 0.02 * draw.lognormvariate(0, 0.6)
        hedge.answered(took_s)
