"""Callers who are not patient: what is drawn, what is right of their answers, and what their calls count as."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from datasets import Built

from cli.chaos import manners, wishes
from cli.chaos.counting import EARLY_MS, LATE_MS, count_error, count_manner
from cli.chaos.faults import Promise
from cli.chaos.judging import Moments, judge
from cli.chaos.manners import AsFresh, Manner
from cli.chaos.manners_report import COLUMNS, cells, section, summary
from cli.chaos.model import Facts
from cli.chaos.tally import SLICE_S, Series, Tally
from cli.chaos.verdict import HURRIED_MIN, Verdict
from cli.chaos.visitors import Ask, Visitors, mannered
from trunkshow.errors import REASON_KEY, PartialAborted
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import recommendation_pb2 as pb

SLATE = pb.RecommendRequest(user_id="user", carousels=["for-you", "popular"])
BATCH = pb.RecommendBatchRequest(requests=[SLATE])
SIMILAR = pb.SimilarItemsRequest(item_id="item")

HURRIED = Manner(deadline_ms=100)
CHOOSY = Manner(worst_rung=pb.RUNG_STAND_IN)


# --- what is drawn -----------------------------------------------------------------------------------------------


def test_every_manner_is_drawn_about_as_often_as_it_says() -> None:
    """Within five standard deviations; most calls are plain."""
    draw, calls = random.Random(1), 100_000
    drawn = [manners.drawn(draw) for _ in range(calls)]
    found = Counter(
        {
            "hurried": sum(one.deadline_ms > 0 for one in drawn),
            "choosy": sum(one.worst_rung != pb.RUNG_UNSPECIFIED for one in drawn),
            "brief": sum(one.hangs_up_ms > 0 for one in drawn),
            "seen": sum(one.as_fresh is AsFresh.SEEN for one in drawn),
            "never": sum(one.as_fresh is AsFresh.NEVER for one in drawn),
        }
    )
    shares = {
        "hurried": manners.HURRIED,
        "choosy": manners.CHOOSY,
        "brief": manners.BRIEF,
        "seen": manners.UP_TO_DATE,
        "never": manners.WAITING,
    }
    for name, share in shares.items():
        assert abs(found[name] - share * calls) < 5 * (share * calls) ** 0.5, name
    assert all(manners.HURRIED_MS[0] <= one.deadline_ms <= manners.HURRIED_MS[1] for one in drawn if one.deadline_ms)
    assert all(
        manners.BRIEF_MS[0] <= one.hangs_up_ms <= 1.001 * manners.BRIEF_MS[1] for one in drawn if one.hangs_up_ms
    )
    assert sum(one == manners.PLAIN for one in drawn) > 0.9 * calls


def test_what_is_asked_does_not_depend_on_how(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed asks for the same slates where everybody is patient, but for who is choosy."""
    del tmp_path
    facts = Facts(built.store / "snapshots" / built.report.manifest.version)
    some = Visitors(facts, 1).pool
    monkeypatch.setattr(manners, "drawn", lambda draw: manners.PLAIN)
    none = Visitors(facts, 1).pool
    assert {one.manner for one in some} != {manners.PLAIN} == {one.manner for one in none}
    pairs = [(one.request, other.request) for one, other in zip(some, none, strict=True) if not one.manner.worst_rung]
    assert len(pairs) > 0.9 * len(some)
    assert all(one == other for one, other in pairs)


@pytest.mark.parametrize("personal", [True, False])
def test_who_is_choosy_asks_for_what_a_whole_cluster_has_where_they_are_personal(personal: bool) -> None:
    """So that only a step down ends in an error; others keep their carousels. What was drawn stays as it was."""
    ask = mannered(Ask(SLATE, personal), CHOOSY)
    assert isinstance(ask.request, pb.RecommendRequest)
    assert (ask.request.partial, ask.request.worst_rung) == (pb.PARTIAL_ABORT, pb.RUNG_STAND_IN)
    assert list(ask.request.carousels) == (["for-you"] if personal else list(SLATE.carousels))
    assert ask.personal is personal
    assert SLATE.partial == pb.PARTIAL_UNSPECIFIED


@pytest.mark.parametrize("manner", [HURRIED, Manner(as_fresh=AsFresh.SEEN), Manner(as_fresh=AsFresh.NEVER)])
def test_with_less_time_a_lower_rung_is_no_step_down(manner: Manner) -> None:
    """A deadline of 80 ms may be enough for a resident slate only."""
    assert not mannered(Ask(SLATE, personal=True), manner).personal


def test_what_does_not_go_with_a_request_is_left_out() -> None:
    """Batches have seconds, and neither they nor similar items have a worst rung or a watermark here."""
    everything = Manner(100, 5, pb.RUNG_SEGMENT, AsFresh.SEEN)
    assert mannered(Ask(BATCH), everything) == Ask(BATCH, manner=Manner(hangs_up_ms=5))
    assert mannered(Ask(SIMILAR), everything) == Ask(SIMILAR, manner=Manner(deadline_ms=100, hangs_up_ms=5))


