"""When a client asks other routers as well: calls are futures that the test ends, and no router is there."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest

from trunkshow import channel as wire
from trunkshow import rival_rules, rivals
from trunkshow.rival_rules import BURST, Budget, Hedge, hedges
from trunkshow.rivals import raced, raced_blocking, spare
from trunkshow.targets import Routers, host_of, listed
from trunkshow.v1 import recommendation_pb2 as pb

TIMEOUT_S = 60.0


class Scripted:
    """Begins calls that end when they are told to."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[str]] = []
        self._begun = asyncio.Event()

    def begin(self, seconds: float) -> asyncio.Future[str]:
        assert seconds <= TIMEOUT_S
        self.calls.append(asyncio.get_running_loop().create_future())
        self._begun.set()
        return self.calls[-1]

    async def until(self, calls: int) -> None:
        while len(self.calls) < calls:
            self._begun.clear()
            await asyncio.wait_for(self._begun.wait(), TIMEOUT_S)


def asking(scripted: Scripted, hedge: Hedge) -> asyncio.Task[str]:
    return asyncio.ensure_future(raced(hedge, scripted.begin, TIMEOUT_S))


async def test_two_others_are_asked_and_the_first_answer_counts() -> None:
    """Whichever of the three it is; those that were outrun are not called off at once."""
    scripted = Scripted()
    slate = asking(scripted, Hedge(lambda: True))
    await scripted.until(3)
    scripted.calls[2].set_result("third")
    assert await slate == "third"
    assert not any(call.cancelled() for call in scripted.calls)


async def test_where_all_fail_it_is_the_first_that_is_told_of() -> None:
    """An error of a rival says nothing while another one may still answer."""
    scripted = Scripted()
    slate = asking(scripted, Hedge(lambda: True))
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
    slate = asking(scripted, Hedge(lambda: True))
    await scripted.until(3)
    slate.cancel()
    await asyncio.wait({slate})
    assert all(call.cancelled() for call in scripted.calls)


class Answered:
    """A call of a thread that ends at the third asking."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def add_done_callback(self, hear: Any) -> None:
        threading.Thread(target=lambda: self._ended.wait(TIMEOUT_S) and hear(self), daemon=True).start()

    def done(self) -> bool:
        return self._ended.is_set()

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    def result(self) -> str:
        return "answered"


def test_no_other_threads_call_comes_between_the_two_of_a_hedge() -> None:
    """Round robin would send both to the router that stands still."""
    hedge, begun, order = Hedge(lambda: True), threading.Condition(), list[str]()

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


async def test_hedges_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every call takes long, no more are hedged than there are tokens; the others wait."""
    monkeypatch.setattr(rival_rules, "BURST", 2)
    monkeypatch.setattr(rival_rules, "FEW", 20)  # else all of them would wait for what nobody is answered for
    scripted, hedge = Scripted(), Hedge(lambda: True)
    slates = [asking(scripted, hedge) for _ in range(10)]
    await scripted.until(10 + 2 * rival_rules.RIVALS)
    assert not hedge.spend(0)
    for call in scripted.calls:
        call.set_result("late")
    assert await asyncio.gather(*slates) == ["late"] * 10
    assert len(scripted.calls) == 10 + 2 * rival_rules.RIVALS


def test_nobody_else_is_asked_where_everybody_waits() -> None:
    """What holds all of them up is not one router; no token is spent on it."""
    hedge = Hedge(lambda: True)
    first, *_, last = [hedge.begin() for _ in range(20)]
    assert not hedge.spend(first)
    assert not hedge.spend_last(first)
    assert hedge.spend(last)  # who asked last cannot tell


@pytest.mark.parametrize(("answered", "passes"), [(0, False), (2, False), (3, True), (10, True)])
def test_who_asked_later_and_was_answered_shows_that_it_is_one_router(answered: int, passes: bool) -> None:
    """Of twenty, three are enough."""
    flow = rival_rules.Flow()
    first, *later = [flow.begin() for _ in range(21)]
    for number in later[:answered]:
        flow.end(number)
    assert flow.passes(first) is passes
    assert flow.passes(later[-1])


async def test_who_is_refused_a_token_has_another_chance_on_the_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow answers have spent the budget; a router that stands still afterwards costs nobody their answer."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    scripted, hedge = Scripted(), Hedge(lambda: True)
    assert hedge.spend(0)
    slate = asking(scripted, hedge)
    await scripted.until(1 + rival_rules.RIVALS)
    scripted.calls[-1].set_result("from another")
    assert await slate == "from another"
    assert not hedge.spend_last(0)


