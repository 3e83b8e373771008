"""The growth benchmark's own parts: what is made up is like what it says, what is fitted is what was put in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.growth import fitting, likeness, making, measuring, people, points, searching, wanted
from bench.growth.wanted import Wanted
from cli.plan import costs
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import open_store

SHOP = people.Shop(4000, 3000)


def test_made_up_shoppers_are_the_same_on_every_run() -> None:
    """A shop of one seed has the same interactions whenever it is drawn, of another seed others."""
    first, again, other = (_pairs(shop) for shop in (SHOP, people.Shop(4000, 3000), replace(SHOP, seed=1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nobody_has_an_item_twice() -> None:
    """An item comes once in a history."""
    pairs = _pairs(SHOP)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_histories_and_popularity_are_skewed_as_gowallas_are() -> None:
    """Median and tail of histories, and the exponent of popularity, lie near what was read off the real data."""
    told = likeness.told(likeness.made_up(people.Shop(20_000, 20_000)))
    assert 15 <= told["history p50"] <= 22  # 20 there
    assert 45 <= told["history p90"] <= 75  # 67 there
    assert 0.5 <= told["popularity exponent"] <= 0.7  # 0.61 there


def test_users_of_a_cluster_have_its_items() -> None:
    """Most of a user's items are of one cluster and those near it, which a uniform draw would not give."""
    clusters = SHOP.cluster_of
    users, items = next(people.interactions(SHOP))
    shares = []
    for user in range(200):
        of = clusters[items[users == user]]
        counts = np.bincount(of, minlength=SHOP.clusters)
        shares.append(counts.max() / counts.sum())
    assert np.mean(shares) > 0.35


def test_events_are_in_order_of_time_and_name_their_users_in_order() -> None:
    """What the builder asks of events holds: ascending times, ascending ids, rows within them."""
    events = people.events(SHOP)
    assert (np.diff(events.times) >= 0).all()
    assert events.user_ids.is_sorted()
    assert events.users.max() < len(events.user_ids)
    assert events.items.max() < len(events.item_ids)


def test_a_cost_is_fitted_that_was_put_in() -> None:
    """From exact values, the constant and each unit's part come out again."""
    asked = Wanted("bytes", ("users", "items"), lambda found: 0.0, "made up")
    at = [{"users": u, "items": i} for u, i in ((10.0, 10.0), (1000.0, 10.0), (10.0, 1000.0))]
    cost = fitting.fit(asked, at, [5 + 3 * one["users"] + 0.5 * one["items"] for one in at])
    assert cost.constant == pytest.approx(5)
    assert dict(cost.per) == pytest.approx({"users": 3, "items": 0.5})
    assert cost.worst_error < 1e-6


def test_a_power_is_fitted_that_was_put_in() -> None:
    """From exact values of a product of powers, its exponents come out again."""
    asked = Wanted("items", ("items", "partitions"), lambda found: 0.0, "made up", power=True)
    at = [{"items": i, "partitions": p} for i, p in ((10.0, 4.0), (1000.0, 4.0), (10.0, 64.0))]
    cost = fitting.fit(asked, at, [2 * one["items"] ** 0.6 * one["partitions"] ** -0.1 for one in at])
    assert cost.constant == pytest.approx(2)
    assert dict(cost.per) == pytest.approx({"items": 0.6, "partitions": -0.1})


def test_no_part_of_a_cost_is_below_nothing() -> None:
    """Where larger points happened to cost less, the part is zero, and is not taken off."""
    asked = Wanted("seconds", ("users",), lambda found: 0.0, "made up")
    cost = fitting.fit(asked, [{"users": 1.0}, {"users": 100.0}], [2.0, 1.9])
    assert cost.per["users"] == 0
    assert 1.9 <= cost.constant <= 2


def test_a_search_of_more_items_takes_longer() -> None:
    """What is measured of searches grows with what is searched, so that a cost can be fitted to it."""
    few, many = searching.measure((500, 50_000))
    assert 0 < few["ms"] < many["ms"]


def test_latencies_are_fitted_from_a_quiet_machine_alone() -> None:
    """A p99 that was measured beside other work is none; what processes hold is."""
    quiet, busy = (_point(busy_before) for busy_before in (0.02, 0.97))
    assert "p99" in fitting.fitted([quiet], _SEARCHES).by_name
    found = fitting.fitted([busy], _SEARCHES)
    assert "p99" not in found.by_name
    assert "shard memory" in found.by_name
    assert not found.quiet


