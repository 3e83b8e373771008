"""What is said of users and items in general is as the current snapshot has it, in whatever order snapshots came."""

from __future__ import annotations

from shard.online.opened import Opened


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


def told(opened: Opened) -> tuple[str, str, float | None]:
    """Of one user and one item."""
    return opened.segment_of("ann"), opened.category_of("hat"), opened.usual_share("hat")


def test_what_is_told_of_everybody_is_as_the_current_snapshot_has_it() -> None:
    """Not as a candidate or the previous one, which are open beside it, and may have been opened later."""
    opened = Opened()
    assert told(opened) == ("", "", None)
    for generation in (Generation("current", 0.1), Generation("candidate", 0.2)):
        opened.add(generation)  # type: ignore[arg-type]
    assert told(opened) == ("candidate's segment of ann", "candidate's category of hat", 0.2)
    opened.point("current")
    assert told(opened) == ("current's segment of ann", "current's category of hat", 0.1)
    opened.point("to come")
    assert told(opened)[2] == 0.2
