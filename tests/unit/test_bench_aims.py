"""Claims about what benchmarks make of their figures: ratios, aims, memory per user, the section that is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from datasets import Built

from bench import aims, ladder, ratios, recall
from bench.__main__ import TITLE, replaced
from bench.memory import Held, per_user
from bench.opening import noticed
from bench.subjects import ECHO, FORWARDER, ROUTER, SHARD
from cli.bench.outcome import Outcome
from cli.bench.users import of_snapshot
from trunkshow.snapshot.reader import Snapshot


def test_a_ratio_is_of_two_measured_in_one_turn() -> None:
    """A machine that was half as fast in one turn changes nothing: the ratio of the medians would be 0.75."""
    assert ratios.of_turns([50.0, 10.0, 60.0], [100.0, 20.0, 80.0]) == {"median": 0.5, "least": 0.5, "most": 0.75}


def test_turns_that_cannot_tell_count_for_nothing() -> None:
    assert ratios.of_turns([math.nan, 3.0], [1.0, 2.0])["median"] == 1.5
    assert ratios.spread([math.nan]) == {"median": None, "least": None, "most": None}


def test_a_quantile_is_the_turns_median_or_of_all_together_where_one_is_too_short() -> None:
    long = [[float(ms) for ms in range(1, 101)], [float(ms) for ms in range(101, 201)]]
    assert ratios.median_quantile(long, 0.99) == 149.0
    assert ratios.median_quantile([long[0][:50], long[0][50:]], 0.99) == 99.0
    assert ratios.median_quantile([[1.0], [2.0]], 0.99) is None


def results() -> dict[str, Any]:
    """What the programs give, every aim just kept."""
    named = {f"{SHARD} ÷ {ECHO}": 0.6, f"{ROUTER} ÷ {FORWARDER}": 0.7}
    beside = {"milvus": 2.0, "kserve": 2.0, "jina": 3.0, "pgvector": 1.2}
    rows = {name: [row(ratio), row(ratio + 1)] for name, ratio in beside.items()}
    return {
        "ladder": {
            "ratios": {name: {"median": value} for name, value in named.items()},
            "half_load": [
                {"subject": ROUTER, "ratio": {"median": 1.5}},
                {"subject": SHARD, "ratio": {"median": 9.0}},
            ],
        },
        "recall": {"recall": 0.99},
        "memory": {"bytes_per_user": 400.0},
        "opening": {"open_s": {"median": 1.0}, "ratio": {"median": 1.5}},
        "peers": {
            "subjects": {
                **{name: {"rows": found} for name, found in rows.items()},
                "redis": {"rows": [row(0.4), row(1.0, batch=50)]},
            }
        },
        "build": {"by_one_fit": 1.3, "peak_pss_bytes": 6 << 30},
        "served": [{"recall@20": 0.17, "ndcg@20": 0.2}, {"recall@20": 0.187, "ndcg@20": 0.158}],
    }


def row(ratio: float, batch: int = 0) -> dict[str, Any]:
    return {"batch": batch, "callers": 8, "ours_to_it": {"median": ratio}}


def test_aims_that_are_just_kept_are_kept() -> None:
    judged = aims.judge(results())
    assert len(judged) == len(aims.AIMS) == 17
    assert [one.aim.what for one in judged if not one.kept] == []


WORSE: dict[str, Callable[[dict[str, Any]], object]] = {
    "shard ÷ bare echo": lambda found: found["ladder"]["ratios"][f"{SHARD} ÷ {ECHO}"].update(median=0.59),
    "p99 at half load": lambda found: found["ladder"]["half_load"][0]["ratio"].update(median=1.51),
    "Milvus": lambda found: found["peers"]["subjects"]["milvus"]["rows"].append(row(1.9)),
    "50 users a call": lambda found: found["peers"]["subjects"]["redis"]["rows"].append(row(0.9, batch=50)),
    "bytes per user": lambda found: found["memory"].update(bytes_per_user=401.0),
    "recall@20 of the whole path": lambda found: found["recall"].update(recall=0.98),
    "the build's peak": lambda found: found["build"].update(peak_pss_bytes=7 << 30),
    "NDCG@20": lambda found: found["served"][1].update({"ndcg@20": 0.157}),
}


@pytest.mark.parametrize("what", WORSE)
def test_an_aim_that_is_missed_is_told_as_that_and_no_other(what: str) -> None:
    """Of a peer the way of asking counts in which ours does worst."""
    found = results()
    WORSE[what](found)
    missed = [one for one in aims.judge(found) if not one.kept]
    assert len(missed) == 1 and what in missed[0].aim.what and missed[0].words == "**not kept**"


def test_what_was_not_measured_is_not_called_kept() -> None:
    """Nor is a peer that did not start, nor a ratio of turns that were too short."""
    found = results()
    del found["memory"]
    found["peers"]["subjects"]["jina"] = {"failed": "no such package"}
    found["opening"]["ratio"]["median"] = None
    unknown = [one for one in aims.judge(found) if one.kept is None]
    assert len(unknown) == 3 and {one.words for one in unknown} == {"not measured in this run"}
    assert aims.markdown(aims.judge({})).count("not measured in this run") == len(aims.AIMS)


def test_memory_per_user_leaves_out_what_histories_are_longer() -> None:
    """Of 1,000 users more at 300 bytes each, whose histories have 5,000 bytes more."""
    small = Held(100, 20_000, 0, 50e6)
    large = replace(small, users=1100, history_bytes=25_000, rss_bytes=50e6 + 1000 * 300 + 5000)
    assert per_user(large, small) == 300


def test_what_is_noticed_of_an_opening_is_what_was_due_meanwhile() -> None:
    """A hundred and more requests before at 1 ms, as many meanwhile at 5 ms, and slow ones after it was warm."""
    latencies = [1.0] * 150 + [5.0] * 150 + [900.0] * 50
    dues = [10.0] * 150 + [20.5] * 150 + [30.0] * 50
    found = noticed(Outcome(9, latencies_ms=latencies, due_s=dues), promoted=20.0, seen=20.2, warm=22.0)
    assert (found["before_ms"], found["meanwhile_ms"]) == (1.0, 5.0)


def test_exact_search_leaves_out_what_the_user_had(built: Built, snapshot: Snapshot) -> None:
    """And finds the largest inner products of all the others."""
    resident = of_snapshot(snapshot, 8)[0]
    home = snapshot.open_partition(resident.partition)
    user = home.user(resident.user)
    assert user is not None
    best = recall.best(snapshot, home, resident.user)
    ids = [snapshot.catalogue.id(row) for row in range(len(snapshot.catalogue))]
    scores = dict(zip(ids, (snapshot.ials.vectors @ user.vector).tolist(), strict=True))
    had = {snapshot.catalogue.id(row) for row in user.items.tolist()}
    others = [score for item, score in scores.items() if item not in best | had]
    assert len(best) == recall.K and not best & had
    assert min(scores[item] for item in best) >= max(others)
    home.close()


def test_users_come_from_every_partition_in_turn(snapshot: Snapshot) -> None:
    found = of_snapshot(snapshot, 8)
    assert len(found) == len({one.user for one in found}) == 8
    assert np.bincount([one.partition for one in found]).tolist() == [2, 2, 2, 2]


def test_the_section_is_replaced_and_the_others_stay() -> None:
    text = f"# Results\n\nPreface.\n\n## One\n\n1\n\n{TITLE}\n\nold\n\n### of it\n\n## Two\n\n2\n"
    assert replaced(text, f"{TITLE}\n\nnew\n") == text.replace("old\n\n### of it", "new").replace(
        "new\n\n##", "new\n\n##"
    )


def test_the_section_comes_first_where_there_was_none() -> None:
    assert replaced("# Results\n\nPreface.\n\n## One\n\n1\n", f"{TITLE}\n\nnew\n") == (
        f"# Results\n\nPreface.\n\n{TITLE}\n\nnew\n\n## One\n\n1\n"
    )
    assert replaced(f"# Results\n\n{TITLE}\n\nold\n", f"{TITLE}\n\nnew\n") == f"# Results\n\n{TITLE}\n\nnew\n"


def test_a_few_slates_of_thousands_may_be_lesser_and_more_say_that_the_machine_is_too_busy() -> None:
    """A short slate or a lower rung beside 3,000 whole ones is told, and does not throw a run of ten minutes away."""
    quiet, loud = {"answered": 1000, "lesser": 10}, {"answered": 1000, "lesser": 11}
    assert not ladder.too_busy({"peak": [quiet], "half_load": [quiet]})
    assert ladder.too_busy({"peak": [quiet], "half_load": [loud]})
