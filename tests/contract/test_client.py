"""Both clients against a real gRPC server that answers from a script: what one promises, the other keeps."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_router import ScriptedRouter, scripted_router

from trunkshow.client import AsyncClient, Client, Interaction, Reason, Rung, SlateRequest
from trunkshow.cluster import ShardState
from trunkshow.errors import DeadlineExceeded, InvalidArgument, NotFound, TrunkshowError, Unavailable

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


class Blocking:
    """The blocking client, awaited, so that one test can drive both."""

    def __init__(self, target: str) -> None:
        self._client = Client(target, deadline_ms=5_000)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: asyncio.to_thread(getattr(self._client, name), *args, **named)

    async def batch(self, requests: list[SlateRequest]) -> list[tuple[int, Any]]:
        return await asyncio.to_thread(lambda: list(self._client.recommend_batch(requests)))


class Awaiting:
    """The asyncio client."""

    def __init__(self, target: str) -> None:
        self._client = AsyncClient(target, deadline_ms=5_000)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def batch(self, requests: list[SlateRequest]) -> list[tuple[int, Any]]:
        return [answer async for answer in self._client.recommend_batch(requests)]


@pytest.fixture
def router() -> Iterator[ScriptedRouter]:
    with scripted_router() as router:
        yield router


@pytest.fixture(params=[Blocking, Awaiting])
async def client(request: pytest.FixtureRequest, router: ScriptedRouter) -> AsyncIterator[Any]:
    client = request.param(router.target)
    yield client
    await client.close()


async def test_every_field_of_a_slate_arrives(client: Any) -> None:
    """A slate's carousels, items and receipt arrive with every field that the router set."""
    slate = await client.recommend("bob")
    first, receipt = slate.carousels[0], slate.receipt
    assert (first.id, first.title, first.source, first.rung) == ("for-you", "For you", "ials", Rung.SNAPSHOT)
    assert (first.items[0].item_id, first.items[0].score, first.items[0].reason) == ("hat", 0.75, "Matches your taste")
    assert [carousel.id for carousel in slate.carousels] == ["for-you", "popular"]
    assert receipt.reasons == (Reason.SHARD_LATE, Reason.PARTITION_MISSING)
    assert (receipt.request_id, receipt.rung, receipt.snapshot_version) == ("r-1", Rung.SNAPSHOT, "v1")
    assert (receipt.partitions_asked, receipt.partitions_answered, receipt.elapsed_ms) == (4, 3, 12.5)
    assert [(stage.name, stage.ms) for stage in receipt.stages] == [("predict", 8.25), ("shard", 10.5)]


async def test_every_argument_reaches_the_router(client: Any, router: ScriptedRouter) -> None:
    """Each argument of `recommend` is written into the field of the contract that it stands for."""
    await client.recommend(
        "bob",
        surface="basket",
        items=["hat"],
        carousels=["popular"],
        items_per_carousel=7,
        exclude=["coat"],
        categories=["hats"],
        attributes={"brand": ["a", "b"]},
        include_unavailable=True,
        include_seen=True,
    )
    asked = router.seen[0].request
    assert (asked.user_id, asked.surface, asked.items_per_carousel, asked.include_seen) == ("bob", "basket", 7, True)
    assert (list(asked.context_item_ids), list(asked.carousels)) == (["hat"], ["popular"])
    assert list(asked.exclude_item_ids) == ["coat"]
    assert (list(asked.filters.categories), asked.filters.include_unavailable) == (["hats"], True)
    assert [(one.name, list(one.values)) for one in asked.filters.attributes] == [("brand", ["a", "b"])]


async def test_the_request_id_travels_as_metadata(client: Any, router: ScriptedRouter) -> None:
    """A caller's request id reaches the router as `x-request-id`, and none is sent where none is given."""
    await client.recommend("bob", request_id="mine")
    await client.recommend("bob")
    assert [call.metadata.get("x-request-id") for call in router.seen] == ["mine", None]


async def test_the_deadline_of_a_call_wins(client: Any, router: ScriptedRouter) -> None:
    """A call's own deadline is gRPC's deadline of that call; the client's holds where the call has none."""
    await client.recommend("bob", deadline_ms=900)
    await client.recommend("bob")
    # On the wire gRPC rounds a deadline up, by about a hundredth.
    assert 0 < router.seen[0].time_remaining_s < 1
    assert 1 < router.seen[1].time_remaining_s < 5.1


async def test_a_batch_answers_every_request_with_its_index(client: Any, router: ScriptedRouter) -> None:
    """A batch gives every request's slate with its place, in whatever order they arrive."""
    answers = await client.batch([SlateRequest("a"), SlateRequest("b", items=("hat",)), SlateRequest("c")])
    assert sorted(index for index, _ in answers) == [0, 1, 2]
    assert all(slate.carousels for _, slate in answers)
    assert [one.user_id for one in router.seen[0].request.requests] == ["a", "b", "c"]