def test_threads_have_a_reserve_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call is silent, the others are answered at once."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    hedge, over = Hedge(lambda: True), threading.Event()
    over.set()
    assert hedge.spend(0)
    calls = iter([Answered(threading.Event()), *[Answered(over)] * rival_rules.RIVALS])
    assert raced_blocking(hedge, lambda seconds: next(calls), 0.0, 1.0) == "answered"
    assert not hedge.spend_last(0)


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
    scripted, hedge = Scripted(), Hedge(lambda: True)
    slate = asking(scripted, hedge)
    await scripted.until(1)
    refused_twice(hedge, monkeypatch)
    await scripted.until(1 + rival_rules.RIVALS)
    scripted.calls[-1].set_result("from another")
    assert await slate == "from another"


def test_threads_that_waited_with_everybody_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tasks are."""
    hedge, over = Hedge(lambda: True), threading.Event()
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
    scripted, hedge = Scripted(), Hedge(lambda: True)
    slate = asking(scripted, hedge)
    await scripted.until(1)
    spare(slate)
    await asyncio.wait({slate})
    assert [call.cancelled() for call in scripted.calls] == [True]


async def test_a_token_comes_back_where_all_ran_into_their_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first router was silent, whatever others were."""
    monkeypatch.setattr(rival_rules, "BURST", 1)
    scripted, hedge = Scripted(), Hedge(lambda: True)
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
    scripted, hedge = Scripted(), Hedge(lambda: True)
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
    scripted, hedge = Scripted(), Hedge(lambda: True)
    slate = asking(scripted, hedge)
    await scripted.until(3)
    scripted.calls[1].set_result("second")
    assert await slate == "second"
    assert not hedge.spend(0)
    nothing = grpc.aio.Metadata()
    scripted.calls[0].set_exception(grpc.aio.AioRpcError(code, nothing, nothing))
    await asyncio.wait(scripted.calls[:1])
    assert hedge.spend(0) is left


class Ended:
    """A call of a thread that is over, or will be once it is told how."""

    def __init__(self, code: grpc.StatusCode | None = None) -> None:
        self._code = code
        self._hear: list[Any] = []

    def add_done_callback(self, hear: Any) -> None:
        self._hear.append(hear)
        if self.done():
            hear(self)

    def end(self, code: grpc.StatusCode) -> None:
        self._code = code
        for hear in self._hear:
            hear(self)

    def done(self) -> bool:
        return self._code is not None

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def result(self) -> str:
        return "answered"


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
    hedge, first = Hedge(lambda: True), Ended()
    calls = iter([first, Ended(grpc.StatusCode.OK), Ended()])
    assert raced_blocking(hedge, lambda seconds: next(calls), 0.0, TIMEOUT_S) == "answered"
    assert not hedge.spend(0)
    first.end(code)
    assert hedge.spend(0) is left


def test_what_slow_answers_spent_is_there_again_soon_after_a_router_stands_still() -> None:
    """Else each of its calls would fail for want of a token, until gRPC finds out."""
    budget = Budget(0, BURST)
    while budget.spend():
        pass
    budget.give_back()
    spent = []
    for _ in range(6):
        spent.append(sum(1 for _ in range(BURST) if budget.spend()))
        for _ in range(spent[-1]):
            budget.give_back()
    assert spent[-1] == BURST


def test_there_are_tokens_left_where_answers_take_as_long_as_the_bounds() -> None:
    """One in twenty takes more than 54 ms; would each be hedged, there were none after some 1,600."""
    hedge, draw = Hedge(lambda: True), random.Random(1)
    for _ in range(5_000):
        took_s = 0.02 * draw.lognormvariate(0, 0.6)
        patience_s = hedge.patience_s(1.0)
        assert patience_s is not None
        if took_s > patience_s:
            assert hedge.spend(0)
            took_s = patience_s + 0.02 * draw.lognormvariate(0, 0.6)
        hedge.answered(took_s)


def test_nothing_is_hedged_where_there_is_one_router_or_no_time() -> None:
    """Nobody else could answer, or not in time."""
    assert Hedge(lambda: False).patience_s(1.0) is None
    assert Hedge(lambda: True).patience_s(0.02) is None
    assert Hedge(lambda: True).patience_s(1.0) == pytest.approx(0.06)


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(0.1, 0.08), (0.2, 0.16), (2.0, 0.16)])
def test_who_waits_by_their_own_wish_is_waited_for_as_long_as_a_router_may(timeout_s: float, patience_s: float) -> None:
    """Any router would wait for the same events; one that is silent after that stands still."""
    assert Hedge(lambda: True).patience_s(timeout_s, waits=True) == pytest.approx(patience_s)
    assert Hedge(lambda: False).patience_s(timeout_s, waits=True) is None
    assert wire.waits(pb.RecommendRequest(user_id="ann", at_least_as_fresh="log/0:7"))
    assert not wire.waits(pb.SimilarItemsRequest(item_id="hat"))


