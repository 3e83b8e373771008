"""A rehearsal asks shards beside shoppers: however a candidate fails in it, what is known for shoppers is as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from fake_shard import FakeShard, Script, everything, failing, late
from rehearsal_stage import ASKING, CANDIDATE, USERS, Stage, holding

from router import assembly
from router.admission.limiter import Limiter
from router.asking.fanout import Fanout
from router.asking.health import LIMITS
from router.cluster.apart import ChannelsApart
from router.cluster.lines import ShardLines
from router.cluster.shard_channel import ShardChannel, ShardChannels
from router.served.views import View
from router.trials.measures import Answer
from router.trials.replay import Replay
from trunkshow.hedging import Patience, Tokens
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

SHARDS = 4
PATIENT = Patience(60_000, 60_000, 60_000)
"""Shoppers' hedges are not for a busy machine to decide."""
REHEARSED = 24
"""Requests, a shopper's between any two; more than a window of the limiter, or what ejects a replica."""


class Known(NamedTuple):
    """What a router goes by when a shopper comes."""

    ejected: frozenset[str]
    ejections: int
    tokens: float
    hedges: int
    failovers: dict[str, float]
    askings: int
    in_flight: dict[str, int]
    answers: dict[str, int]
    errors: dict[str, str]
    limit: float
    looked_at: int


class Shop:
    """A quiet shop with a candidate: a shopper asks between any two requests that are rehearsed."""

    def __init__(self, stage: Stage, deadline_ms: float) -> None:
        assert stage.keeper.now.candidate is not None
        self.candidate: View = stage.keeper.now.candidate.view
        self.current: View = stage.keeper.now.current
        self.limiter: Limiter = assembly.limiter_of(ASKING)
        self.tokens = Tokens()
        self.channels, self.board = stage.channels, stage.board
        self.fanout = Fanout(
            stage.channels, stage.board, patience=PATIENT, tokens=self.tokens, observe=self.limiter.observe
        )
        asking = replace(ASKING, deadline_ms=deadline_ms)
        self.replay: Replay = assembly.replay_of(asking, stage.channels, stage.board, monotonic)

    async def shopper(self, number: int) -> None:
        """Somebody asks, and is answered."""
        user = USERS[number % len(USERS)]
        home = self.current.find(user)
        assert home is not None
        request = shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id=user).SerializeToString(),
            snapshot_version=self.current.version,
            partitions=(home.partition,),
            carousels=("for-you",),
        ).SerializeToString()
        until = Deadline.after(2000, monotonic())
        assert (await self.fanout.ask(self.current.version, home.partition, request, until, "shopper")).answer

    async def rehearsed(self, number: int) -> Answer:
        """A request is asked of the candidate."""
        return await self.replay.answer(self.candidate, pb.RecommendRequest(user_id=USERS[number % len(USERS)]))

    def known(self) -> Known:
        """As of now."""
        lines = {one.address: one for one in self.channels}
        return Known(
            ejected=self.fanout.infirmary.last(),
            ejections=self.fanout.infirmary.ejections,
            tokens=self.tokens._left,
            hedges=self.fanout.tally.hedges,
            failovers=dict(self.fanout.failovers._spent),
            askings=sum(self.fanout.tally.ended.values()),
            in_flight={address: line.in_flight for address, line in lines.items()},
            answers={address: line.latencies[Kind.ONE].answers for address, line in lines.items()},
            errors={address: line.last_error for address, line in lines.items()},
            limit=self.limiter.limit,
            looked_at=len(self.limiter._window),
        )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A candidate that is warm on every shard."""
    made = Stage(tmp_path, 0.0)
    yield made
    await made.close()


def candidate_only(script: Script) -> Script:
    """A script for the candidate; the current version answers."""
    good = everything()

    async def chosen(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        return await (script if request.snapshot_version == CANDIDATE else good)(request)

    return chosen


@pytest.mark.parametrize(("script", "deadline_ms"), [(failing(), 2000), (late, 40)], ids=["fails", "hangs"])
async def test_a_candidate_that_is_no_good_changes_nothing_for_shoppers(
    stage: Stage, script: Script, deadline_ms: float
) -> None:
    """Health, hedges, latencies and the limit are as the shoppers' own askings leave them."""
    for _ in range(SHARDS):
        await stage.add(FakeShard(candidate_only(script)), holding())
    shop = Shop(stage, deadline_ms)
    for number in range(REHEARSED):
        before = shop.known()
        assert (await shop.rehearsed(number)).failed
        assert shop.known() == before
        await shop.shopper(number)
    after = shop.known()
    assert (after.ejected, after.ejections, after.hedges) == (frozenset(), 0, 0)
    assert after.askings == sum(after.answers.values()) == REHEARSED


async def test_a_rehearsal_learns_for_itself_which_shard_is_ill(stage: Stage) -> None:
    """One of its own that fails is asked last by the next request, or it would cost every other one its time."""
    bad = FakeShard(failing())
    await stage.add(bad, holding())
    await stage.add(FakeShard(everything()), holding())
    shop = Shop(stage, 2000)
    for number in range(REHEARSED):
        assert not (await shop.rehearsed(number)).failed
    asked, began = len(bad.asked), monotonic()
    for number in range(4):
        assert not (await shop.rehearsed(number)).failed
    probations = 1 + (monotonic() - began) / LIMITS.base_s  # of which each is for one request
    assert len(bad.asked) <= asked + probations


async def test_lines_apart_are_those_that_are_open() -> None:
    """As they are opened and cut by their owner; what was known of one that was cut is known no more."""
    lines = ShardChannels(["127.0.0.1:1", "127.0.0.1:2"])
    apart = ChannelsApart(lines)
    first = apart.get("127.0.0.1:1")
    assert first is not None
    assert first is apart.get("127.0.0.1:1")
    first.in_flight += 1
    assert [one.in_flight for one in lines] == [0, 0]
    await lines.remove("127.0.0.1:1")
    assert apart.get("127.0.0.1:1") is None
    lines.add("127.0.0.1:1")
    again: ShardChannel | None = apart.get("127.0.0.1:1")
    assert again is not None
    assert again.in_flight == 0
    assert len(apart) == len(list(apart)) == len(lines)
    await lines.close()


async def test_lines_apart_open_none_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked over them goes over the owner's."""
    lines = ShardChannels(["127.0.0.1:1"])
    opened: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(ShardLines, "open", lambda _, address, options: opened.append(address))
        assert ChannelsApart(lines).get("127.0.0.1:1") is not None
    assert opened == []
    await lines.close()