async def test_similar_items_arrive(client: Any, router: ScriptedRouter) -> None:
    """`similar` gives the carousel and its receipt, and asks for as many items as it was told."""
    answer = await client.similar("hat", 3)
    assert (answer.carousel.items[0].item_id, answer.receipt.request_id) == ("cap", "r-2")
    assert (router.seen[0].request.item_id, router.seen[0].request.items) == ("hat", 3)


async def test_features_arrive_with_what_may_be_missing(client: Any, router: ScriptedRouter) -> None:
    """Users and items in their order, counts by name, and of whom nothing is told, with why."""
    answer = await client.features(["ann", "bob"], ["coat"], request_id="mine")
    ann, bob = answer.users
    assert (ann.known, ann.last_price, ann.last_category, ann.watermark) == (True, 19.5, "hats [warm]", "log/0:7")
    assert [(one.window, one.complete, one.of("click")) for one in ann.windows.values()] == [
        ("1h", True, 3),
        ("1d", False, 1234),
    ]
    assert dict(ann.windows["1d"].counts) == {"click": 1234, "content-impression": 2, "other": 1}
    assert (ann.windows["1d"].of(Interaction.CONTENT_IMPRESSION), ann.windows["1d"].of("view")) == (2, 0)
    assert (bob.missing, bob.known, dict(bob.windows), bob.moment) == (Reason.SHARD_LATE, False, {}, None)
    assert (answer.items[0].id, answer.items[0].known, answer.items[0].last_price) == ("coat", False, None)
    assert (answer.request_id, [one.replica for one in answer.attempts]) == ("r-3", ["10.0.0.1:7451"])
    asked = router.seen[0]
    assert (list(asked.request.user_ids), list(asked.request.item_ids)) == (["ann", "bob"], ["coat"])
    assert asked.metadata["x-request-id"] == "mine"


@pytest.mark.parametrize("given", [{"users": "ann"}, {"items": "coat"}])
async def test_one_id_is_no_list_of_ids(client: Any, given: dict[str, str]) -> None:
    """It would be asked for letter by letter."""
    with pytest.raises(TypeError):
        await client.features(**given)


async def test_the_status_arrives(client: Any) -> None:
    """The cluster's status gives every shard as the router sees it, and the rungs served."""
    status = await client.status()
    up, down = status.shards
    assert (status.covered, status.requests, status.rungs[Rung.SNAPSHOT]) == (True, 20, 40)
    assert (up.state, up.generations[0].warm, up.generations[0].refused) == (ShardState.READY, (0, 1, 2, 3), (7,))
    assert (down.reachable, down.state, down.last_error) == (False, ShardState.UNSPECIFIED, "UNAVAILABLE")


@pytest.mark.parametrize("kind", [InvalidArgument, NotFound, DeadlineExceeded])
async def test_a_status_becomes_the_exception_that_the_router_raised(
    client: Any, router: ScriptedRouter, kind: type[TrunkshowError]
) -> None:
    """An outcome arrives as its own class, with message, reason and field."""
    router.answers["Recommend"] = kind("no such surface", field="surface", reason="SURFACE_UNKNOWN")
    with pytest.raises(kind) as caught:
        await client.recommend("bob")
    assert (caught.value.message, caught.value.field) == ("no such surface", "surface")
    assert caught.value.reason == "SURFACE_UNKNOWN"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"user_id": "u\ud800"}, "user_id"),
        ({"user_id": "bob", "items_per_carousel": -1}, "items_per_carousel"),
        ({"user_id": "bob", "items_per_carousel": 2**32}, "items_per_carousel"),
        ({"user_id": "bob", "items": ["hat", "\ud800"]}, "context_item_ids"),
        ({"user_id": "bob", "categories": ["\ud800"]}, "filters.categories"),
        ({"user_id": "bob", "attributes": {"brand": ["\ud800"]}}, "filters.attributes.values"),
        ({"user_id": "bob", "request_id": "two\nlines"}, "x-request-id"),
    ],
)
async def test_what_cannot_be_sent_is_an_invalid_argument(
    client: Any, router: ScriptedRouter, arguments: dict[str, Any], field: str
) -> None:
    """An argument that no message can hold raises InvalidArgument with the field at fault; nothing is sent."""
    with pytest.raises(InvalidArgument, match="cannot be sent") as caught:
        await client.recommend(**arguments)
    assert (caught.value.field, router.seen) == (field, [])


async def test_similar_items_of_what_cannot_be_sent(client: Any) -> None:
    """`similar` refuses what no message can hold as `recommend` does."""
    with pytest.raises(InvalidArgument) as caught:
        await client.similar("hat", -1)
    assert caught.value.field == "items"


async def test_a_batch_of_what_cannot_be_sent(client: Any) -> None:
    """One line of a batch that no message can hold refuses the batch."""
    with pytest.raises(InvalidArgument) as caught:
        await client.batch([SlateRequest("bob"), SlateRequest("u\ud800")])
    assert caught.value.field == "user_id"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("target", ["", "\ud800:1"])
