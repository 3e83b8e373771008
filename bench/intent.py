"""Next-item hit@20 within sessions, by the same factor model without and with the user's present intent.

    nothing of the session       the vector of the history alone: a snapshot's
    session folded in, f times   the same equations with the session's events, each counted f times, as the rung FRESH
                                 serves it (`trunkshow.online.weights.SESSION_FACTOR`)
    ... by its own categories    the best candidates of the line above, in the order of `trunkshow.stream.ranking`: each
                                 category lifts itself
    ... by kinship               the same, where categories lift what goes with them (`bench.kinship`)
    ... as it is served          the first of these two, by the defaults of `trunkshow.stream`

The model is fitted on the first 80 % of the events. Weights and rules are chosen on sessions that begin in the next
10 %, one after the other, and reported on those of the last 10 %, in the order of time; nothing is fitted again. Intent
is measured on top of f = 1, of what is served, and of the f that did best without it, so that it is held against that.
"More" is than without the session, and of the lines with intent than of what they reorder; ± is the standard error of
that difference, question by question. Which items the session had is known, and they are not proposed again. Where a
data set has no categories, an item's category is its vector's cluster (`builder.kinds`). One choice for all data sets
is made as well, from the mean of their hits on what is chosen by: from it come the defaults.

The demo's receipts have one time for all their items, so that there "next" is any other item of the receipt, in an
order that is drawn, and nothing can be seen of fading; Taobao's events (--taobao PATH) are carts, favourites and
purchases, with their times.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import sessions, tables
from bench.kinship import kinship, related_lift
from bench.sessions import Parts, Question
from builder.kinds import clusters
from cli import demo_data
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Rows, Settings
from trunkshow.online.weights import SESSION_FACTOR
from trunkshow.reordering import POOL
from trunkshow.stream.intent import RULE, SHOP_EVENTS, IntentRule, Interest, Session, Usual
from trunkshow.stream.ranking import WEIGHT, best_first, raised

K = 20
DEPTHS = (300, 128, 64)
"""Candidates that are ordered by intent; those beyond stay behind them."""

FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""How often an event of the session counts."""

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
PRIOR_EVENTS = (1.0, 2.0, 5.0, 10.0)
TURNS = (0.01, 0.05, 0.2)
HALF_LIVES_MS = (600_000.0, 1_800_000.0, 7_200_000.0)


class Found(NamedTuple):
    """The model's candidates for one question, best first."""

    rows: list[int]
    scores: list[float]


class Choice(NamedTuple):
    """What is chosen of ranking by intent."""

    weight: float = WEIGHT
    rule: IntentRule = RULE
    related: bool = False
    depth: int = DEPTHS[0]


SERVED = Choice(depth=POOL)

Choices = dict[str, Choice]
"""By what they are called."""


class Replay:
    """A model, its items' categories, and what users usually do."""

    def __init__(self, parts: Parts, groups: int, settings: Settings) -> None:
        training = parts.trained.training
        self._model = ImplicitALS.open(ImplicitALS.fit(training))
        has_categories = (training.categories >= 0).any()
        self.categories: Rows = (
            training.categories
            if has_categories and not groups
            else clusters(self._model.vectors, settings.seed, groups)
        )
        worth = np.bincount(training.items, np.maximum(training.weights, 0), len(self.categories))
        self._mix = self._counts(np.arange(len(worth)), worth) + 1e-3
        self._mix /= self._mix.sum()
        self._related = kinship(training.users, training.items, training.times, self.categories)

    def candidates(self, question: Question, factor: float) -> Found:
        """The best items for a history and a session whose events count so often."""
        rows = np.concatenate([question.history, question.session])
        worth = np.concatenate([question.weights, question.session_weights * factor])
        rows, where = np.unique(rows, return_inverse=True)
        vector = self._model.equations.solve(rows.astype(np.int32), np.bincount(where, worth).astype(np.float32))
        scores: Floats = self._model.vectors @ vector
        scores[question.session] = -np.inf
        best = np.argpartition(-scores, DEPTHS[0])[: DEPTHS[0]]
        best = best[np.argsort(-scores[best], kind="stable")]
        return Found(best.tolist(), scores[best].tolist())

    def usual(self, question: Question) -> Usual:
        """The user's usual mix of categories: of the history, drawn towards the shop's."""
        own = self._counts(question.history, np.maximum(question.weights, 0))
        shares = ((own + SHOP_EVENTS * self._mix) / (own.sum() + SHOP_EVENTS)).tolist()
        return lambda category: float(shares[category])

    def session(self, question: Question, rule: IntentRule) -> Session | None:
        """What the user did on the day before the next item was taken."""
        lately = [Interest(time, int(self.categories[item])) for time, item in question.lately if item >= 0]
        return Session.of(lately, self.usual(question), rule)

    def reordered(self, found: Found, question: Question, session: Session | None, choice: Choice) -> list[int]:
        """The candidates by the intent at that moment."""
        if session is None:
            return found.rows
        rows, scores = found.rows[: choice.depth], found.scores[: choice.depth]
        lift = (
            related_lift(self._related, session, question.now_ms)
            if choice.related
            else session.at(question.now_ms).lift
        )
        order = best_first(raised(scores, self.categories[rows].tolist(), lift, choice.weight))
        return [rows[at] for at in order]

    def _counts(self, items: NDArray[Any], worth: NDArray[Any]) -> NDArray[np.float64]:
        known = self.categories[items] >= 0
        counts: NDArray[np.float64] = np.bincount(
            self.categories[items][known], worth[known], int(self.categories.max()) + 1
        ).astype(np.float64)
        return counts


