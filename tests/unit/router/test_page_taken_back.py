"""A page that takes longer than a rollback may: it is not of the version that was taken back meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from fake_shard import FakeShard
from rehearsal_stage import Stage, holding
from roll_back_stage import NEW, OLD, Gate, promote, roll_back

from router import assembly
from router.answering.counters import Counters
from router.asking.fanout import Fanout
from router.config import RouterConfig
from router.recommendation import RecommendationService
from router.slates.validate import Known
from trunkshow.errors import InvalidArgument
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Deadline, monotonic
from trunkshow.v1 import recommendation_pb2 as pb

WITHIN_S = 60
PATIENT = RouterConfig(store="", shards=("127.0.0.1:1",), deadline_ms=20_000)


class Call:
    """One that arrived so long ago; time to be answered it has."""

    request_id, peer = "r-1", "ipv4:127.0.0.1:1"

    def __init__(self, ago_s: float, left_ms: float = 20_000) -> None:
        self.arrived = monotonic() - ago_s
        self._left_ms = left_ms

    def deadline(self, default_ms: float) -> Deadline:
        """What is left."""
        del default_ms
        return Deadline.after(self._left_ms, monotonic())


class Pages:
    """A router's pages over a shard that has two versions, of which the newer one serves, and hangs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gate = Gate()
        self.gate.holds[NEW] = 0
        limiter = assembly.limiter_of(PATIENT)
        fanout = Fanout(stage.channels, stage.board, observe=limiter.observe)
        reserve = assembly.reserve_of(PATIENT)
        self.service = RecommendationService(
            PATIENT, stage.keeper, stage.board, fanout, limiter, reserve, Counters(), []
        )

    async def begun(self, ago_s: float, left_ms: float = 20_000, **fields: object) -> asyncio.Future[bytes]:
        """A page that the newer version is asked for."""
        chosen = {"user_id": "u0", "carousels": ["for-you"]} | fields
        request = pb.RecommendRequest(**chosen)  # type: ignore[arg-type]
        call = cast("CallView", Call(ago_s, left_ms))
        page = asyncio.ensure_future(self.service.recommend(request.SerializeToString(), call))
        await asyncio.wait_for(self.gate.reached.wait(), WITHIN_S)
        return page

    async def answered(self, page: asyncio.Future[bytes]) -> tuple[str, pb.Rung]:
        """The version and the rung of it, once the shard goes on."""
        self.gate.opens.set()
        receipt = pb.RecommendResponse.FromString(await asyncio.wait_for(page, WITHIN_S)).receipt
        return receipt.snapshot_version, receipt.rung


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    """All traffic moved to the newer version."""
    stage = Stage(tmp_path, 0.0)
    made = Pages(stage)
    await stage.add(FakeShard(made.gate), holding())
    promote(stage)
    yield made
    await stage.close()


async def test_a_page_that_took_long_is_made_anew_from_what_it_was_rolled_back_to(pages: Pages) -> None:
    """At the same rung, where there is time."""
    page = await pages.begun(ago_s=2)
    roll_back(pages.stage)
    assert await pages.answered(page) == (OLD, pb.RUNG_SNAPSHOT)


async def test_one_that_was_quick_goes_out(pages: Pages) -> None:
    """The rollback is younger than it, and so younger than a second."""
    page = await pages.begun(ago_s=0)
    roll_back(pages.stage)
    assert await pages.answered(page) == (NEW, pb.RUNG_SNAPSHOT)


async def test_one_that_took_long_goes_out_where_nothing_was_taken_back(pages: Pages) -> None:
    """However old it is, and whatever else is served by now."""
    page = await pages.begun(ago_s=2)
    pages.stage.keeper.adopt(replace(pages.stage.keeper.now, serial=99), {NEW, OLD})
    assert await pages.answered(page) == (NEW, pb.RUNG_SNAPSHOT)


async def test_without_time_to_ask_again_it_is_a_list_of_what_is_served(pages: Pages) -> None:
    """The shard hangs to the end, whatever it is asked for."""
    pages.gate.holds[OLD] = 0
    page = await pages.begun(ago_s=2, left_ms=400)
    roll_back(pages.stage)
    receipt = pb.RecommendResponse.FromString(await asyncio.wait_for(page, WITHIN_S)).receipt
    assert (receipt.snapshot_version, receipt.rung) == (OLD, pb.RUNG_SEGMENT)
    assert receipt.reasons


async def test_one_that_names_what_only_the_poisoned_version_knew_is_refused_as_if_it_came_now(pages: Pages) -> None:
    """Nothing that is served knows which items that filter allows."""
    keeper = pages.stage.keeper
    (attribute, *_) = keeper.now.current.known.attributes
    page = await pages.begun(ago_s=2, filters=pb.Filters(attributes=[pb.AttributeFilter(name=attribute, values=["x"])]))
    view = keeper.opened[OLD]
    keeper.opened[OLD] = replace(view, known=Known(view.known.carousels, ()))
    roll_back(pages.stage)
    with pytest.raises(InvalidArgument, match=attribute):
        await pages.answered(page)
