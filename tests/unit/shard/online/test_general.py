"""What is said of users and items in general is as the current snapshot has it, in whatever order snapshots came."""

from __future__ import annotations

from memory_log import MemoryLog

from shard.online.upkeep import Upkeep


class Generation:
    """Stands for the residents of a snapshot, and says its name of everything."""

    def __init__(self, version: str, share: float) -> None:
        self.version, self.share = version, share

    def segment_of(self, user_id: str) -> str:
        """Its name."""
        return f"{self.version}'s segment of {user_id}"

    def category_of(self, item_id: str) -> str:
        """Its name."""
        return f"{self.version}'s category of {item_id}"

    def usual_share(self, item_id: str) -> float:
        """Its own."""
        del item_id
        return self.share


def told(upkeep: Upkeep) -> tuple[str, str, float | None]:
    """Of one user and one item."""
    return upkeep.segment_of("ann"), upkeep.category_of("hat"), upkeep.usual_share("hat")


async def test_what_is_told_of_everybody_is_as_the_current_snapshot_has_it() -> None:
    """Not as a candidate or the previous one, which are open beside it, and may have been opened later."""
    upkeep = Upkeep(MemoryLog("log"), events_max=10, impressions_max=10, within_s=30.0)
    assert told(upkeep) == ("", "", None)
    current, candidate = Generation("current", 0.1), Generation("candidate", 0.2)
    upkeep._residents.update(current=current, candidate=candidate)  # type: ignore[arg-type]
    assert told(upkeep) == ("candidate's segment of ann", "candidate's category of hat", 0.2)
    upkeep.point("current")
    assert told(upkeep) == ("current's segment of ann", "current's category of hat", 0.1)
    upkeep.point("to come")
    assert told(upkeep)[2] == 0.2
