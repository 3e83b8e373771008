"""An evaluation within the one fit: what is asked is unknown to who answers, and everything is learned in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import DAY_MS, START_MS, Event, Shop

from builder import evaluate
from builder.crew.port import Alone
from builder.dataset import Dataset, load_dataset
from builder.evaluate import EvaluationImpossible
from builder.evaluating import HELD_BACK_FROM_EVENTS, Protocol, evaluate_within, protocol_of
from builder.events import Events, read_events
from builder.held_back import HeldBack, hold_back
from builder.pipeline import BuildSettings, build
from builder.training import Numbered, number
from builder.warm_start import WarmStart
from trunkshow.models.protocol import Settings
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

HISTORY = (
    Event("ann", "a", START_MS),
    Event("bob", "b", START_MS),
    Event("bob", "c", START_MS + DAY_MS),
    # the cut
    Event("ann", "a", START_MS + 10 * DAY_MS),
    Event("ann", "b", START_MS + 11 * DAY_MS),
    Event("ann", "c", START_MS + 11 * DAY_MS, "return"),
    Event("ann", "new item", START_MS + 12 * DAY_MS),
    Event("new user", "a", START_MS + 12 * DAY_MS),
)
CUT = START_MS + 5 * DAY_MS


def read(shop: Shop, folder: Path) -> tuple[Dataset, Events, Numbered]:
    """A shop's events, numbered."""
    dataset = load_dataset(datasets.write(shop, folder))
    events, _ = read_events(dataset)
    return dataset, events, number(dataset, events, None, None, Settings(factors=8))


def held(folder: Path, *, repeat: bool = False) -> tuple[HeldBack, Numbered]:
    """The history above, and what is held back of it."""
    _, _, numbered = read(Shop(HISTORY), folder)
    return hold_back(numbered, CUT, repeat=repeat, seed=0), numbered


def cells(numbered: Numbered) -> set[tuple[str, str]]:
    """What the model would learn from: users with items."""
    found = numbered.training.matrix.tocoo()
    return {
        (numbered.user_ids[user], numbered.columns.ids[item]) for user, item in zip(found.row, found.col, strict=False)
    }


@pytest.mark.parametrize("repeat", [True, False])
def test_the_same_is_asked_as_by_a_fit_apart(tmp_path: Path, repeat: bool) -> None:
    """Of the same users the same items, and the same is hidden from them."""
    dataset, events, everything = read(datasets.clustered(60, 40, 12), tmp_path)
    cut = evaluate.cut_time(events, dataset.evaluation)
    after = events.times >= cut
    before = number(dataset, events, None, None, Settings(), up_to=~after)
    weights = events.weights(dataset.interactions)
    apart = evaluate.make_test(events, after, weights, before, repeat=repeat, seed=0)
    within = hold_back(everything, cut, repeat=repeat, seed=0).test

    def named(test: evaluate.Test, of: Numbered) -> dict[str, tuple[set[str], set[str]]]:
        ids = of.columns.ids
        return {
            of.user_ids[user]: (
                {ids[item] for item in test.wanted[row].indices},
                {ids[item] for item in test.hidden[row].indices},
            )
            for row, user in enumerate(test.users)
        }

    assert len(apart.users) > 20
    assert named(within, everything) == named(apart, before)


def test_nothing_that_an_asked_user_did_after_the_cut_is_learned(tmp_path: Path) -> None:
    """Of Ann only a is left, returns and new items are gone as well; of somebody who is not asked everything is."""
    left, everything = held(tmp_path)
    assert cells(left.numbered) == {("ann", "a"), ("bob", "b"), ("bob", "c"), ("new user", "a")}
    assert left.events == 4
    assert cells(everything) >= cells(left.numbered)


def test_what_is_left_is_what_counting_anew_would_give(tmp_path: Path) -> None:
    """Rows that are put between others hold the sums of the events that are left; popularity counts just these."""
    _, _, numbered = read(datasets.clustered(80, 50, 15), tmp_path)
    left = hold_back(numbered, START_MS + 80 * DAY_MS, repeat=False, seed=0).numbered.training
    by_hand = np.zeros(left.matrix.shape, np.float32)
    np.add.at(by_hand, (left.users, left.items), left.weights)
    assert (left.matrix.toarray() == by_hand.clip(min=0)).all()
    assert left.matrix.has_canonical_format
    assert 0 < len(left.users) < len(numbered.training.users)
    assert len(left.times) == len(left.weights) == len(left.users)


