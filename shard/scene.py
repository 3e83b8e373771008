"""What a plan of a shard follows from, and what it is: values. What follows is `shard.holdings`' to say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

from shard import placement
from shard.heard import Word
from trunkshow.snapshot import partition
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import Manifest
from trunkshow.snapshot.reader import SHARED
from trunkshow.snapshot.stand_ins import FILE_NAME as STAND_INS_FILE


class Kind(IntEnum):
    """What a piece is; homes are opened first."""

    HOME = 0
    STAND_IN = 1


class Piece(NamedTuple):
    """What is opened and closed at a time: a partition of a version, or the compact copies of its users."""

    version: str
    kind: Kind
    number: int


@dataclass(frozen=True)
class Sizes:
    """What of a snapshot can be held.

    Attributes:
        homes: bytes of each partition's files.
        stand_ins: bytes of the compact copies of each partition's users, where there are any.
        shared: bytes of the files that are mapped with whatever is held of it.
    """

    homes: tuple[int, ...]
    stand_ins: Mapping[int, int] = field(default_factory=dict)
    shared: int = 0

    def of_piece(self, piece: Piece) -> int:
        """Bytes of a piece's files."""
        return self.stand_ins[piece.number] if piece.kind else self.homes[piece.number]

    @classmethod
    def of(cls, manifest: Manifest, partitions: int) -> Sizes:
        """As the manifest says."""
        homes, stand_ins = [0] * partitions, dict[int, int]()
        numbers = {partition.name(number): number for number in range(partitions)}
        for path, file in manifest.files.items():
            folder, _, name = path.rpartition("/")
            number = numbers.get(folder)
            if number is not None and name == STAND_INS_FILE:
                stand_ins[number] = file.bytes
            elif number is not None:
                homes[number] += file.bytes
        return cls(tuple(homes), stand_ins, sum(file.bytes for file in manifest.under(*SHARED).values()))


@dataclass(frozen=True)
class Peers:
    """The shards that there are.

    Attributes:
        own: this one's name.
        members: all, this one among them unless it was taken out.
        leaving: those that drain.
        replicas: shards that should hold a partition.
    """

    own: str
    members: frozenset[str]
    leaving: frozenset[str] = frozenset()
    replicas: int = 2

    @property
    def staying(self) -> frozenset[str]:
        """Those that partitions are placed on."""
        return self.members - self.leaving

    @property
    def copies(self) -> int:
        """Shards that hold a partition once everything is settled."""
        return min(self.replicas, len(self.staying))

    @property
    def place(self) -> int:
        """How many come before this one, in the order of their names."""
        return sum(name < self.own for name in self.members)

    def holds(self, number: int) -> bool:
        """Whether a partition is this shard's to hold."""
        return self.own in placement.holders(number, self.staying, self.replicas)

    def is_first(self, number: int) -> bool:
        """Whether a partition is this shard's before anybody else's."""
        return self.own in placement.holders(number, self.staying, 1)

    def stands_in(self, number: int) -> bool:
        """Whether the compact copies of a partition's users are this shard's to hold."""
        return self.own == placement.stand_in(number, self.staying, self.replicas)


@dataclass(frozen=True)
class Limits:
    """How much is kept, and how long.

    Attributes:
        previous_bytes_max: of the files of the previous version, and of those that made way.
        handover_s: after this long a shard gives up what fewer others have than should.
    """

    previous_bytes_max: int
    handover_s: float


@dataclass(frozen=True)
class Plan:
    """What follows.

    Attributes:
        wanted: what should be held, in the order in which it is opened.
        surplus: what is held and should not be, and since when.
        idle: of that, what nobody needs any more, and since when.
        close: of that, what may be closed now.
        spread: the current version and since when it is everywhere, while it is.
        outlived: versions that were served before one that took root, and have not been current since.
    """

    wanted: tuple[Piece, ...] = ()
    surplus: Mapping[Piece, float] = field(default_factory=dict)
    idle: Mapping[Piece, float] = field(default_factory=dict)
    close: tuple[Piece, ...] = ()
    spread: tuple[str, float] = ("", 0.0)
    outlived: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scene:
    """Everything that a plan follows from.

    Attributes:
        now: seconds of the monotonic clock.
        pointer: as it was last seen.
        sizes: of the versions whose manifests are known.
        peers: the shards that there are.
        open: what is held warm.
        words: of the routers, those that are fresh.
        limits: how much is kept, and how long.
    """

    now: float
    pointer: Pointer
    sizes: Mapping[str, Sizes]
    peers: Peers
    open: Collection[Piece]
    words: tuple[Word, ...]
    limits: Limits

    @cached_property
    def copies(self) -> tuple[int, int]:
        """Of each partition of the current version at least so many: that others hold, by every word, and with our own.

        Worked out once for a scene: it is asked for with every piece that is surplus, and there may be thousands.
        """
        current = self.pointer.current
        sizes = self.sizes.get(current)
        if not self.words or sizes is None:
            return 0, 0
        mine = {piece.number for piece in self.open if piece.version == current and piece.kind is Kind.HOME}
        numbers = range(len(sizes.homes))
        others = [min(word.others.get((current, number), 0) for word in self.words) for number in numbers]
        return min(others), min(held + (number in mine) for number, held in zip(numbers, others, strict=True))
