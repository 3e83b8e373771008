"""What is told of askings."""

from __future__ import annotations

from router.asking.attempts import once
from trunkshow.v1 import recommendation_pb2 as pb


def test_each_reason_stands_once_in_order() -> None:
    """A receipt is read by people."""
    late, failed = pb.REASON_SHARD_LATE, pb.REASON_SHARD_FAILED
    assert once([late, failed, late]) == [late, failed]