def test_a_watermark_is_the_one_seen_or_beyond_whatever_comes() -> None:
    """Of the same log; without having seen one nothing can be named."""
    seen = Watermark("log-a", {0: 7, 3: 1})
    assert manners.watermark(AsFresh.NONE, str(seen)) == ""
    assert manners.watermark(AsFresh.SEEN, str(seen)) == str(seen)
    never = Watermark.parse(manners.watermark(AsFresh.NEVER, str(seen)))
    assert never.covers(seen)
    assert all(never.counts[lane] >= manners.FAR for lane in seen.counts)
    assert not Watermark("log-a", {0: 10**8, 3: 10**8}).covers(never)
    assert not Watermark("log-a").covers(Watermark.parse(manners.watermark(AsFresh.NEVER, "log-a/")))
    assert manners.watermark(AsFresh.SEEN, "") == manners.watermark(AsFresh.NEVER, "") == ""


# --- what is right -----------------------------------------------------------------------------------------------


def wrong(request: pb.RecommendRequest, *rungs: pb.Rung, is_known: bool = True, **receipt: Any) -> list[str]:
    """What is wrong of an answer with carousels of these rungs."""
    answer = pb.RecommendResponse(
        carousels=[pb.Carousel(id=f"carousel-{rung}", rung=rung) for rung in rungs], receipt=pb.Receipt(**receipt)
    )
    return list(wishes.disregarded(request, answer, is_known=is_known))


@pytest.mark.parametrize(
    ("partial", "worst", "rung", "is_wrong"),
    [
        (pb.PARTIAL_ABORT, pb.RUNG_SEGMENT, pb.RUNG_SEGMENT, False),
        (pb.PARTIAL_ABORT, pb.RUNG_SEGMENT, pb.RUNG_POPULAR, True),
        (pb.PARTIAL_ABORT, pb.RUNG_UNSPECIFIED, pb.RUNG_SNAPSHOT, False),
        (pb.PARTIAL_ABORT, pb.RUNG_UNSPECIFIED, pb.RUNG_PREVIOUS, True),
        (pb.PARTIAL_ALLOW, pb.RUNG_SEGMENT, pb.RUNG_POPULAR, False),
        (pb.PARTIAL_UNSPECIFIED, pb.RUNG_SEGMENT, pb.RUNG_POPULAR, False),
    ],
)
def test_a_carousel_below_the_worst_rung_is_wrong(
    partial: pb.Partial, worst: pb.Rung, rung: pb.Rung, is_wrong: bool
) -> None:
    """Whichever carousel it is, and only for who asks for an error instead."""
    request = pb.RecommendRequest(partial=partial, worst_rung=worst)
    assert bool(wrong(request, pb.RUNG_FRESH, rung)) is is_wrong


@pytest.mark.parametrize(
    ("watermark", "reasons", "is_known", "is_wrong"),
    [
        ("log-a/0:5", [], True, False),
        ("log-a/0:6,1:2", [], True, False),
        ("log-a/0:4", [], True, True),
        ("log-a/0:4", [pb.REASON_NOT_AS_FRESH], True, False),
        ("log-b/0:9", [], True, True),
        ("log-b/0:9", [pb.REASON_NOT_AS_FRESH], True, False),
        ("", [], True, True),
        ("", [], False, False),  # a stranger who did nothing
        ("", [pb.REASON_NOT_AS_FRESH], True, False),
    ],
)
def test_an_answer_is_as_fresh_as_asked_or_says_that_it_is_not(
    watermark: str, reasons: list[pb.Reason], is_known: bool, is_wrong: bool
) -> None:
    """By the watermark in its own receipt; of who names none, nothing is wanted."""
    request = pb.RecommendRequest(at_least_as_fresh="log-a/0:5")
    said: dict[str, Any] = {"watermark": watermark, "reasons": reasons}
    assert bool(wrong(request, is_known=is_known, **said)) is is_wrong
    assert wrong(pb.RecommendRequest(), is_known=is_known, **said) == []


# --- what it counts as -------------------------------------------------------------------------------------------


def error(code: grpc.StatusCode, reason: str = "") -> grpc.aio.AioRpcError:
    """A status as it arrives."""
    trailing = grpc.aio.Metadata((REASON_KEY, reason)) if reason else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="said so")


