"""GetFeatures of a whole router: whoever can tell is asked, and who cannot be told of is named, with why."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest
from fake_shard import FakeShard, counting, everything
from router_caller import NOBODY, Start

from router.features.service import FeatureService
from trunkshow.errors import Overloaded, TrunkshowError, from_rpc_error
from trunkshow.serving.auth import CallerGuard, Principal, Role
from trunkshow.serving.server import Server
from trunkshow.v1 import features_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb

USERS, ITEMS = ["u0", "stranger", "u1"], ["i1", "i0"]


def counter() -> FakeShard:
    """A shard that tells of everybody."""
    shard = FakeShard(everything())
    shard.features = counting
    return shard


def failing(error: TrunkshowError) -> FakeShard:
    """One that does not."""
    shard = FakeShard(everything())

    async def fail(asked: shard_pb2.ReadFeaturesRequest) -> shard_pb2.ReadFeaturesResponse:
        raise error

    shard.features = fail
    return shard


def hanging() -> FakeShard:
    """One that takes the question, and says nothing."""
    shard = FakeShard(everything())

    async def hang(asked: shard_pb2.ReadFeaturesRequest) -> shard_pb2.ReadFeaturesResponse:
        await asyncio.Event().wait()
        raise AssertionError

    shard.features = hang
    return shard


def babbling() -> FakeShard:
    """One that tells of others than it was asked for."""
    shard = FakeShard(everything())

    async def babble(asked: shard_pb2.ReadFeaturesRequest) -> shard_pb2.ReadFeaturesResponse:
        return shard_pb2.ReadFeaturesResponse(users=[features_pb2.Features(id="another")])

    shard.features = babble
    return shard


def told(answer: features_pb2.GetFeaturesResponse) -> list[tuple[str, bool, int]]:
    """Of whom, whether they are known, and why not."""
    return [(one.id, one.known, one.missing) for one in (*answer.users, *answer.items)]


EVERYBODY = [(one, True, pb.REASON_UNSPECIFIED) for one in (*USERS, *ITEMS)]


async def test_everybody_is_told_of_in_the_order_asked_for(start: Start) -> None:
    """Known or not, by one shard in one call."""
    shard = counter()
    answer = await (await start(shard)).features(user_ids=USERS, item_ids=ITEMS)
    assert told(answer) == EVERYBODY
    assert len(shard.features_asked) == len(answer.attempts) == 1
    assert {one.replica for one in answer.users} == {answer.attempts[0].replica}
    assert answer.request_id
    assert answer.elapsed_ms > 0


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda: failing(TrunkshowError("a bug")), id="fails"),
        pytest.param(lambda: failing(Overloaded("too much to do")), id="overloaded"),
        pytest.param(lambda: FakeShard(everything()), id="follows no log"),
        pytest.param(hanging, id="hangs"),
        pytest.param(babbling, id="babbles"),
    ],
)
async def test_a_shard_that_does_not_tell_costs_another_asking(start: Start, broken: type[FakeShard]) -> None:
    """Also where it was asked first, which it is every other time."""
    bad, good = broken(), counter()
    caller = await start(bad, good, deadline_ms=500)
    for _ in range(4):
        assert told(await caller.features(user_ids=USERS, item_ids=ITEMS)) == EVERYBODY
    assert bad.features_asked


@pytest.mark.parametrize(
    ("shard", "why"),
    [
        (failing(TrunkshowError("a bug")), pb.REASON_SHARD_FAILED),
        (failing(Overloaded("too much to do")), pb.REASON_OVERLOADED),
        (FakeShard(everything()), pb.REASON_NO_REPLICA),
        (hanging(), pb.REASON_SHARD_LATE),
    ],
)
async def test_where_nobody_tells_everybody_is_missing_and_it_is_said_why(
    start: Start, shard: FakeShard, why: pb.Reason
) -> None:
    """The call succeeds, in time."""
    answer = await (await start(shard, deadline_ms=300)).features(user_ids=USERS, item_ids=ITEMS)
    assert told(answer) == [(one, False, why) for one in (*USERS, *ITEMS)]
    assert len(answer.attempts) == 1


async def test_without_any_shard_everybody_is_missing(start: Start) -> None:
    """Nobody was asked."""
    answer = await (await start(watch_silence_s=0.05)).features(user_ids=["u0"])
    assert told(answer) == [("u0", False, pb.REASON_NO_REPLICA)]
    assert not answer.attempts
    assert NOBODY not in {one.replica for one in answer.users}


async def test_each_user_is_asked_for_where_they_live(start: Start) -> None:
    """And where a home is gone, where somebody else is asked anyway."""
    left, right = counter(), counter()
    left.status.generations[0].warm[:] = [0, 1]
    right.status.generations[0].warm[:] = [2, 3]
    users = [f"u{number}" for number in range(8)]
    caller = await start(left, right)
    assert all(one.known for one in (await caller.features(user_ids=users, item_ids=ITEMS)).users)
    asked = [sorted(shard.features_asked[0].user_ids) for shard in (left, right)]
    assert all(asked)
    assert sorted(asked[0] + asked[1]) == users
    assert sorted([*left.features_asked[0].item_ids, *right.features_asked[0].item_ids]) == sorted(ITEMS)
    left.features = None
    answer = await caller.features(user_ids=users, item_ids=ITEMS)
    assert all(one.known for one in (*answer.users, *answer.items))
    assert len({one.replica for one in answer.users}) == 1


async def test_slates_do_not_suffer_from_a_shard_that_fails_to_tell(start: Start) -> None:
    """Its health is about slates."""
    shard = failing(TrunkshowError("a bug"))
    caller = await start(shard)
    for _ in range(10):
        await caller.features(user_ids=["u0"])
    assert not any(one.ejected for one in (await caller.status()).shards)


async def test_what_cannot_be_asked_for_is_refused(start: Start) -> None:
    """With the field at fault."""
    caller = await start(counter())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.features(user_ids=["u0", ""])
    error = from_rpc_error(caught.value)
    assert (error.code, error.field, error.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "user_ids[1]",
        "USER_ID_EMPTY",
    )


class Roles:
    """Knows callers by what they may."""

    version = 0

    def principal(self, credential: str, now: float) -> Principal | None:
        del now
        return Principal(credential, frozenset({Role(credential)}))


@pytest.mark.parametrize(("role", "may"), [("read", True), ("record", False)])
async def test_who_asks_needs_the_role_to_read(role: str, may: bool) -> None:
    """A page that records learns nothing of anybody."""
    service = FeatureService(None, None, 200).service()  # type: ignore[arg-type]  # nobody gets that far
    server = Server([service], guard=CallerGuard([Roles()]))
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/trunkshow.v1.FeatureService/GetFeatures")(b"", metadata=(("x-api-key", role),))
    await server.stop(0)
    refused = grpc.StatusCode.INVALID_ARGUMENT if may else grpc.StatusCode.PERMISSION_DENIED
    assert caught.value.code() == refused