async def test_a_target_that_is_no_address_is_an_invalid_argument(kind: Any, target: str) -> None:
    """A target that gRPC cannot even write down is refused where the client is made."""
    with pytest.raises(InvalidArgument, match=r"^target: "):
        kind(target)


async def test_an_error_in_a_batch_becomes_an_exception(client: Any, router: ScriptedRouter) -> None:
    """A batch that is refused raises the same class as a single request."""
    router.answers["Recommend"] = InvalidArgument("too many", field="requests")
    with pytest.raises(InvalidArgument, match="too many"):
        await client.batch([SlateRequest("a")])


async def test_an_answer_that_is_late_is_a_deadline_exceeded(client: Any, router: ScriptedRouter) -> None:
    """Where the router does not answer in time the caller gets DeadlineExceeded, on time."""
    released = threading.Event()
    router.answers["Recommend"] = lambda: released.wait(60)
    try:
        with pytest.raises(DeadlineExceeded):
            await client.recommend("bob", deadline_ms=30)
    finally:
        released.set()


@pytest.mark.parametrize("kind", [Blocking, Awaiting])
async def test_nobody_there_is_unavailable(kind: Any) -> None:
    """Where nobody listens a call raises Unavailable, and so does connecting."""
    with scripted_router() as gone:
        target = gone.target
    client = kind(target)
    with pytest.raises(Unavailable):
        await client.recommend("bob")
    with pytest.raises(Unavailable, match=target):
        await client.connect(0.05)
    await client.close()


@pytest.mark.parametrize("kind", [Blocking, Awaiting])
async def test_a_restarted_router_is_found_within_seconds(kind: Any) -> None:
    """A client that lost its router finds the next one on the same address without being made anew."""
    with scripted_router() as first:
        client = kind(first.target)
        await client.recommend("bob")
    with pytest.raises(Unavailable):
        await client.recommend("bob")
    with scripted_router(first.target):
        await client.connect(3)
        assert (await client.recommend("bob")).carousels
    await client.close()


async def test_a_rung_of_a_newer_router_does_not_break_the_client(client: Any, router: ScriptedRouter) -> None:
    """A rung and a reason that this client does not know arrive as UNSPECIFIED, and the items arrive."""
    newer = type(router.answers["Recommend"])()
    newer.CopyFrom(router.answers["Recommend"])
    newer.carousels[0].rung, newer.receipt.reasons[0] = 99, 99
    router.answers["Recommend"] = newer
    slate = await client.recommend("bob")
    assert (slate.carousels[0].rung, slate.receipt.reasons[0]) == (Rung.UNSPECIFIED, Reason.UNSPECIFIED)
    assert slate.carousels[0].items


def test_leaving_a_batch_early_cancels_the_call(router: ScriptedRouter) -> None:
    """An abandoned batch does not keep its call open."""
    with Client(router.target) as client:
        answers = client.recommend_batch([SlateRequest(str(number)) for number in range(50)], deadline_ms=5_000)
        assert next(iter(answers))[0] == 49
        answers.close()  # type: ignore[attr-defined]
        assert client.recommend("bob", deadline_ms=2_000).carousels


def test_the_python_example_prints_a_slate(router: ScriptedRouter) -> None:
    """The Python example asks the router at TRUNKSHOW_TARGET and prints titles, items and the receipt."""
    printed = run_example([sys.executable, str(EXAMPLES / "python" / "recommend.py"), "bob", "hat"], router)
    assert "For you" in printed
    assert "scarf" in printed
    assert "SNAPSHOT from snapshot v1" in printed
    assert list(router.seen[0].request.context_item_ids) == ["hat"]


def test_the_node_example_prints_a_slate(router: ScriptedRouter) -> None:
    """The Node example loads the contract at run time, asks, and prints titles, items and the receipt."""
    missing = node_is_missing()
    if missing:
        pytest.skip(missing)
    printed = run_example(["node", str(EXAMPLES / "node" / "index.js"), "bob", "hat"], router)
    assert "For you" in printed
    assert "scarf" in printed
    assert "RUNG_SNAPSHOT from snapshot v1" in printed
    assert list(router.seen[0].request.context_item_ids) == ["hat"]


def test_the_recording_example_runs(router: ScriptedRouter) -> None:
    """What it records arrives, and it says so."""
    printed = run_example([sys.executable, str(EXAMPLES / "python" / "record.py"), "bob", "hat", "cart"], router)
    (event,) = router.events
    assert (event.user_id, event.item_id) == ("bob", "hat")
    assert f"recorded 1 as {event.event_id}" in printed


def run_example(command: list[str], router: ScriptedRouter) -> str:
    environment = {**os.environ, "TRUNKSHOW_TARGET": router.target, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def node_is_missing() -> str:
    """Why the Node example cannot run here; empty where it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    check = "require.resolve('@grpc/grpc-js'); require.resolve('@grpc/proto-loader')"
    found = subprocess.run(["node", "-e", check], cwd=EXAMPLES / "node", capture_output=True, timeout=60, check=False)
    return "" if found.returncode == 0 else "the example's modules are not installed: cd examples/node && npm install"
