"""Users' records, as a builder would have them: column by column; and a shelf of some that are near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkshow import marks
from trunkshow.catalogue_shelf import CatalogueShelf
from trunkshow.models.protocol import NO_FLOATS, NO_ROWS, Floats, Rows
from trunkshow.snapshot.records import Neighbours, UserRecord
from trunkshow.snapshot.user_columns import UserColumns


def columns(users: Sequence[UserRecord], factors: int) -> UserColumns:
    """The columns of some records; a history without marks is of items that the user had."""
    kinds = {"items": np.int32, "weights": np.float32, "times": np.uint32, "marks": np.uint8}
    whole = [
        user if len(user.marks) else user._replace(marks=np.full(len(user.items), marks.HAD, np.uint8))
        for user in users
    ]
    return UserColumns(
        np.array([user.segment for user in users], np.int32),
        np.array([user.vector for user in users], np.float32).reshape(len(users), factors),
        np.cumsum([0, *(len(user.items) for user in users)]),
        *(
            np.concatenate([np.empty(0, kind), *(getattr(user, name) for user in whole)])
            for name, kind in kinds.items()
        ),
    )


def encoded(user: UserRecord) -> bytes:
    """One record's bytes."""
    return next(columns([user], len(user.vector)).encoded())


def stand_in(user: UserRecord) -> bytes:
    """One record's compact bytes."""
    return next(columns([user], len(user.vector)).stand_ins())


class Neighbourhood(CatalogueShelf):
    """A shelf with users, nearest first."""

    def __init__(self, *users: tuple[UserRecord, float]) -> None:
        super().__init__(np.zeros((10, 2), np.float32))
        self._users = list(users)

    def neighbours(self, vector: Floats, count: int, most: int, but: Rows) -> Neighbours:
        """Those that were given."""
        del vector
        others = [one for one in self._users[:count] if one[0].items.tolist() != but.tolist()]
        return Neighbours(
            [near for _, near in others],
            [len(user.items[:most]) for user, _ in others],
            np.concatenate([NO_ROWS, *(user.items[:most] for user, _ in others)]),
            np.concatenate([NO_FLOATS, *(user.weights[:most] for user, _ in others)]),
        )