ABORTED = error(grpc.StatusCode.UNAVAILABLE, PartialAborted.default_reason)
UNAVAILABLE = error(grpc.StatusCode.UNAVAILABLE)
EXCEEDED = error(grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    ("manner", "raised", "took_ms", "stood_ms", "counted"),
    [
        (CHOOSY, ABORTED, 20, 0, {"aborted"}),
        (CHOOSY, ABORTED, LATE_MS + 50, 0, {"aborted", "late"}),
        (CHOOSY, ABORTED, LATE_MS + 50, 60, {"aborted", "held_up"}),
        (CHOOSY, UNAVAILABLE, 20, 0, {"failed"}),
        (CHOOSY, EXCEEDED, 2_000, 0, {"failed"}),
        (manners.PLAIN, ABORTED, 20, 0, {"failed"}),
        (HURRIED, EXCEEDED, 101, 0, {"missed"}),
        (HURRIED, EXCEEDED, 101, 30, {"stood_still"}),
        (HURRIED, EXCEEDED, 100 - EARLY_MS - 1, 0, {"failed"}),  # somebody else's deadline
        (HURRIED, UNAVAILABLE, 101, 0, {"failed"}),
        (manners.PLAIN, EXCEEDED, 2_000, 0, {"failed"}),
    ],
)
def test_an_error_is_a_failure_unless_its_caller_had_brought_it_about(
    manner: Manner, raised: grpc.aio.AioRpcError, took_ms: float, stood_ms: float, counted: set[str]
) -> None:
    """And it is one request, whatever it was."""
    tally = Tally()
    count_error(tally, mannered(Ask(SLATE), manner), raised, took_ms, stood_ms=stood_ms)
    outcomes = {"failed", "aborted", "late", "held_up", "missed", "stood_still", "stepped_down", "personal"}
    assert {name for name in outcomes if tally.counts[name]} == counted
    assert tally.requests == 1


def test_who_would_be_served_by_a_whole_cluster_and_is_refused_has_stepped_down() -> None:
    """It says so among the reasons."""
    tally = Tally()
    count_error(tally, mannered(Ask(SLATE, personal=True), CHOOSY), ABORTED, 20, stood_ms=0)
    assert (tally.personal, tally.stepped_down, tally.because) == (1, 1, {"aborted": 1})


def test_what_callers_asked_for_is_counted_with_what_became_of_it() -> None:
    """Who names no watermark, since none was seen yet, has not asked for one."""
    tally = Tally()
    dated = pb.RecommendRequest(at_least_as_fresh="log-a/0:5")
    count_manner(tally, Ask(dated, manner=Manner(as_fresh=AsFresh.SEEN)), pb.Receipt())
    count_manner(tally, Ask(dated), pb.Receipt(reasons=[pb.REASON_NOT_AS_FRESH]))
    count_manner(tally, Ask(SLATE, manner=Manner(as_fresh=AsFresh.SEEN)), pb.Receipt())
    count_manner(tally, mannered(Ask(SLATE), HURRIED), pb.Receipt())
    count_manner(tally, mannered(Ask(SLATE), CHOOSY))
    assert +tally.counts == Counter(up_to_date=2, not_as_fresh=1, hurried=1, choosy=1)


# --- the verdict, and the report ---------------------------------------------------------------------------------


def verdict(promise: Promise, **counts: int) -> Verdict:
    """On a series in which all is well, but for these counts in its midst."""
    made = Series()
    for number in range(round(12 / SLICE_S)):
        made.at(100 + (number + 0.5) * SLICE_S).counts.update(requests=10, personal=10)
    made.at(103.0).counts.update(counts)
    return judge("fault", "", promise, made, Moments(injected=100.0, healed=105.0, ended=112.0))


@pytest.mark.parametrize(
    ("hurried", "missed", "promise", "is_broken"),
    [
        (HURRIED_MIN, HURRIED_MIN // 10, Promise(), False),
        (HURRIED_MIN, HURRIED_MIN // 10 + 1, Promise(), True),
        (HURRIED_MIN - 1, HURRIED_MIN - 1, Promise(), False),
        (HURRIED_MIN, HURRIED_MIN, Promise(healthy=False), False),
    ],
)
def test_some_in_haste_may_miss_their_deadline_but_not_many(
    hurried: int, missed: int, promise: Promise, is_broken: bool
) -> None:
    """Where a replica was healthy, and there are enough of them to say so."""
    assert bool(verdict(promise, hurried=hurried, missed=missed).broken) is is_broken


def test_who_was_refused_as_they_wished_or_hung_up_breaks_no_promise() -> None:
    """Neither is a failure."""
    assert verdict(Promise(whole=True), aborted=20, choosy=20, hung_up=20).broken == ()


def test_the_report_tells_of_those_callers() -> None:
    """A row for each fault, as wide as the table; misses where no replica was healthy stand in brackets."""
    counts = {"hurried": 60, "missed": 2, "choosy": 5, "aborted": 4, "up_to_date": 3, "not_as_fresh": 1, "hung_up": 7}
    healthy, ill = verdict(Promise(), **counts), verdict(Promise(healthy=False), **counts)
    assert cells(healthy) == ("fault", "60", "2", "5", "4", "3", "1", "7")
    assert cells(ill)[COLUMNS.index("missed")] == "(2)"
    assert "| fault | 60 | 2 | 5 | 4 | 3 | 1 | 7 |" in section([healthy, ill])
    assert "2 of 60 calls in haste" in summary([healthy, ill])
    assert "14 callers hung up" in summary([healthy, ill])
    assert healthy.to_json()["manners"] == {**counts, "stood_still": 0}