async def test_what_was_waited_for_by_wish_says_nothing_of_routers() -> None:
    """Twenty such answers would make a p99."""
    hedge = Hedge(lambda: True)
    for _ in range(20):
        await raced(hedge, lambda seconds: asyncio.sleep(0, seconds), 1.0, waits=True)
    assert hedge.patience_s(1.0) == pytest.approx(0.06)


def test_only_what_does_no_harm_twice_is_asked_of_others() -> None:
    """A tombstone or an item that a router wakes up with later would undo what came after it. Streams are sent once."""
    each = hedges(lambda: True)
    twice = {wire.RECOMMEND, wire.SIMILAR_ITEMS, wire.GET_FEATURES, wire.RECORD_EVENTS, wire.GET_CLUSTER_STATUS}
    assert set(each) == {method.path for method in twice}
    assert each[wire.RECOMMEND.path].patience_s(5.0) == pytest.approx(0.06)


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(1.0, 0.8), (5.0, 1.6)])
def test_events_are_waited_for_as_long_as_a_router_waits_for_its_log(timeout_s: float, patience_s: float) -> None:
    """A log may take its time; a router that is silent then stands still. What it spends no slate lacks."""
    each = hedges(lambda: True)
    assert each[wire.RECORD_EVENTS.path].patience_s(timeout_s) == pytest.approx(patience_s)
    assert each[wire.RECORD_EVENTS.path] is not each[wire.RECOMMEND.path]


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(0.3, 0.24), (2.0, 0.4)])
def test_of_a_status_others_are_asked_in_time(timeout_s: float, patience_s: float) -> None:
    """Who wants to see a cluster of which one router stands still. What it spends no slate lacks."""
    each = hedges(lambda: True)
    assert each[wire.GET_CLUSTER_STATUS.path].patience_s(timeout_s) == pytest.approx(patience_s)
    assert each[wire.GET_CLUSTER_STATUS.path] not in (each[wire.RECOMMEND.path], each[wire.RECORD_EVENTS.path])


@pytest.mark.parametrize(
    ("target", "routers", "host"),
    [
        ("ipv4:10.0.0.1:7450,10.0.0.2:7450", 2, ""),
        ("ipv4:10.0.0.1:7450,10.0.0.1:7450", 1, ""),
        ("ipv6:[::1]:7450", 1, ""),
        ("unix:/run/router", 1, ""),
        ("dns:///router.shop:7450", 1, "router.shop"),
        ("dns://10.0.0.9/router.shop:7450", 1, "router.shop"),
        ("dns:router.shop:7450", 1, "router.shop"),
        ("router.shop:7450", 1, "router.shop"),
        ("[::1]:7450", 1, "::1"),
        ("router.shop", 1, "router.shop"),
    ],
)
def test_a_target_lists_its_routers_or_names_a_host(target: str, routers: int, host: str) -> None:
    """As gRPC reads it."""
    assert (listed(target), host_of(target)) == (routers, host)


def test_a_name_has_as_many_routers_as_addresses() -> None:
    """It is looked up apart, and again only after a while; one that cannot be looked up has as many as before."""
    now, found = [0.0], iter([3, OSError(), 1])

    def resolve(host: str) -> int:
        assert host == "router.shop"
        answer = next(found)
        if isinstance(answer, OSError):
            raise answer
        return answer

    seen = []
    looks: list[object] = []
    routers = Routers("dns:///router.shop:7450", resolve, lambda: now[0], looks.append)
    for _ in range(3):
        seen.append(routers.several())
        while looks:
            looks.pop()()  # type: ignore[operator]
        seen.append(routers.several())
        assert not looks
        now[0] += 31
    assert seen == [False, True, True, True, True, False]


def test_where_no_thread_is_to_be_had_a_name_is_looked_up_later() -> None:
    """A call does not fail for it."""
    now, found = [0.0], list[object]()

    def apart(look: Any) -> None:
        if not now[0]:
            raise RuntimeError("can't start new thread")
        found.append(look())

    routers = Routers("router.shop:7450", lambda host: 3, lambda: now[0], apart)
    assert not routers.several()
    assert not routers.several()
    now[0] += 31
    assert routers.several()
    assert len(found) == 1
