"""What both direct clients follow a router by: how often, how many, how long. Values and one decision."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trunkshow import channel as wire
from trunkshow.direct.shards import LINES_MAX
from trunkshow.serving.backoff import Backoff
from trunkshow.v1 import direct_pb2

AGAIN = Backoff(first_s=0.1, longest_s=5.0)
"""Between two tries to watch; so often a router without --direct is asked whether it is another one now."""

GATHER_S = 0.005
"""Users who become wanted within so long are asked about together."""

USERS_MAX = 1000
ROUTES_MS = 1_000.0


def line_options(shard_name: str) -> wire.Options:
    """Of a line to a shard.

    Args:
        shard_name: that shards' certificates hold; the address that each is asked by where empty.
    """
    named: wire.Options = (("grpc.ssl_target_name_override", shard_name),) if shard_name else ()
    return (*wire.SHARD_OPTIONS, *named)


def changed_lines(
    known: Collection[str], report: direct_pb2.WatchPlacementResponse
) -> tuple[Sequence[str], Sequence[str]]:
    """Addresses to open lines to before a report is heard, and those whose lines are of no use after it.

    While nobody may be asked, as when traffic moves, the lines stay as they are.
    """
    if not report.placement.snapshot_version:
        return (), ()
    wanted = [holder.address for holder in report.placement.holders][:LINES_MAX]
    return [one for one in wanted if one not in known], [one for one in known if one not in wanted]