def test_of_many_users_some_are_asked_and_the_others_are_learned_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As few events are held back as there are users to ask."""
    monkeypatch.setattr(evaluate, "USERS_MAX", 5)
    _, _, numbered = read(datasets.clustered(60, 40, 12), tmp_path)
    found = hold_back(numbered, START_MS + 80 * DAY_MS, repeat=True, seed=0)
    assert 0 < len(found.test.users) <= 5
    changed = np.flatnonzero(np.diff(numbered.training.matrix.indptr) - np.diff(found.numbered.training.matrix.indptr))
    assert set(changed.tolist()) <= set(found.test.users.tolist())
    same = hold_back(numbered, START_MS + 80 * DAY_MS, repeat=True, seed=0)
    assert same.test.users.tolist() == found.test.users.tolist()


def test_answers_that_are_held_back_change_no_factor(tmp_path: Path) -> None:
    """Whatever the users who are asked did after the cut, the model that is measured is the same."""
    shop = datasets.clustered(60, 40, 12)
    dataset, events, _ = read(shop, tmp_path / "one")
    cut = evaluate.cut_time(events, dataset.evaluation)
    turned = tuple(
        replace(event, item=datasets.item_id((int(event.item.removeprefix("item-")) + 7) % 40))
        if event.time_ms >= cut
        else event
        for event in shop.events
    )
    found = []
    for folder, events in (("as it was", shop.events), ("turned", turned)):
        _, _, numbered = read(replace(shop, events=events), tmp_path / folder)
        held = hold_back(numbered, cut, repeat=True, seed=0)
        assert len(held.test.users) > 40
        within = evaluate_within(numbered, cut, repeat=True, progress=lambda what, done, of: None, crew=Alone(tmp_path))
        found.append((held, within))
    (one, of_one), (other, of_other) = found
    assert one.test.users.tolist() == other.test.users.tolist()
    assert (one.test.wanted != other.test.wanted).nnz
    assert of_one.vectors.tobytes() == of_other.vectors.tobytes()
    assert of_one.metrics["model"] != of_other.metrics["model"]


def test_a_build_says_how_it_was_measured_and_finishes_with_everything(tmp_path: Path) -> None:
    """The factors that are served are not those that were measured, and no evaluation may start from the latter."""
    dataset = datasets.write(datasets.clustered(120, 80, 15), tmp_path / "data")
    report = build(dataset, tmp_path / "store", BuildSettings(2, 8, evaluate=Protocol.HELD_BACK))
    metrics = report.manifest.metrics
    assert metrics["protocol"] == "held-back"
    assert metrics["sweeps"] == Settings().epochs - 2
    assert 0 < metrics["events_held_back_share"] <= 0.2
    assert metrics["model"]["recall@20"] > metrics["popularity"]["recall@20"]
    assert not report.manifest.under("start")
    Snapshot.open(open_store(tmp_path / "store")).close()


def test_a_warm_start_after_it_evaluates_cold(tmp_path: Path) -> None:
    """The factors of everything are carried over; those that were measured knew too much."""
    dataset = datasets.write(datasets.clustered(120, 80, 15), tmp_path / "data")
    build(dataset, tmp_path / "store", BuildSettings(2, 8, evaluate=Protocol.HELD_BACK))
    said: list[str] = []
    report = build(
        dataset, tmp_path / "store", BuildSettings(2, 8, warm_start=WarmStart.YES), say=lambda line: said.append(line)
    )
    assert any(line.startswith("warm start from") for line in said)
    assert report.manifest.metrics["protocol"] == "holdout-fit"
    assert not report.manifest.metrics["warm_start"]["evaluated_warm"]


@pytest.mark.parametrize(
    ("asked", "events", "warm", "protocol"),
    [
        (Protocol.AUTO, HELD_BACK_FROM_EVENTS - 1, False, Protocol.HOLDOUT_FIT),
        (Protocol.AUTO, HELD_BACK_FROM_EVENTS, False, Protocol.HELD_BACK),
        (Protocol.AUTO, HELD_BACK_FROM_EVENTS, True, Protocol.HOLDOUT_FIT),
        (Protocol.HOLDOUT_FIT, HELD_BACK_FROM_EVENTS, False, Protocol.HOLDOUT_FIT),
        (Protocol.HELD_BACK, 1, False, Protocol.HELD_BACK),
    ],
)
def test_the_protocol_is_the_one_that_was_asked_for_or_follows_from_the_size(
    asked: Protocol, events: int, warm: bool, protocol: Protocol
) -> None:
    """A second fit is made where it is cheap, and where the start is warm."""
    assert protocol_of(asked, events, warm=warm) is protocol


def test_what_a_warm_start_knows_cannot_be_held_back() -> None:
    """It is refused before anything is trained."""
    with pytest.raises(EvaluationImpossible, match="warm start"):
        protocol_of(Protocol.HELD_BACK, 10, warm=True)
