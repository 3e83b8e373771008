"""Answers on a narrow terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from scripted_router import SLATE, STATUS

from cli import cluster_view, render
from cli.titles import Titles
from trunkshow.answers import Carousel, Item, Slate
from trunkshow.cluster import ClusterStatus, Generation, LogView
from trunkshow.intents import Intent, Interest
from trunkshow.receipts import Rung, Stage


class Named(Titles):
    """Every item is called the same, at length."""

    def get(self, item_id: str) -> str:
        return "Fluid milk white only, one gallon, of the store's own brand, no. 3"


def printed(*parts: RenderableType) -> str:
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


def test_items_with_reasons_of_their_own_fit_80_columns() -> None:
    """Places, ids, scores and whole reasons are there where the titles are too long; only these are cut."""
    reasons = [f"{number} of 30 shoppers nearest to you chose this" for number in (14, 13)]
    items = tuple(Item(f"110652{place}", 6.31, reason) for place, reason in enumerate(reasons))
    shown = printed(render.carousel(Carousel("x", "X", "user-neighbours", Rung.SNAPSHOT, items), Named()))
    assert all(reason in shown for reason in reasons)
    assert [line[:11] for line in shown.splitlines() if "6.31" in line] == [" 1  1106520", " 2  1106521"]


def test_an_intent_is_shown_with_its_categories() -> None:
    """Before the receipt; a name is no markup."""
    moment = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
    intent = Intent((Interest("[b]party", 0.5, 4.0),), "5m", 0.97, True, moment, moment)
    shown = printed(*render.slate(replace(Slate.from_message(SLATE), intent=intent), Named()))
    assert "within 5m, a new one since 12:30:05 UTC; holds with 97%" in shown
    assert "[b]party" in shown
    assert "4.0 times its usual share" in shown
    assert "intent" not in printed(*render.slate(Slate.from_message(SLATE), Named()))


def test_a_stage_of_several_shards_is_shown_once() -> None:
    """Of stages with one name the slowest is shown, with how many there were."""
    receipt = Slate.from_message(SLATE).receipt
    stages = (Stage("predict", 3.5), Stage("predict", 8.25), Stage("shard", 10.5))
    shown = printed(render.receipt(replace(receipt, stages=stages)))
    assert "predict, slowest of 2     8.25 ms" in shown
    assert "3.50 ms" not in shown


def test_addresses_of_shards_are_never_cut() -> None:
    """Whatever the last error of a shard, its address is whole."""
    status = ClusterStatus.from_message(STATUS)
    gone = replace(status.shards[1], last_error="UNAVAILABLE: failed to connect to all addresses " * 3)
    shown = printed(*cluster_view.status(replace(status, shards=(status.shards[0], gone))))
    assert f" {gone.address} " in shown
    assert f"{gone.address}: UNAVAILABLE: failed to connect" in shown


def test_what_a_shard_would_give_up_and_which_copies_it_refused_are_told() -> None:
    """Each in a column of its own, which is there where there is something to tell."""
    status = ClusterStatus.from_message(STATUS)
    held = Generation(status.snapshot_version, (0, 1, 2), (), (), surplus=(1, 2), refused_stand_ins=(3,))
    shard = replace(status.shards[0], generations=(held,))
    shown = printed(*cluster_view.status(replace(status, shards=(shard,))))
    assert ("surplus" in shown, "2: 1-2" in shown, "1: 3" in shown) == (True, True, True)
    assert "surplus" not in printed(*cluster_view.status(status))


def test_what_a_shard_holds_is_told_version_by_version() -> None:
    """The same numbers of two versions are two lines, and the other version is named by what it is."""
    status = ClusterStatus.from_message(STATUS)
    held = [Generation(version, (0, 1), (), (), (2,)) for version in (status.snapshot_version, "before")]
    shard = replace(status.shards[0], generations=tuple(held))
    one = replace(status, shards=(shard,), previous_version="before", candidate=None)
    lines = [line.split() for line in printed(*cluster_view.status(one)).splitlines() if "0-1" in line]
    assert [line[-5:] for line in lines] == [
        ["MiB", "2:", "0-1", "1:", "2"],
        ["2:", "0-1", "1:", "2", "(previous)"],
    ]


def test_a_status_tells_of_the_event_log() -> None:
    """Where it is and how far, or why it is not there; nothing where there is none."""
    status = ClusterStatus.from_message(STATUS)
    log = LogView("nats://here:4222/EVENTS", True, "EVENTS-7/0:12", "")
    assert "nats://here:4222/EVENTS: answers; at EVENTS-7/0:12" in printed(
        *cluster_view.status(replace(status, event_log=log))
    )
    gone = replace(log, reachable=False, last_error="refused")
    assert "does not answer (refused)" in printed(*cluster_view.status(replace(status, event_log=gone)))
    assert "nats" not in printed(*cluster_view.status(status))


def test_metrics_are_told_with_what_they_are_of() -> None:
    """Figures of a fit apart, as all are of older manifests, are not taken for those of events held back within one."""
    values = {"model": {"recall@20": 0.25}, "popularity": {"recall@20": 0.1}}
    assert "metrics on held-out events" in printed(render.measured(values))
    assert "metrics on held-out events" in printed(render.measured({**values, "protocol": "holdout-fit"}))
    within = printed(render.measured({**values, "protocol": "held-back"}))
    assert "metrics on events held back within the fit" in within
    assert "0.2500" in within
