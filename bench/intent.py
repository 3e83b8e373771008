"""Next-item hit@20 within sessions, by the same factor model without and with the user's present intent.

    nothing of the session      the vector of the history alone: a snapshot's
    session folded in           the same equations with the session's items as further events of weight 1, as the rung
                                FRESH serves it; and of the weight that did best, so that intent is held against that
    ... and intent              the 300 best candidates of the line above, in the order of `trunkshow.stream.ranking`

The model is fitted on the first 80 % of the events. Weights and rules are chosen on sessions that begin in the next
10 %, one after the other, and reported on those of the last 10 %, in the order of time; nothing is fitted again. "More"
is than without the session, and of the lines with intent than of the line above; ± is the standard error of that
difference, question by question. Which items the session had is known, and they are not proposed again. Where a data
set has no categories, an item's category is its vector's cluster.

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
from bench.sessions import Parts, Question
from builder.kinship import kinship
from cli import demo_data
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Floats, Rows, Settings
from trunkshow.stream.intent import Intent, IntentRule, Interest, Kinship, Usual, present_intent
from trunkshow.stream.ranking import by_intent

K, CANDIDATES = 20, 300
SESSION_WEIGHTS = (1.0, 4.0, 16.0, 64.0)
WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
PRIOR_EVENTS = (1.0, 2.0, 5.0, 10.0)
TURNS = (0.01, 0.05, 0.2)
HALF_LIVES_MS = (600_000.0, 1_800_000.0, 7_200_000.0)
SHOP_EVENTS = 20.0
"""Events with which the whole shop's mix of categories stands in a user's usual one."""


class Found(NamedTuple):
    """The model's candidates for one question, best first."""

    rows: list[int]
    scores: list[float]


class Choice(NamedTuple):
    """What is chosen of ranking by intent."""

    weight: float = 0.5
    rule: IntentRule = IntentRule()
    related: bool = True


class Replay:
    """A model, its items' categories, and what users usually do."""

    def __init__(self, parts: Parts, clusters: int, settings: Settings) -> None:
        training = parts.trained.training
        self._model = ImplicitALS.open(ImplicitALS.fit(training))
        has_categories = (training.categories >= 0).any()
        self.categories: Rows = (
            training.categories
            if has_categories and not clusters
            else sessions.clusters(self._model.vectors, clusters or 100, settings.seed)
        )
        worth = np.bincount(training.items, np.maximum(training.weights, 0), len(self.categories))
        self._mix = self._counts(np.arange(len(worth)), worth) + 1e-3
        self._mix /= self._mix.sum()
        related = kinship(training.users, training.items, training.times, self.categories).tolist()
        self._kinship: Kinship = lambda one, other: float(related[one][other])

    def candidates(self, question: Question, session_weight: float) -> Found:
        """The best items for a history and a session whose items count as events of a weight."""
        rows = np.concatenate([question.history, question.session])
        worth = np.concatenate([question.weights, np.full(len(question.session), session_weight, np.float32)])
        rows, where = np.unique(rows, return_inverse=True)
        vector = self._model.equations.solve(rows.astype(np.int32), np.bincount(where, worth).astype(np.float32))
        scores: Floats = self._model.vectors @ vector
        scores[question.session] = -np.inf
        best = np.argpartition(-scores, CANDIDATES)[:CANDIDATES]
        best = best[np.argsort(-scores[best], kind="stable")]
        return Found(best.tolist(), scores[best].tolist())

    def usual(self, question: Question) -> Usual:
        """The user's usual mix of categories: of the history, drawn towards the shop's."""
        own = self._counts(question.history, np.maximum(question.weights, 0))
        shares = ((own + SHOP_EVENTS * self._mix) / (own.sum() + SHOP_EVENTS)).tolist()
        return lambda category: float(shares[category])

    def intent(self, question: Question, rule: IntentRule) -> Intent:
        """What the user is doing when the next item is taken."""
        lately = [Interest(time, int(self.categories[item])) for time, item in question.lately if item >= 0]
        return present_intent(lately, question.now_ms, self.usual(question), rule)

    def reordered(self, found: Found, intent: Intent, choice: Choice) -> list[int]:
        """The candidates by an intent."""
        related = self._kinship if choice.related else None
        order = by_intent(found.scores, self.categories[found.rows].tolist(), intent, choice.weight, related)
        return [found.rows[at] for at in order]

    def _counts(self, items: NDArray[Any], worth: NDArray[Any]) -> NDArray[np.float64]:
        known = self.categories[items] >= 0
        counts: NDArray[np.float64] = np.bincount(
            self.categories[items][known], worth[known], int(self.categories.max()) + 1
        ).astype(np.float64)
        return counts


