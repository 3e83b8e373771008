"""The snapshots that a shard has open, each with its residents: what one of them answers for, and what all do.

What is said of users and items in general, of whoever they are, is said by the current one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shard.online.residents import Residents
from shard.scene import Piece


class Opened:
    """By version, in the order in which they were opened."""

    def __init__(self) -> None:
        self._residents: dict[str, Residents] = {}
        self._current = ""

    def __iter__(self) -> Iterator[Residents]:
        return iter(self._residents.values())

    def __len__(self) -> int:
        return len(self._residents)

    def get(self, version: str) -> Residents | None:
        """Of a snapshot; None where that is not open."""
        return self._residents.get(version)

    def add(self, residents: Residents) -> None:
        """A snapshot is open from now on."""
        self._residents[residents.version] = residents

    def remove(self, version: str) -> None:
        """It is not open any more."""
        self._residents.pop(version, None)

    def point(self, version: str) -> None:
        """This version is the current one, whether it is open or not."""
        self._current = version

    def hold(self, pieces: Iterable[Piece]) -> None:
        """These homes are held, and no others."""
        pieces = tuple(pieces)
        for one in self._residents.values():
            one.homes.hold(frozenset(piece.number for piece in pieces if piece.version == one.version))

    # --- what all of them answer for -----------------------------------------------------------------------------

    def has(self, user_id: str) -> bool:
        """Whether somebody lives in what is held."""
        return any(one.homes.has(user_id) for one in self._residents.values())

    def is_lacking(self) -> bool:
        """Whether the log is to be replayed for any partition."""
        return any(one.homes.lacking for one in self._residents.values())

    def has_whole(self) -> bool:
        """Whether the log was replayed for any partition."""
        return any(one.homes.whole for one in self._residents.values())

    def is_whole(self) -> bool:
        """Whether anything is held, and the log was replayed for all of it."""
        return self.has_whole() and not self.is_lacking()

    # --- what the current one says -------------------------------------------------------------------------------

    def segment_of(self, user_id: str) -> str:
        """The segment that it has somebody in, by its name; empty for none."""
        current = self._general()
        return "" if current is None else current.segment_of(user_id)

    def category_of(self, item_id: str) -> str:
        """An item's category; empty where it has none."""
        current = self._general()
        return "" if current is None else current.category_of(item_id)

    def usual_share(self, item_id: str) -> float | None:
        """The part of everything bought that an item had; None where nobody knows."""
        current = self._general()
        return None if current is None else current.usual_share(item_id)

    def _general(self) -> Residents | None:
        """Of the current snapshot; until that is open here, of the one opened last."""
        return self._residents.get(self._current) or next(reversed(self._residents.values()), None)
