"""A generation: one snapshot as this shard holds it. Its pieces come and go one by one.

A piece's life; each step is logged by `shard.opening`, and reported through `Watch`:

    loading → warm       it was fetched, verified, opened, and answered the warm-up requests
    loading → refused    it failed a check; tried again after a while
    warm    → surplus    others should hold it; it is served until they do
    surplus → closed     no new request sees it, and those that did have ended

What is to be held is decided in `shard.holdings`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from types import MappingProxyType

import structlog

from shard.online.port import NOTHING_ONLINE, Online
from shard.predict import Predictor
from shard.scene import Kind, Piece, Sizes
from shard.uses import Uses
from trunkshow import pacing
from trunkshow.errors import TrunkshowError
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.stand_ins import StandIns
from trunkshow.v1 import recommendation_pb2 as rpb
from trunkshow.v1 import shard_pb2 as pb

Opened = Partition | StandIns

NOTHING_REFUSED: Mapping[Piece, str] = MappingProxyType({})

REPLAYED_MAX = 16
"""Recent requests that a piece answers before it is warm, beside the warm-up: they are paced, and it is waited for."""

WHY_MAX = 300
"""Characters of a reason that is reported."""

log = structlog.get_logger()


class Generation:
    """The pieces of one snapshot that this shard holds.

    Attributes:
        snapshot: opened.
        sizes: of what it could hold.
        warm: its partitions that may be asked.
        stand_ins: the compact copies that may be asked, by the partition whose users they stand for.
        predictor: answers from these.
        uses: who is reading them.

    Args:
        snapshot: opened.
        warm_requests: replayed per piece before it is reported warm.
        online: what users did since.
    """

    def __init__(self, snapshot: Snapshot, warm_requests: int, online: Online = NOTHING_ONLINE) -> None:
        self.snapshot = snapshot
        self.sizes = Sizes.of(snapshot.manifest, snapshot.partitions)
        self.warm: dict[int, Partition] = {}
        self.stand_ins: dict[int, StandIns] = {}
        self.predictor = Predictor(snapshot, self.warm, self.stand_ins, online)
        self.uses = Uses()
        self._warm_requests = warm_requests

    @property
    def pieces(self) -> list[Piece]:
        """What is warm."""
        version = self.snapshot.version
        homes = [Piece(version, Kind.HOME, number) for number in self.warm]
        return homes + [Piece(version, Kind.STAND_IN, number) for number in self.stand_ins]

    def open(self, piece: Piece, recent: Sequence[pb.PredictRequest]) -> Opened:
        """Fetch, verify, open and warm a piece, which nobody sees yet. Blocking: call it off the event loop.

        Args:
            piece: of this snapshot.
            recent: requests of shoppers; those who live in the piece are answered from it.

        Raises:
            StoreError: the store does not give its files.
            SnapshotRefused: it fails a check.
            RuntimeError: a model raised: it would not answer.
        """
        if piece.kind is Kind.STAND_IN:
            copies = self.snapshot.open_stand_ins(piece.number)
            with _closed_on_error(copies):
                self.predictor.warm_up_stand_ins(copies, self._warm_requests)
            return copies
        opened = self.snapshot.open_partition(piece.number)
        with _closed_on_error(opened):
            self.predictor.warm_up(opened, self._warm_requests)
            asyncio.run(self._replay(piece.number, opened, recent))
        return opened

    async def _replay(self, number: int, opened: Partition, recent: Sequence[pb.PredictRequest]) -> None:
        """Answer the newest requests of shoppers who live here, by a predictor that knows this partition alone.

        One that cannot be answered refuses nothing: it is a stranger's, who may ask for what nobody thought of. That
        the partition answers ordinary requests was seen before.
        """
        failed: list[Exception] = []
        replayed = 0
        with closing(self.snapshot.lend()) as lent:
            aside = Predictor(lent, {number: opened}, apart=self.predictor.apart)
            for asked in reversed(recent):
                if replayed == REPLAYED_MAX:
                    break
                try:
                    if _lives(asked, opened):
                        replayed += 1
                        await aside.predict(self._again(asked, number))
                except TrunkshowError:  # what the catalogue of then understood, this one may not
                    continue
                except Exception as error:
                    failed.append(error)
                pacing.rest()  # this loop is its thread's own: nobody else waits on it
        if failed:
            version = self.snapshot.version
            log.error("replay.failed", snapshot=version, number=number, requests=len(failed), exc_info=failed[0])

    def _again(self, asked: pb.PredictRequest, number: int) -> pb.PredictRequest:
        """A request of before, to be answered from a partition of this snapshot."""
        again = pb.PredictRequest()
        again.CopyFrom(asked)
        again.snapshot_version, again.rung = self.snapshot.version, rpb.RUNG_SNAPSHOT
        again.partitions[:] = [number]
        return again

    def adopt(self, piece: Piece, opened: Opened) -> None:
        """From now on the piece is asked."""
        if isinstance(opened, StandIns):
            self.stand_ins[piece.number] = opened
        else:
            self.warm[piece.number] = opened

    def drop(self, piece: Piece) -> None:
        """From now on the piece is not asked; it is closed once nobody reads it."""
        held: dict[int, Partition] | dict[int, StandIns]
        held = self.stand_ins if piece.kind is Kind.STAND_IN else self.warm
        self.uses.close(held.pop(piece.number).close)

    def status(
        self,
        loading: Collection[Piece] = (),
        refused: Mapping[Piece, str] = NOTHING_REFUSED,
        surplus: Collection[Piece] = (),
    ) -> pb.GenerationStatus:
        """What `Watch` reports; pieces of other versions are left out."""
        version = self.snapshot.version
        bad, bad_copies = _numbers(version, Kind.HOME, refused), _numbers(version, Kind.STAND_IN, refused)
        first = [Piece(version, Kind.HOME, number) for number in bad]
        first += [Piece(version, Kind.STAND_IN, number) for number in bad_copies]
        return pb.GenerationStatus(
            snapshot_version=version,
            warm=sorted(self.warm),
            stand_ins=sorted(self.stand_ins),
            loading=_numbers(version, Kind.HOME, loading),
            loading_stand_ins=_numbers(version, Kind.STAND_IN, loading),
            refused=bad,
            refused_stand_ins=bad_copies,
            why_refused=refused[first[0]][:WHY_MAX] if first else "",
            surplus=_numbers(version, Kind.HOME, surplus),
        )

    def close(self) -> None:
        """Give every file back, once nobody reads it."""
        for piece in self.pieces:
            self.drop(piece)
        self.uses.close(self.snapshot.close)


class _closed_on_error:  # noqa: N801 - a context manager
    """Gives an opened file back where what is done with it fails: LMDB opens a file once per process."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._opened.close()


def _lives(asked: pb.PredictRequest, opened: Partition) -> bool:
    """Whether whoever asked lives in this partition."""
    return not asked.vector and opened.user(rpb.RecommendRequest.FromString(asked.request).user_id) is not None


def _numbers(version: str, kind: Kind, pieces: Iterable[Piece]) -> list[int]:
    return sorted(piece.number for piece in pieces if piece.version == version and piece.kind is kind)
