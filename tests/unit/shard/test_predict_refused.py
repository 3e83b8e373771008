"""What a shard cannot answer is told as what it is; what cannot answer is found out before it is called warm."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from whole_shard import Shard

from trunkshow.errors import InvalidArgument, SnapshotMismatch
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


def test_a_user_who_does_not_live_here_is_told_as_missing(shard: Shard) -> None:
    """The router then serves the stranger that they are."""
    slate = shard.answer(
        shard_pb2.PredictRequest(
            request=pb.RecommendRequest(user_id="stranger").SerializeToString(),
            snapshot_version=shard.snapshot.version,
            partitions=[0],
            carousels=["for-you", "popular"],
        )
    )
    assert [(lost.carousel, lost.reason) for lost in slate.missing] == [
        ("for-you", pb.REASON_USER_UNKNOWN),
        ("popular", pb.REASON_USER_UNKNOWN),
    ]


def test_an_unknown_attribute_is_the_callers_error(shard: Shard) -> None:
    """It is not taken for a model's failure."""
    with pytest.raises(InvalidArgument, match="no attribute 'size'"):
        shard.slate(filters=pb.Filters(attributes=[pb.AttributeFilter(name="size", values=["7"])]))


@pytest.mark.parametrize(
    "asked",
    [
        shard_pb2.PredictRequest(snapshot_version="another", partitions=[0]),
        shard_pb2.PredictRequest(partitions=[99]),
    ],
    ids=["another snapshot", "a partition that is not here"],
)
def test_what_is_not_held_warm_is_a_mismatch(shard: Shard, asked: shard_pb2.PredictRequest) -> None:
    """The router asks another replica."""
    asked.snapshot_version = asked.snapshot_version or shard.snapshot.version
    with pytest.raises(SnapshotMismatch):
        shard.answer(asked)


def test_a_wrapped_request_that_is_none_is_refused(shard: Shard) -> None:
    """Malformed bytes are named."""
    asked = shard_pb2.PredictRequest(request=b"\xff", snapshot_version=shard.snapshot.version, partitions=[0])
    with pytest.raises(InvalidArgument, match="no RecommendRequest"):
        shard.answer(asked)


@pytest.mark.parametrize("asked", [[], [0]], ids=["no partition", "a partition"])
def test_a_vector_of_another_length_is_refused(shard: Shard, asked: list[int]) -> None:
    """Inner products with it would mean nothing."""
    request = shard_pb2.PredictRequest(
        snapshot_version=shard.snapshot.version, partitions=asked, carousels=["for-you"], vector=b"\0" * 12
    )
    with pytest.raises(InvalidArgument):
        shard.answer(request)


def test_warming_up_asks_for_users_who_live_there(shard: Shard) -> None:
    """A partition that answers is warm; nothing is raised."""
    shard.predictor.warm_up(shard.partitions[0], 8)


def test_a_model_that_raises_makes_a_partition_unfit_to_warm(snapshot: Snapshot, shard: Shard) -> None:
    """A partition whose user index is another dimension's is found out before it is reported."""

    class Spoilt(Partition):
        def neighbours(self, vector: Any, count: int, most: int, but: Any) -> Any:
            raise ZeroDivisionError

    spoilt = object.__new__(Spoilt)
    spoilt.__dict__.update(shard.partitions[0].__dict__)
    with pytest.raises(RuntimeError, match="people-like-you: ZeroDivisionError"):
        shard.predictor.warm_up(spoilt, 1)


@pytest.mark.parametrize("short", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_what_the_machine_lacks_while_a_partition_warms_up_is_raised_as_such(
    snapshot: Snapshot, shard: Shard, monkeypatch: pytest.MonkeyPatch, short: Exception
) -> None:
    """Whoever opens it must not take it for a fault of the snapshot's."""

    def fails(*_: object) -> None:
        raise short

    monkeypatch.setattr(snapshot.ials, "recommend", fails)
    with pytest.raises(type(short)):
        shard.predictor.warm_up(shard.partitions[0], 2)