def hits(questions: Sequence[Question], orders: Iterable[list[int]]) -> NDArray[np.bool_]:
    """(n,) whether the wanted item is among the first 20."""
    return np.array([question.wanted in order[:K] for question, order in zip(questions, orders, strict=True)], np.bool_)


class Chooser:
    """Chooses by the questions of one part; of equals the first.

    Args:
        replay: of the data set.
        questions: to choose by.
    """

    def __init__(self, replay: Replay, questions: Sequence[Question]) -> None:
        self._replay = replay
        self._questions = questions
        self._sessions: dict[IntentRule, list[Session | None]] = {}
        self._found: dict[float, list[Found]] = {}

    def factor(self) -> float:
        """How often an event of the session should count, where there is no intent."""
        return max(FACTORS, key=lambda factor: self.score(factor, None))

    def choice(self, factor: float, *, related: bool) -> Choice:
        """Weight of the intent, then each parameter of its rule, then the depth, then the weight again."""

        def best(choices: Iterable[Choice]) -> Choice:
            return max(choices, key=lambda choice: self.score(factor, choice))

        choice = best(Choice(weight, related=related) for weight in WEIGHTS)
        if not choice.weight:
            return choice
        for steps in _steps():
            choice = best(_with(choice, **step) for step in steps)
        choice = best(choice._replace(depth=depth) for depth in DEPTHS)
        return best(choice._replace(weight=weight) for weight in WEIGHTS)

    def score(self, factor: float, choice: Choice | None) -> float:
        """The share of hits with a session's events counted so often, without or with intent."""
        if factor not in self._found:
            self._found[factor] = [self._replay.candidates(question, factor) for question in self._questions]
        found = self._found[factor]
        if choice is None:
            return float(hits(self._questions, (one.rows for one in found)).mean())
        told = zip(found, self._questions, self._sessions_by(choice.rule), strict=True)
        return float(hits(self._questions, (self._replay.reordered(*one, choice) for one in told)).mean())

    def _sessions_by(self, rule: IntentRule) -> list[Session | None]:
        if rule not in self._sessions:
            self._sessions[rule] = [self._replay.session(question, rule) for question in self._questions]
        return self._sessions[rule]


def choose_for_all(choosers: Sequence[Chooser]) -> tuple[float, Choice]:
    """One factor and one choice for all data sets, twice round, among the candidates that are asked for in serving."""

    def best(pairs: Iterable[tuple[float, Choice]]) -> tuple[float, Choice]:
        return max(pairs, key=lambda pair: sum(one.score(*pair) for one in choosers))

    factor, choice = 8.0, SERVED
    for _ in range(2):
        factor, choice = best((one, choice) for one in FACTORS)
        factor, choice = best((factor, choice._replace(weight=one)) for one in WEIGHTS)
        for steps in _steps():
            factor, choice = best((factor, _with(choice, **step)) for step in steps)
    return factor, choice


def _steps() -> list[list[dict[str, float]]]:
    """Each parameter of the rule, and what it may be."""
    of = {"prior_events": PRIOR_EVENTS, "turn": TURNS, "half_life_ms": HALF_LIVES_MS}
    return [[{name: value} for value in values] for name, values in of.items()]


def _with(choice: Choice, **changed: float) -> Choice:
    return choice._replace(rule=replace(choice.rule, **changed))


