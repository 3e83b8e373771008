"""`trunkshow plan`: the sums hold together, what was not measured is called so, nonsense is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import main
from cli.plan import arithmetic, command, costs, layout
from cli.plan.arithmetic import Basis
from cli.plan.costs import Cost, Costs
from cli.plan.layout import DoesNotFit, Size

SIZE = Size(
    users=1_000_000,
    items=100_000,
    requests_per_s=500,
    replicas=2,
    factors=64,
    history=30.0,
    pod_bytes=16 << 30,
)
RANGES = {
    "users": (30_000, 3_000_000),
    "users held": (30_000, 3_000_000),
    "users x factors": (30_000, 3_000_000 * 128),
    "events": (1_000_000, 100_000_000),
    "items": (10_000, 1_000_000),
    "items x factors": (10_000, 1_000_000 * 128),
    "partitions": (16, 256),
    "partitions held": (16, 256),
    "listed per partition": (300, 50_000),
    "users held x factors": (30_000, 3_000_000 * 128),
    "listed": (1000, 10_000_000),
    "listed held x factors": (1000, 10_000_000 * 128),
    "listed x factors": (1000, 10_000_000 * 128),
}


def _cost(unit: str, constant: float, per: Mapping[str, float], form: str = "sum") -> Cost:
    return Cost(unit, constant, per, {term: RANGES[term] for term in per}, 9, 0.05, f"{unit} by {', '.join(per)}", form)


_INDEXED = {"users held x factors": 4, "listed held x factors": 4}

COSTS = Costs(
    {
        "records": _cost("bytes", 0, {"users": 100, "users x factors": 5, "events": 17, "partitions": 36_000}),
        "indexes": _cost("bytes", 0, {"users x factors": 4, "listed": 4, "listed x factors": 4, "partitions": 170}),
        "catalogue": _cost("bytes", 0, {"items": 1000, "items x factors": 4}),
        "start": _cost("bytes", 100, {"items x factors": 4}),
        "directory": _cost("bytes", 500, {"users": 12}),
        "listed per partition": _cost("items", 30, {"users": 0.0, "items": 0.5, "partitions": -0.2}, "power"),
        "shard memory": _cost("bytes", 50e6, {"users held": 150, "partitions held": 9_000, **_INDEXED}),
        "router memory": _cost("bytes", 58e6, {"users": 0.1, "items": 3}),
        "shard start": _cost("seconds", 1, {"users held": 1e-5, "items": 1e-6, "partitions held": 0.016}),
        "shard request": _cost("milliseconds", 0.5, {}),
        "search": _cost("milliseconds", 0.01, {"listed per partition": 1e-5}),
        "router request": _cost("milliseconds", 0.6, {}),
        "p99": _cost("milliseconds", 10, {"listed per partition": 1e-3}),
        "build": _cost("seconds", 5, {"events": 2e-5, "items": 1e-4}),
        "build memory": _cost("bytes", 3e8, {"events": 150, "items": 6000}),
    },
    "abc",
    "made up",
    {"cpus": 2},
    quiet=True,
    history=28.0,
)


def test_a_sum_that_can_be_done_by_hand() -> None:
    """500 requests a second of 0.6 ms are 0.3 of a processor; half of one is enough, and two routers are the fewest."""
    planned = arithmetic.plan(SIZE, COSTS)
    assert planned["routers' processors"].value == pytest.approx(0.3)
    assert planned["routers"].value == 2
    assert planned["memory of a router"].value == pytest.approx(2 * (58e6 + 0.1e6 + 0.3e6) + 500 + 12e6 + 125.6e6)
    assert planned["a stored snapshot"].value > SIZE.users * (112 + 64 * 9 + 30 * 17)


def test_a_router_more_for_every_half_of_a_processor() -> None:
    """10,000 requests a second of 0.6 ms are six processors, so that twelve routers are needed."""
    planned = arithmetic.plan(replace(SIZE, requests_per_s=10_000), COSTS)
    assert planned["routers"].value == 12


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a stored snapshot", "users"),
        ("a stored snapshot", "items"),
        ("a stored snapshot", "factors"),
        ("a stored snapshot", "history"),
        ("memory of a router", "users"),
        ("memory of all", "replicas"),
        ("disk of a shard", "items"),
        ("routers' processors", "requests_per_s"),
        ("routers", "requests_per_s"),
        ("shards", "requests_per_s"),
        ("a build", "history"),
    ],
)
@given(larger=st.floats(1.05, 1000))
def test_more_never_takes_less(name: str, field: str, larger: float) -> None:
    """Growing one number of the size lets no figure that hangs on it shrink."""
    kind = type(getattr(SIZE, field))
    grown = replace(SIZE, **{field: kind(min(getattr(SIZE, field) * larger, 16 if field == "replicas" else 1e9))})
    assert arithmetic.plan(grown, COSTS)[name].value >= arithmetic.plan(SIZE, COSTS)[name].value


@given(
    users=st.integers(1, 10**10),
    items=st.integers(1, 10**9),
    requests_per_s=st.floats(0.001, 1e6),
    replicas=st.integers(1, 16),
)
def test_any_size_is_planned_or_refused(users: int, items: int, requests_per_s: float, replicas: int) -> None:
    """Shards are no fewer than replicas, have the processors, and fit their pods wherever the catalogue leaves room."""
    size = replace(SIZE, users=users, items=items, requests_per_s=requests_per_s, replicas=replicas)
    try:
        planned = arithmetic.plan(size, COSTS)
    except DoesNotFit as error:
        assert "partitions" in str(error)
        return
    shards = planned["shards"].value
    assert shards >= replicas
    assert shards * layout.LOADED >= planned["shards' processors"].value
    assert planned["partitions"].value * replicas >= shards * layout.PARTITIONS_PER_SHARD
    assert planned["partitions"].value >= users / layout.USERS_PER_PARTITION
    alone = arithmetic.plan(replace(size, users=1), COSTS)["memory of a shard"].value
    assert planned["memory of a shard"].value <= max(size.pod_bytes, 2.5 * alone)


def test_what_lies_beyond_the_measurements_is_called_so() -> None:
    """Ten times the users that were measured: figures that hang on users say so, and by how much; others do not."""
    planned = arithmetic.plan(replace(SIZE, users=30_000_000), COSTS)
    assert planned["memory of a router"].basis is Basis.EXTRAPOLATED
    assert planned["memory of a router"].beyond == {"users": 10}
    assert planned["routers' processors"].basis is Basis.MEASURED


def test_within_the_measurements_nothing_is_called_extrapolated() -> None:
    """A size between those that were measured is of measured figures alone, but for what is chosen by rule."""
    planned = arithmetic.plan(SIZE, COSTS)
    assert {one.basis for one in planned.figures} == {Basis.MEASURED, Basis.CHOSEN}
    assert [one.name for one in planned.figures if one.basis is Basis.CHOSEN] == ["partitions"]


def test_a_product_is_beyond_at_both_ends() -> None:
    """What a power says of smaller sizes than were measured is as little known as of larger ones."""
    listed = COSTS["listed per partition"]
    assert listed.beyond({"users": 30_000.0, "items": 100.0, "partitions": 64.0}) == ("items",)
    assert COSTS["directory"].beyond({"users": 5.0}) == ()


def test_a_partition_lists_no_more_than_there_is() -> None:
    """A fitted power may say more items than the catalogue has; the catalogue is the end."""
    planned = arithmetic.plan(replace(SIZE, items=10, users=1000), COSTS)
    assert planned["p99 expected"].value <= 10 + 1e-3 * 10


def test_a_catalogue_that_fills_a_pod_makes_pods_larger_and_says_so() -> None:
    """Where a shard needs more than the pod asked for, for the catalogue alone, larger pods are planned with."""
    planned = arithmetic.plan(replace(SIZE, items=100_000_000), COSTS)
    assert planned["memory of a shard"].value > SIZE.pod_bytes
    assert any("whole catalogue" in remark for remark in planned.remarks)


def test_a_latency_that_was_not_measured_is_said_to_be_missing() -> None:
    """Where latencies were measured beside other work, which says nothing, the plan has none and tells so."""
    without = replace(COSTS, by_name={name: one for name, one in COSTS.by_name.items() if name != "p99"})
    planned = arithmetic.plan(SIZE, without)
    assert "p99 expected" not in [one.name for one in planned.figures]
    assert any("no p99" in remark for remark in planned.remarks)


def test_costs_that_ship_have_everything_that_is_planned_with() -> None:
    """The file in the package can plan, and every figure that is not chosen names what was measured for it."""
    held = costs.shipped()
    planned = arithmetic.plan(replace(SIZE, history=held.history), held)
    told = command.to_json(SIZE, planned, held)
    assert held.commit
    assert held.command
    assert all(one["from"] or one["basis"] == "chosen" for one in told["figures"])


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` is one value with the size, the figures, and where they come from."""
    assert main.run(["plan", "--users", "50000", "--items", "20000", "--requests-per-second", "100", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"]["users"] == 50_000
    assert {"shards", "routers", "memory of all"} <= {one["name"] for one in told["figures"]}


def test_a_billion_is_planned_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """The largest size of the documentation comes out as a table that says what is extrapolated."""
    arguments = "plan --users 1000000000 --items 100000000 --requests-per-second 100000"
    assert main.run(arguments.split()) == 0
    said = capsys.readouterr().out
    assert "extrapolated" in said
    assert "whole catalogue" in said


@pytest.mark.parametrize(
    "wrong", ["--users 0", "--items -3", "--requests-per-second nan", "--replicas 0", "--history -1", "--factors 9999"]
)
def test_nonsense_is_refused_in_one_line(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that is none of anything ends with exit code 2 and the flag's name."""
    plain = {"--users": "1000", "--items": "100", "--requests-per-second": "10"}
    flag, value = wrong.split()
    arguments = [part for pair in {**plain, flag: value}.items() for part in pair]
    assert main.run(["plan", *arguments]) == 2
    said = capsys.readouterr().err
    assert flag.strip("-") in said
    assert said.count("\n") == 1


def test_more_than_a_snapshot_can_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten billion users in pods of one GiB would need more partitions than there are numbers: the way out is told."""
    arguments = "plan --users 10000000000 --items 1000 --requests-per-second 1 --pod-memory-gib 1"
    assert main.run(arguments.split()) == 2
    assert "pods more memory" in capsys.readouterr().err
