"""Scripts of fake shards that cannot do all that they are asked: short of time, or with a model that fails."""

from __future__ import annotations

from fake_shard import Script

from trunkshow.errors import Overloaded
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


def losing(carousel: str, model: str, reason: pb.Reason, script: Script) -> Script:
    """As another script, but one carousel is missing, by the fault of a model."""

    async def lost(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        rest = shard_pb2.PredictRequest()
        rest.CopyFrom(request)
        rest.carousels[:] = [one for one in request.carousels if one != carousel]
        answer = await script(rest)
        if carousel in request.carousels:
            answer.missing.add(carousel=carousel, reason=reason, model=model)
        return answer

    return lost


def hurried(script: Script, effort: pb.Effort = pb.EFFORT_REDUCED) -> Script:
    """As another script, with less effort, which the receipt has."""

    async def less(request: shard_pb2.PredictRequest) -> shard_pb2.PredictResponse:
        answer = await script(request)
        slate = pb.RecommendResponse.FromString(answer.slate)
        slate.receipt.effort = effort
        slate.receipt.reasons.append(pb.REASON_REDUCED_EFFORT)
        answer.slate = slate.SerializeToString()
        return answer

    return less


def out_of_time() -> Overloaded:
    """What a shard refuses with that could not keep the deadline."""
    return Overloaded("too little time is left for any slate", reason="TIME_TOO_SHORT")
