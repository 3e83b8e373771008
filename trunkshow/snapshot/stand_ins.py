"""A partition's stand-ins: a compact copy of each of its users, for another shard to hold.

standins.lmdb    user id → the user's compact record (trunkshow.snapshot.records)

With one a shard that does not hold the partition can still make a personal slate, from the partitions nearest to the
user that it does hold, while no replica of the home answers. Which shard holds it is placement's business; which
partitions it looks in, the predictor's. docs/adr/0012-stand-ins.md has what a slate made so is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trunkshow.snapshot import kv, records
from trunkshow.snapshot.records import UserRecord
from trunkshow.snapshot.user_columns import UserColumns

FILE_NAME = "standins.lmdb"


def write(folder: Path, keys: Sequence[bytes], users: UserColumns) -> None:
    """Write the stand-ins of a partition into its folder.

    Args:
        folder: the partition's.
        keys: ids of its users as bytes, ascending.
        users: as many.
    """
    kv.write(folder / FILE_NAME, zip(keys, users.stand_ins(), strict=True))


class StandIns:
    """The compact copies of one partition's users, open for reading.

    Args:
        folder: of the partition.
        factors: dimensions of a taste vector.
    """

    def __init__(self, folder: Path, factors: int) -> None:
        self._users = kv.Reader(folder / FILE_NAME)
        self._factors = factors

    def __len__(self) -> int:
        return len(self._users)

    def user(self, user_id: str) -> UserRecord | None:
        """A user's record, as far as a stand-in has it, or None for one whose home is another partition.

        Nothing in it views the file, so that it may outlive this reader.
        """
        data = self._users.get(user_id.encode())
        return None if data is None else records.decode_stand_in(data, self._factors)

    def sample_users(self, count: int) -> list[str]:
        """Ids of `count` users spread over the partition, for warming up."""
        return [str(key, "utf-8") for key in self._users.spread(count)]

    def close(self) -> None:
        """Give the file back."""
        self._users.close()