def report(replay: Replay, questions: Sequence[Question], chosen: Mapping[float, Choices]) -> list[dict[str, Any]]:
    """Each way's hit@20, and by how much it is more than that of the one that it stands beside.

    Args:
        replay: of the data set.
        questions: of the part to report.
        chosen: of each factor with which intent is measured, what is to be reported.
    """
    without = hits(questions, (replay.candidates(one, 0.0).rows for one in questions))
    rows = [_row("nothing of the session", without)]
    for factor in FACTORS:
        found = [replay.candidates(one, factor) for one in questions]
        plain = hits(questions, (one.rows for one in found))
        rows.append(_row(f"session folded in, {factor:g} times", plain, without))
        for called, choice in chosen.get(factor, {}).items():
            sessions_of = (replay.session(one, choice.rule) for one in questions)
            told = zip(found, questions, sessions_of, strict=True)
            rows.append(_row(f"... {called}", hits(questions, (replay.reordered(*one, choice) for one in told)), plain))
    return rows


def _row(way: str, hit: NDArray[np.bool_], beside: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    more = hit.astype(float) - (hit if beside is None else beside).astype(float)
    error = float(more.std() / np.sqrt(len(more)))
    return {"way": way, "hit@20": float(hit.mean()), "more": float(more.mean()), "error": error}


class Measured(NamedTuple):
    """A data set, ready to be chosen for and reported on."""

    name: str
    parts: Parts
    replay: Replay
    chooser: Chooser


def prepared(name: str, path: Path, chosen: argparse.Namespace) -> Measured:
    """Read a data set, and fit the model."""
    settings = Settings(factors=chosen.factors, seed=chosen.seed, threads=chosen.threads)
    parts = sessions.read_parts(path, settings, chosen.users_share, chosen.questions)
    replay = Replay(parts, chosen.clusters, settings)
    return Measured(name, parts, replay, Chooser(replay, parts.choosing))


def run(one: Measured, *, only_served: bool) -> dict[str, Any]:
    """One data set's figures; without choosing anything where only what is served is asked for."""
    chooser = one.chooser
    if only_served:
        return _figures(one, {SESSION_FACTOR: {"as it is served": SERVED}})
    choices: dict[float, Choices] = {
        factor: {
            "by its own categories": chooser.choice(factor, related=False),
            "by kinship": chooser.choice(factor, related=True),
        }
        for factor in dict.fromkeys((1.0, SESSION_FACTOR, chooser.factor()))
    }
    choices[SESSION_FACTOR]["as it is served"] = SERVED
    return _figures(one, choices)


def _figures(one: Measured, choices: Mapping[float, Choices]) -> dict[str, Any]:
    return {
        "data": one.name,
        "chosen": [_told(factor, it) for factor, of_factor in choices.items() for it in of_factor.values()],
        "categories": len(np.unique(one.replay.categories)),
        "questions": [len(one.parts.choosing), len(one.parts.reporting)],
        "ways": report(one.replay, one.parts.reporting, choices),
    }


def _told(factor: float, choice: Choice) -> dict[str, Any]:
    return {"factor": factor, **choice._asdict(), "rule": vars(choice.rule)}


def _show(found: dict[str, Any]) -> None:
    print(f"\n{found['data']}: {found['categories']} categories, questions (choosing, reporting) {found['questions']}")
    print("\n".join(f"chosen: {one}" for one in found["chosen"]) + "\n")
    rows = [
        (one["way"], f"{one['hit@20']:.4f}", f"{one['more']:+.4f} ± {one['error']:.4f}" if at else "")
        for at, one in enumerate(found["ways"])
    ]
    tables.show(("way", "hit@20", "more"), rows)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taobao", type=Path, help="Parquet with user_id, item_id, event_type, timestamp")
    parser.add_argument("--no-demo", action="store_true", help="leave the demo's data out")
    parser.add_argument("--only-served", action="store_true", help="choose nothing; measure what is served")
    parser.add_argument("--clusters", type=int, default=0, help="of item vectors, instead of a data set's categories")
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--users-share", type=float, default=1.0)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        data: dict[str, Path] = {}
        if not chosen.no_demo:
            data["demo"] = demo_data.materialise(Path(work) / "demo").dataset
        if chosen.taobao is not None:
            data["taobao"] = Path(work) / "taobao.toml"
            data["taobao"].write_text(sessions.TAOBAO.format(file=chosen.taobao.absolute()), encoding="utf-8")
        measured = [prepared(name, path, chosen) for name, path in data.items()]
        found = [run(one, only_served=chosen.only_served) for one in measured]
        choosers = [one.chooser for one in measured]
        for_all = None if chosen.only_served else _told(*choose_for_all(choosers))
    if chosen.json:
        print(json.dumps({"machine": tables.machine(), "data": found, "for_all": for_all}))
        return
    for one in found:
        _show(one)
    if for_all is not None:
        print(f"\nchosen for all: {for_all}")


if __name__ == "__main__":
    main()