def hits(questions: Sequence[Question], orders: Iterable[list[int]]) -> NDArray[np.bool_]:
    """(n,) whether the wanted item is among the first 20."""
    return np.array([question.wanted in order[:K] for question, order in zip(questions, orders, strict=True)], np.bool_)


def choose_session_weight(replay: Replay, questions: Sequence[Question]) -> float:
    """What an item of the session counts as, where there is no intent; the first of equals."""

    def score(weight: float) -> float:
        return float(hits(questions, (replay.candidates(question, weight).rows for question in questions)).mean())

    return max(SESSION_WEIGHTS, key=score)


def choose(replay: Replay, questions: Sequence[Question], session_weight: float) -> Choice:
    """Weight and kinship of the intent, then each parameter of its rule, then the weight again; the first of equals."""
    found = [replay.candidates(question, session_weight) for question in questions]
    intents: dict[IntentRule, list[Intent]] = {}

    def score(choice: Choice) -> float:
        if choice.rule not in intents:
            intents[choice.rule] = [replay.intent(question, choice.rule) for question in questions]
        pairs = zip(found, intents[choice.rule], strict=True)
        return float(hits(questions, (replay.reordered(*pair, choice) for pair in pairs)).mean())

    def best(choices: Iterable[Choice]) -> Choice:
        return max(choices, key=score)

    choice = best(Choice(weight, related=related) for related in (True, False) for weight in WEIGHTS)
    choice = best(_with(choice, prior_events=value) for value in PRIOR_EVENTS)
    choice = best(_with(choice, turn=value) for value in TURNS)
    choice = best(_with(choice, half_life_ms=value) for value in HALF_LIVES_MS)
    return best(choice._replace(weight=weight) for weight in WEIGHTS)


def _with(choice: Choice, **changed: float) -> Choice:
    return choice._replace(rule=replace(choice.rule, **changed))


def report(replay: Replay, questions: Sequence[Question], chosen: Mapping[float, Choice]) -> list[dict[str, Any]]:
    """Each way's hit@20, and by how much it is more than that of the one that it stands beside.

    Args:
        replay: of the data set.
        questions: of the part to report.
        chosen: of each session weight, what was chosen of ranking by intent.
    """
    without = hits(questions, (replay.candidates(one, 0.0).rows for one in questions))
    rows = [_row("nothing of the session", without)]
    for weight, choice in chosen.items():
        found = [replay.candidates(one, weight) for one in questions]
        plain = hits(questions, (one.rows for one in found))
        pairs = zip(found, (replay.intent(one, choice.rule) for one in questions), strict=True)
        reordered = hits(questions, (replay.reordered(*pair, choice) for pair in pairs))
        rows.append(_row(f"session folded in as {weight:g} events each", plain, without))
        rows.append(_row("... and intent", reordered, plain))
    return rows


def _row(way: str, hit: NDArray[np.bool_], beside: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    more = hit.astype(float) - (hit if beside is None else beside).astype(float)
    error = float(more.std() / np.sqrt(len(more)))
    return {"way": way, "hit@20": float(hit.mean()), "more": float(more.mean()), "error": error}


def run(name: str, path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """One data set's figures."""
    settings = Settings(factors=chosen.factors, seed=chosen.seed, threads=chosen.threads)
    parts = sessions.read_parts(path, settings, chosen.users_share, chosen.questions)
    replay = Replay(parts, chosen.clusters, settings)
    weights = dict.fromkeys((1.0, choose_session_weight(replay, parts.choosing)))
    choices = {weight: choose(replay, parts.choosing, weight) for weight in weights}
    return {
        "data": name,
        "chosen": [
            {"session_weight": one, "weight": it.weight, "related": it.related, **vars(it.rule)}
            for one, it in choices.items()
        ],
        "categories": len(np.unique(replay.categories)),
        "questions": [len(parts.choosing), len(parts.reporting)],
        "ways": report(replay, parts.reporting, choices),
    }


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
        found = [run(name, path, chosen) for name, path in data.items()]
    if chosen.json:
        print(json.dumps({"machine": tables.machine(), "data": found}))
        return
    for one in found:
        _show(one)


if __name__ == "__main__":
    main()
