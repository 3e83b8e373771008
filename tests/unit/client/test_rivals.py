"""When a client asks other routers as well: calls are futures that the test ends, and no router is there."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from rival_calls import TIMEOUT_S, Answered, Scripted, asking

from trunkshow import rival_flow, rival_rules, rivals
from trunkshow.rival_rules import Hedge
from trunkshow.rivals import raced, raced_blocking, spare


async def test_two_others_are_asked_and_the_first_answer_counts() -> None:
    """Whichever of the three it is; those that were outrun are not called off at once."""
    scripted = Scripted()
    slate = asking(scripted, Hedge(lambda: 2))
    await scripted.until(3)
    scripted.calls[2].set_result("third")
    assert await slate == "third"
    assert not any(call.cancelled() for call in scripted.calls)


async def test_where_all_fail_it_is_the_first_that_is_told_of() -> None:
    """An error of a rival says nothing while another one may still answer."""
    scripted = Scripted()
    slate = asking(scripted, Hedge(lambda: 2))
    await scripted.until(3)
    for number in (2, 0, 1):
        assert not slate.done()
        scripted.calls[number].set_exception(ConnectionError(str(number)))
        await asyncio.wait({slate}, timeout=0.01)
    with pytest.raises(ConnectionError, match="0"):
        await slate


async def test_a_caller_who_hangs_up_leaves_nothing_under_way() -> None:
    """All of the calls are called off."""
    scripted = Scripted()
    slate = asking(scripted, Hedge(lambda: 2))
    await scripted.until(3)
    slate.cancel()
    await asyncio.wait({slate})
    assert all(call.cancelled() for call in scripted.calls)


def test_no_other_threads_call_comes_between_the_two_of_a_hedge() -> None:
    """Round robin would send both to the router that stands still."""
    hedge, begun, order = Hedge(lambda: 2), threading.Condition(), list[str]()

    def ask(name: str) -> str:
        ended = threading.Event()

        def begin(seconds: float) -> Answered:
            with begun:
                order.append(name)
                begun.notify_all()
                if order.count(name) == 3:
                    ended.set()
                begun.wait(0.02)  # whoever may begin now does
            return Answered(ended)

        return str(raced_blocking(hedge, begin, 0.0, TIMEOUT_S))

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(ask, "abcd")) == {"answered"}
    for name in "abcd":
        second, third = [place for place, one in enumerate(order) if one == name][1:]
        assert third == second + 1, order


def test_nobody_else_is_asked_where_everybody_waits() -> None:
    """What holds all of them up is not one router; no token is spent on it."""
    hedge = Hedge(lambda: 2)
    first, *_, last = [hedge.begin() for _ in range(20)]
    assert not hedge.spend(first)
    assert not hedge.spend_last(first)
    assert hedge.spend(last)  # who asked last cannot tell


@pytest.mark.parametrize(("answered", "passes"), [(0, False), (2, False), (3, True), (10, True)])
def test_who_asked_later_and_was_answered_shows_that_it_is_one_router(answered: int, passes: bool) -> None:
    """Of twenty, three are enough."""
    flow = rival_flow.Flow()
    first, *later = [flow.begin() for _ in range(21)]
    for number in later[:answered]:
        flow.end(number)
    assert flow.passes(first, 2) is passes
    assert flow.passes(later[-1], 2)


@pytest.mark.parametrize(
    ("by", "passes"),
    [("aaaa", True), ("abab", False), ("ab  ", False), ("", False)],
    ids=["one", "both", "others not told", "none"],
)
def test_where_each_router_answered_somebody_who_asked_later_none_stands_still(by: str, passes: bool) -> None:
    """They are slow, and to ask all of them would make them slower. Of twenty who asked later."""
    hedge = Hedge(lambda: 2)
    first, *later = [hedge.begin() for _ in range(21)]
    for number, router in zip(later, by, strict=False):
        hedge.end(number)
        hedge.answered_by(router.strip(), number)
    assert hedge.spend(first) is passes
    assert hedge.spend_last(first) is passes


def test_a_router_that_answered_only_those_who_asked_before_may_stand_still() -> None:
    """It froze since."""
    hedge = Hedge(lambda: 2)
    before, first, *later = [hedge.begin() for _ in range(22)]
    hedge.answered_by("b", before)
    for number in later[:5]:
        hedge.end(number)
        hedge.answered_by("a", number)
    assert hedge.spend(first)


def newest(hedge: Hedge) -> dict[str, int]:
    """By router, the last begun of the calls that it answered."""
    return {router: answered.newest for router, answered in hedge._flow._answered.items()}


async def test_whose_answer_it_was_is_told_with_when_it_was_asked_for() -> None:
    """A rival's was asked for later than the call that it was asked for."""
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slate = asyncio.ensure_future(raced(hedge, scripted.begin, TIMEOUT_S, by=lambda router: router))
    await scripted.until(1)
    later = hedge.begin()
    await scripted.until(3)
    scripted.calls[2].set_result("b")
    assert await slate == "b"
    assert newest(hedge) == {"b": later}
    slate = asyncio.ensure_future(raced(hedge, scripted.begin, TIMEOUT_S, by=lambda router: router))
    await scripted.until(4)
    scripted.calls[3].set_result("a")
    assert await slate == "a"
    assert newest(hedge) == {"b": later, "a": later + 1}


def test_of_routers_that_come_and_go_the_last_are_known() -> None:
    """Each that is started anew is another one."""
    flow = rival_flow.Flow()
    for number in range(1000):
        flow.answered(f"r{number}", number)
    assert list(flow._answered) == [f"r{number}" for number in range(1000 - rival_flow.ROUTERS_MAX, 1000)]


def refused_twice(hedge: Hedge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who asks later is answered, until a call was not hedged for that at two looks."""
    later, refused, passes = [hedge.begin() for _ in range(20)], [0], hedge._passes

    def counting(number: int) -> bool:
        passed = passes(number)
        refused[0] += not passed
        if refused[0] == 2:
            while later:
                hedge.end(later.pop())
        return passed

    monkeypatch.setattr(hedge, "_passes", counting)


async def test_who_waited_with_everybody_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What held up all callers was not one router at two looks, and is at the third."""
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slate = asking(scripted, hedge)
    await scripted.until(1)
    refused_twice(hedge, monkeypatch)
    await scripted.until(1 + rival_rules.RIVALS)
    scripted.calls[-1].set_result("from another")
    assert await slate == "from another"


def test_threads_that_waited_with_everybody_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tasks are."""
    hedge, over = Hedge(lambda: 2), threading.Event()
    over.set()
    calls = iter([Answered(threading.Event()), *[Answered(over)] * rival_rules.RIVALS])

    def begin(seconds: float) -> Answered:
        call = next(calls)
        if not call.done():
            refused_twice(hedge, monkeypatch)
        return call

    assert raced_blocking(hedge, begin, 0.0, TIMEOUT_S) == "answered"


async def test_who_was_outrun_elsewhere_asks_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its while, and spends nobody's tokens in it."""
    monkeypatch.setattr(rivals, "SPARED_S", 0.3)
    scripted, hedge = Scripted(), Hedge(lambda: 2)
    slate = asking(scripted, hedge)
    await scripted.until(1)
    spare(slate)
    await asyncio.wait({slate})
    assert [call.cancelled() for call in scripted.calls] == [True]
