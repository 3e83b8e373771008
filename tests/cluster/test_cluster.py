"""A cluster of three shards, two replicas and a router answers everyone, whatever becomes of its shards."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import datasets
import grpc
import pytest
from datasets import Built
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from processes import BATCH_DEADLINE_MS, DEADLINE_MS, READY_WITHIN_S, Cluster, asking, running
from swapping import EVERYONE, own_taste_share

from trunkshow.client import AsyncClient, Client, Reason, Rung, Slate, SlateRequest
from trunkshow.errors import DOMAIN, REASON_KEY
from trunkshow.hedging import Tokens
from trunkshow.receipts import Outcome
from trunkshow.v1 import recommendation_pb2 as pb

SERVICE = "trunkshow.v1.RecommendationService"


@pytest.fixture(scope="module")
def started(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster; some of its shards may have ended since."""
    with running(built.store, tmp_path_factory.mktemp("logs")) as started:
        yield started


@pytest.fixture
def cluster(started: Cluster) -> Cluster:
    """A whole cluster, of which shards may be ended: they are started again for whom it is whole next."""
    started.mend()
    return started


@pytest.fixture
def fresh(built: Built, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of two shards that nobody has asked yet, to be harmed."""
    with running(built.store, tmp_path / "logs", shards=2) as started:
        yield started


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    """Somebody who asks the whole cluster."""
    with asking(cluster) as opened:
        yield opened


def call(cluster: Cluster, method: str, request: bytes) -> bytes:
    """One unary call over bytes."""
    with grpc.insecure_channel(cluster.target) as channel:
        return bytes(channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=DEADLINE_MS / 1000))


# ---- everyone is answered


def test_every_user_gets_a_slate_of_the_snapshot(built: Built, client: Client) -> None:
    """None of them a step down; every fourth asks alone, all of them in a batch below."""
    for user in EVERYONE[::4]:
        receipt = client.recommend(user).receipt
        assert (receipt.rung, receipt.snapshot_version) == (Rung.SNAPSHOT, built.report.manifest.version), user


def test_every_user_of_a_batch_gets_a_slate_of_the_snapshot(client: Client) -> None:
    """Every index once."""
    requests = [SlateRequest(user) for user in EVERYONE]
    answers = dict(client.recommend_batch(requests, deadline_ms=BATCH_DEADLINE_MS))
    assert sorted(answers) == list(range(400))
    poorer = [slate.receipt for slate in answers.values() if slate.receipt.rung != Rung.SNAPSHOT]
    assert poorer == []


def test_slates_are_personal(client: Client) -> None:
    """What is for a user is mostly of their taste."""
    shares = [own_taste_share(client.recommend(user), user) for user in EVERYONE[::10]]
    assert sum(shares) / len(shares) > 0.7


def test_a_slate_does_not_depend_on_the_replica(client: Client) -> None:
    """Ask as often as you like."""
    slates = [client.recommend(EVERYONE[5]).carousels for _ in range(6)]
    assert all(slate == slates[0] for slate in slates)


def test_a_stranger_with_items_in_hand_is_folded_in(client: Client) -> None:
    """And gets a slate of the taste that the items tell of."""
    slate = client.recommend("stranger", items=["item-0002", "item-0006", "item-0010"])
    tastes = Counter(datasets.taste_of_item(item.item_id) for item in slate.carousels[0].items)
    assert (slate.receipt.rung, Reason.FOLDED_IN in slate.receipt.reasons) == (Rung.SNAPSHOT, True)
    assert tastes.most_common(1)[0][0] == 2


def test_somebody_of_whom_nothing_is_known_gets_what_is_popular(client: Client) -> None:
    """With the reasons in the receipt."""
    receipt = client.recommend("stranger").receipt
    assert receipt.rung is Rung.POPULAR
    assert {Reason.USER_UNKNOWN, Reason.NOTHING_IN_HAND} <= set(receipt.reasons)


def test_similar_items_are_of_the_same_taste(client: Client) -> None:
    """Item 4 was made for the taste of item 0."""
    items = client.similar("item-0004").carousel.items
    assert sum(datasets.taste_of_item(item.item_id) == 0 for item in items) > len(items) / 2


def test_every_partition_is_held_by_two_shards(client: Client) -> None:
    """As the router sees it."""
    status = client.status()
    held = Counter(number for shard in status.shards for one in shard.generations for number in one.warm)
    assert held == dict.fromkeys(range(status.partitions), 2)


# ---- bad input


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(), "user_id"),
        (pb.RecommendRequest(user_id="u" * 257), "user_id"),
        (pb.RecommendRequest(user_id="u", surface="shop window"), "surface"),
        (pb.RecommendRequest(user_id="u", items_per_carousel=101), "items_per_carousel"),
        (pb.RecommendRequest(user_id="u", carousels=["for-me"]), "carousels[0]"),
        (pb.RecommendRequest(user_id="u", context_item_ids=["i"] * 101), "context_item_ids"),
        (
            pb.RecommendRequest(
                user_id="u", filters=pb.Filters(attributes=[pb.AttributeFilter(name="size", values=["7"])])
            ),
            "filters.attributes[0].name",
        ),
        (b"\xff\xff\xff", "request"),
    ],
    ids=["no user", "long user", "surface", "items", "carousel", "context", "attribute", "malformed bytes"],
)
def test_bad_input_is_refused_by_the_name_of_its_field(
    cluster: Cluster, client: Client, request_: pb.RecommendRequest | bytes, field: str
) -> None:
    """INVALID_ARGUMENT with an ErrorInfo; and the router goes on answering."""
    with pytest.raises(grpc.RpcError) as caught:
        call(cluster, "Recommend", request_ if isinstance(request_, bytes) else request_.SerializeToString())
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert (status.code, info.domain, info.metadata["field"]) == (
        grpc.StatusCode.INVALID_ARGUMENT.value[0],
        DOMAIN,
        field,
    )
    assert client.recommend(EVERYONE[0]).receipt.rung is Rung.SNAPSHOT


def test_a_message_over_the_limit_is_refused(cluster: Cluster, client: Client) -> None:
    """Five megabytes are refused with a reason; the router lives."""
    with pytest.raises(grpc.RpcError) as caught:
        call(cluster, "Recommend", bytes(5 << 20))
    said = dict(caught.value.trailing_metadata())
    assert (caught.value.code(), said[REASON_KEY]) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert client.recommend(EVERYONE[0]).receipt.rung is Rung.SNAPSHOT


# ---- what operators look at


def addresses(cluster: Cluster) -> list[str]:
    """Of every process."""
    return [cluster.target, *cluster.shards]


def test_every_process_is_healthy(cluster: Cluster) -> None:
    """Router and shards, by the standard health service."""
    for address in addresses(cluster):
        with grpc.insecure_channel(address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, address


def test_reflection_lists_the_services(cluster: Cluster) -> None:
    """The router's public ones, and a shard's own."""
    listed = []
    for address in addresses(cluster)[:2]:
        with grpc.insecure_channel(address) as channel:
            ask = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(ask, timeout=60)
        listed.append({service.name for service in answer.list_services_response.service})
    assert {SERVICE, "trunkshow.v1.ClusterService", "grpc.health.v1.Health"} <= listed[0]
    assert "trunkshow.v1.ShardService" in listed[1]


# ---- harm


Answers = list[tuple[str, Slate]]


async def stream_of_requests(target: str, users: Sequence[str], after: int, harm: Callable[[], None]) -> Answers:
    """Every user asks, eight at a time; the harm is done once so many have been answered."""
    waiting, answers = list(users), Answers()

    async def keep_asking(client: AsyncClient) -> None:
        while waiting:
            user = waiting.pop()
            answers.append((user, await client.recommend(user)))
            if len(answers) == after:
                harm()

    async with AsyncClient(target, deadline_ms=DEADLINE_MS) as client, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(keep_asking(client))
    return answers


def rungs(answers: Answers) -> Counter[Rung]:
    """How often each."""
    return Counter(slate.receipt.rung for _, slate in answers)


def hedges_saved_up() -> int:
    """What a router that was asked nothing yet could pay for at once."""
    tokens = Tokens()
    return sum(1 for _ in iter(tokens.spend, False))


def test_a_shard_killed_during_requests_costs_no_answer(cluster: Cluster) -> None:
    """Every request is answered, and every slate is still personal, of the snapshot."""
    victim = next(iter(cluster.shards.values()))
    answers = asyncio.run(stream_of_requests(cluster.target, EVERYONE, 100, victim.kill))
    assert rungs(answers) == {Rung.SNAPSHOT: 400}
    assert sum(own_taste_share(slate, user) for user, slate in answers) / 400 > 0.7


def test_a_shard_that_hangs_costs_hedges_and_no_rung(fresh: Cluster, tmp_path: Path) -> None:
    """Stopped in the middle of its work: rivals answer, until the router leaves it alone.

    No more ask than there are hedges saved up: however slow the machine is, there is one for whoever meets the shard.
    """
    victim, users = next(iter(fresh.shards.values())), EVERYONE[: hedges_saved_up()]
    ends = time.monotonic() + READY_WITHIN_S
    try:
        answers = asyncio.run(stream_of_requests(fresh.target, users, 8, lambda: victim.signal(signal.SIGSTOP)))
        with asking(fresh) as client:
            while "replica.ejected" not in (tmp_path / "logs" / "router.log").read_text():
                assert time.monotonic() < ends
                client.recommend(EVERYONE[0])
    finally:
        victim.signal(signal.SIGCONT)
    assert rungs(answers) == {Rung.SNAPSHOT: len(users)}
    hedged = [slate.receipt for _, slate in answers if slate.receipt.hedged]
    assert any(one.outcome is Outcome.CANCELLED and not one.hedge for receipt in hedged for one in receipt.attempts)


def test_a_shard_that_is_told_to_stop_drains(cluster: Cluster) -> None:
    """No request suffers, and the process exits with 0."""
    leaver = next(iter(cluster.shards.values()))
    answers = asyncio.run(stream_of_requests(cluster.target, EVERYONE, 100, lambda: leaver.signal(signal.SIGTERM)))
    assert leaver.wait() == 0
    assert rungs(answers) == {Rung.SNAPSHOT: 400}
