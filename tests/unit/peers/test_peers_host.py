"""A host keeps the contract with a peer: loads once, turns it to the recall asked for, counts what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from trivial_peer import Subject

from bench.peers import data, loop
from bench.peers.data import TOP, Data
from bench.peers.host import Host


@pytest.fixture
def made_up() -> Data:
    """300 items and 100 users."""
    draw = np.random.default_rng(0)
    items, queries = (draw.standard_normal((count, 8)).astype(np.float32) for count in (300, 100))
    exact = data.best(items, queries, [np.empty(0, np.int32)] * len(queries))
    unseen = data.best(items, queries, [row[:2] for row in exact])
    users = tuple((str(user), 0) for user in range(len(queries)))
    return Data(items, queries, exact, unseen, users, tuple(map(str, range(len(items)))), "v1", "store")


async def test_a_peer_loads_once_and_again_where_the_data_is_another(made_up: Data, tmp_path: Path) -> None:
    """What was loaded before of other data, or in another way, is thrown away."""
    state = tmp_path / "state"
    first = await Host(Subject(state, made_up), made_up, state).do("start")
    (state / "index").write_text("kept", encoding="utf-8")
    second = await Host(Subject(state, made_up), made_up, state).do("start")
    assert (first["fresh"], second["fresh"]) == (True, False)
    assert (state / "index").read_text(encoding="utf-8") == "kept"
    other = Data(made_up.items * 2, *list(vars(made_up).values())[1:])
    assert (await Host(Subject(state, other), other, state).do("start"))["fresh"]
    changed = Subject(state, other)
    changed.keeps = "another file"
    assert (await Host(changed, other, state).do("start"))["fresh"]
    assert (state / "index").read_text(encoding="utf-8") == "loaded"


async def test_a_peer_is_turned_to_the_least_that_finds_enough(made_up: Data, tmp_path: Path) -> None:
    """Eight of ten need eight."""
    host = Host(Subject(tmp_path, made_up), made_up, tmp_path)
    await host.do("start")
    swept = await host.do("sweep", aim=0.75)
    assert (swept["name"], swept["knob"], swept["recall"]) == ("found", 8, pytest.approx(0.8))
    assert [one.knob for one in swept["tried"]] == [1, 2, 4, 8, 6, 7]
    assert (await host.do("turn", knob=3))["recall"] == pytest.approx(0.3)


async def test_who_leaves_out_what_was_had_is_compared_with_answers_without_it(made_up: Data, tmp_path: Path) -> None:
    """The two best of everybody are had: of the ten best unseen, eight are among the ten best."""
    peer = Subject(tmp_path, made_up)
    await peer.turn(TOP)
    assert await loop.recalled(peer, made_up) == pytest.approx(1.0)
    peer.unseen = True
    assert await loop.recalled(peer, made_up) == pytest.approx(0.8)


async def test_wrong_answers_are_counted_and_as_many_are_in_flight_as_callers(made_up: Data, tmp_path: Path) -> None:
    """In batches every other answer of this peer is none."""
    peer = Subject(tmp_path, made_up)
    host = Host(peer, made_up, tmp_path)
    await host.do("start")
    singles = await host.do("measure", callers=4, seconds=0.3, batch=0)
    assert singles["answers"] > 0
    assert singles["wrong"] == 0
    assert peer.in_flight_most == 4
    batches = await host.do("measure", callers=1, seconds=0.3, batch=10)
    assert batches["answers"] % 10 == 0
    assert batches["wrong"] * 2 == batches["answers"]


def test_items_made_as_long_as_one_another_are_nearest_in_the_order_of_their_products(made_up: Data) -> None:
    """Inner product and distance agree on the best."""
    items, queries = data.of_one_length(made_up.items), data.with_zero(made_up.queries)
    distances = np.linalg.norm(queries[:, None] - items[None], axis=2)
    assert np.array_equal(np.argsort(distances, axis=1)[:, :TOP], made_up.exact)
