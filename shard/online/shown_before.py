"""What users who live here were shown before their snapshot was built: the log's past has it, read for what is counted.

A partition's replay begins where its snapshot ends, and an item that was shown in vain for a week would come back with
every shard that starts. What comes live is heard by `shard.online.hearing`, with everything else; what is shown twice,
here and there, is shown once (`trunkshow.stream.fatigue`). Of users who come with a partition that is taken over later
nothing before their snapshot is known.
"""

from __future__ import annotations

from collections.abc import Callable

from shard.online.statistics import Heard
from trunkshow.online.positions import Position
from trunkshow.v1 import events_pb2 as pb


class ShownBefore:
    """Hears impressions of the log's past, as a statistic.

    Attributes:
        name: as a statistic.

    Args:
        show: told of each.
        is_past: whether it is the past that is heard.
    """

    name = "shown"

    def __init__(self, show: Callable[[pb.Event, Position], None], is_past: Callable[[], bool]) -> None:
        self._show = show
        self._is_past = is_past

    def hear(self, heard: Heard) -> None:
        """An event that was not heard before."""
        if heard.event.interaction == pb.INTERACTION_IMPRESSION and self._is_past():
            self._show(heard.event, heard.at)

    def forget(self, user_id: str) -> None:
        """What was shown goes with everything else of a person's (`shard.online.hearing`)."""
