"""What shards answer for either version, and what becomes of the candidate when a conductor looked. Not a test."""

from __future__ import annotations

from collections.abc import Callable

from fake_shard import Script, answer, carousel, everything
from rehearsal_stage import CANDIDATE, Stage

from trunkshow.errors import TrunkshowError
from trunkshow.snapshot.states import State
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

MakeStage = Callable[..., Stage]


def by_version(current: Script, candidate: Script) -> Script:
    """One script for either version."""

    async def script(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        return await (candidate if request.snapshot_version == CANDIDATE else current)(request)

    return script


async def failing(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """An error for everybody."""
    raise TrunkshowError("scripted to fail")


async def gaps(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
    """Nothing personal for anybody."""
    return answer([carousel("popular", ["i0"])], [("for-you", pb.REASON_MODEL_FAILED)], version=CANDIDATE)


SAME = everything()

OTHER = everything("x")


async def state_after_a_look(stage: Stage) -> State:
    """What the candidate is after the conductor looked once, and the router polled."""
    await stage.conductor.look()
    stage.poll()
    return stage.store.pointer.states[CANDIDATE]