def test_a_term_that_never_changed_is_beyond_what_was_measured_wherever_it_is_larger() -> None:
    """What made no difference because it was always the same may make one elsewhere."""
    asked = Wanted("bytes", ("users", "items"), lambda found: 0.0, "made up")
    cost = fitting.fit(asked, [{"users": 1.0, "items": 7.0}, {"users": 2.0, "items": 7.0}], [1.0, 2.0])
    assert cost.beyond({"users": 2.0, "items": 7.0}) == ()
    assert cost.beyond({"users": 2.0, "items": 8.0}) == ("items",)


def test_costs_come_back_from_their_file() -> None:
    """What is written is what is read."""
    one = costs.Cost("bytes", 1.0, {"users": 2.0}, {"users": (1.0, 9.0)}, 3, 0.1, "made up")
    held = costs.Costs({"x": one}, "abc", "command", {"cpus": 2}, quiet=False, history=28.0, not_measured={"y": "why"})
    assert costs.decoded(costs.encoded(held)) == held


def test_points_of_one_snapshot_stand_together() -> None:
    """A snapshot is removed after the last point that needs it: nobody else's may stand between."""
    order = [one.snapshot for one in points.chosen(points.AXES)]
    seen = [one for at, one in enumerate(order) if at == 0 or order[at - 1] != one]
    assert len(seen) == len(set(seen))


def test_a_point_without_training_has_the_factors_that_it_was_given(tmp_path: Path) -> None:
    """The snapshot is the builder's own, whole and openable, and its item factors are the made-up ones."""
    orders = making.Orders(tmp_path, users=600, items=300, partitions=4, factors=16, longer=1.0, trained=False)
    told = making.make(orders)
    snapshot = Snapshot.open(open_store(orders.store))
    assert np.array_equal(snapshot.ials.vectors, orders.shop.item_vectors(16))
    snapshot.close()
    assert told["counts"]["users"] == 600
    assert told["bytes"]["all"] == sum(size for name, size in told["bytes"].items() if name != "all")
    assert {"fit", "partition", "write", "publish"} <= set(told["cpu_seconds"])


def test_what_was_measured_before_is_left_alone(tmp_path: Path) -> None:
    """A run that goes on does not measure a point again that was written down."""
    point = points.SMALL_AXES["users"][0]
    written = tmp_path / "points" / f"{point.name}.json"
    written.parent.mkdir()
    written.write_text('{"point": "as it was"}')
    measuring.measure([point], tmp_path, resume=True, seconds=0.1, say=lambda line: None)
    assert measuring.read(tmp_path / "points") == [{"point": "as it was"}]


def test_a_point_that_the_machine_has_no_memory_for_is_written_down_as_not_measured(tmp_path: Path) -> None:
    """A hundred billion users fit nowhere: the reason is kept, and nothing is built."""
    point = replace(points.BASE, users=100_000_000_000)
    measuring.measure([point], tmp_path, resume=True, seconds=0.1, say=lambda line: None)
    (found,) = measuring.read(tmp_path / "points")
    assert "are needed" in found["not_measured"]
    assert not (tmp_path / "snapshots").exists()


_SEARCHES = [{"listed": 100.0, "ms": 0.01}, {"listed": 1000.0, "ms": 0.02}]


def _point(busy_before: float) -> dict[str, Any]:
    """A point as it is written down, of round numbers."""
    memory = {"anonymous": 1 << 20, "cpu_s": 1.0}
    return {
        "point": points.BASE.to_json(),
        "commit": "abc",
        "machine": {"cpus": 2},
        "busy_before": busy_before,
        "build": {
            "counts": {"users": 100, "items": 50, "events": 900, "partitions": 4, "items_per_partition_mean": 20.0},
            "cpu_seconds": {"fit": 1.0},
            "peak_rss_bytes": 1 << 20,
            "bytes": dict.fromkeys((*wanted.RECORDS, *wanted.INDEXES, "directory", "start"), 10) | {"all": 200},
        },
        "serving": {
            "memory": {"shard": [memory], "router": [memory]},
            "opened": {"shard": [memory], "router": [memory]},
            "cpu_ms_per_request": {"shard": 0.5, "router": 0.5},
            "load": {"half": {"p99_ms": 9.0}},
        },
    }


def _pairs(shop: people.Shop) -> np.ndarray[Any, Any]:
    return np.concatenate([np.column_stack(part) for part in people.interactions(shop)])
