"""A keeper and what is kept of events: nothing is warm before that is known, and what cannot admit it ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest
from keeper_stage import EVERYTHING, OWN, PARTITIONS, WHO, Stage

from shard.online.port import NoLog, Online
from shard.scene import Piece
from trunkshow.snapshot.reader import Snapshot


class Waiting(NoLog):
    """Events that are not all known yet."""

    def __init__(self) -> None:
        self.wanted: set[Piece] = set()
        self.asked, self.known = asyncio.Event(), asyncio.Event()

    def want(self, pieces: Iterable[Piece], sole: Collection[Piece] = (), missing: Collection[Piece] = ()) -> None:
        """Remember."""
        self.wanted = set(pieces)

    async def whole(self, piece: Piece) -> None:
        """Wait."""
        assert piece in self.wanted  # or nobody would make it whole
        self.asked.set()
        await self.known.wait()


async def test_a_partition_is_warm_once_everything_is_known_that_its_users_did(two: Path) -> None:
    """Until then nobody is sent to it; what was warm before is served meanwhile."""
    online, stage = Waiting(), Stage(two)
    stage.keeper._online = stage.keeper.opening._online = online
    stage.keeper.joined((OWN,))
    stage.keeper.pointed(stage.pointer)
    stage.keeper.tend()
    await stage.keeper.lanes.bring_next()
    stage.keeper.tend()
    bringing = asyncio.create_task(stage.keeper.lanes.bring_next())
    await online.asked.wait()
    assert stage.warm() == {stage.pointer.current: []}
    online.known.set()
    await bringing
    assert len(stage.warm()[stage.pointer.current]) == 1
    stage.keeper.close()


async def test_a_partition_that_waits_for_the_log_does_not_hold_up_what_nobody_has(two: Path) -> None:
    """Others have it, and it may wait for as long as a replay goes on; those behind it nobody serves meanwhile."""

    class OneWaits(Waiting):
        async def whole(self, piece: Piece) -> None:
            if not self.asked.is_set():
                await super().whole(piece)

    online, stage = OneWaits(), Stage(two)
    keeper, current = stage.keeper, stage.pointer.current
    keeper._online = keeper.opening._online = online
    keeper.joined((OWN,))
    keeper.pointed(stage.pointer)
    keeper.tend()
    await keeper.lanes.bring_next()
    keeper.tend()
    bringing = asyncio.create_task(keeper.lanes.bring_next())
    await online.asked.wait()
    for _ in EVERYTHING:
        await keeper.lanes.pass_by()
    assert len(stage.warm()[current]) == PARTITIONS - 1
    online.known.set()
    await bringing
    assert stage.warm()[current] == EVERYTHING
    keeper.close()


async def test_who_keeps_online_events_is_told_which_version_is_current(stage: Stage) -> None:
    """Also once that is another one."""
    told: list[str] = []

    class Told(NoLog):
        """Keeps it."""

        def point(self, version: str) -> None:
            """One more time."""
            told.append(version)

    stage.keeper._online = Told()
    await stage.settle()
    assert set(told) == {stage.pointer.current}
    told.clear()
    await stage.settle(stage.pointer.rolled_back(WHO))
    assert set(told) == {stage.pointer.previous}


class Refusing(NoLog):
    """What cannot admit a snapshot."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.dismissed: list[str] = []

    def admit(self, snapshot: Snapshot) -> Online:
        """It fails."""
        self.snapshots.append(snapshot)
        raise RuntimeError("there is a bug")

    def dismiss(self, version: str) -> None:
        """Remember."""
        self.dismissed.append(version)


async def test_a_snapshot_that_cannot_be_admitted_is_closed_and_ends_nothing(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure like any other: told, and tried again later."""
    closed: list[Snapshot] = []
    monkeypatch.setattr(Snapshot, "close", lambda snapshot: closed.append(snapshot))
    online, stage = Refusing(), Stage(two)
    stage.keeper._online = stage.keeper.opening._online = online
    stage.keeper.joined((OWN,))
    stage.keeper.pointed(stage.pointer)
    stage.keeper.tend()
    await stage.keeper.lanes.bring_next()
    current = stage.pointer.current
    assert (closed, online.dismissed) == (online.snapshots, [current])
    assert list(stage.keeper.opening.failures.of) == [current]
    assert stage.warm() == {}
    stage.keeper.close()
