"""Files that are no good, stores that are gone and machines that are short of something: told, and tried again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from keeper_stage import EVERYTHING, NEIGHBOUR, OWN, Stage, Store
from structlog.testing import capture_logs

from shard.keeper import Keeper
from shard.scene import Limits
from trunkshow.serving import metrics
from trunkshow.snapshot import partition
from trunkshow.snapshot.cached_store import CachedStore
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.manifest import FILE_NAME, SnapshotRefused
from trunkshow.snapshot.store import DiskFailed, NoSuchSnapshot, StoreError, StoreUnreachable
from trunkshow.v1 import shard_pb2 as pb


async def test_a_spoilt_partition_costs_itself_alone_and_is_tried_again(stage: Stage) -> None:
    """Refused, said to be, and mended once its files are."""
    version = stage.pointer.current
    spoilt = stage.folder(version) / partition.name(1) / "items.npy"
    good = spoilt.read_bytes()
    spoilt.write_bytes(b"")
    await stage.settle()
    said = next(one for one in stage.keeper.status() if one.snapshot_version == version)
    assert "items.npy" in said.why_refused
    refused = [list(said.refused)]
    before = (stage.warm()[version], refused, stage.state)
    spoilt.write_bytes(good)
    stage.now += 1000
    await stage.settle()
    assert before == ([0, 2, 3], [[1]], pb.SHARD_STATE_DEGRADED)
    assert (stage.warm()[version], stage.state) == (EVERYTHING, pb.SHARD_STATE_READY)
    assert not any(one.why_refused for one in stage.keeper.status())


async def test_spoilt_copies_of_users_are_told_once_they_failed_twice(stage: Stage) -> None:
    """No other shard holds them, so that this one makes sure; until then they are on their way."""
    version = stage.pointer.current
    copies = stage.folder(version) / partition.name(1) / "standins.lmdb"
    good = copies.read_bytes()
    copies.write_bytes(good[:-1])

    def told() -> tuple[list[int], list[int], bool]:
        said = next(one for one in stage.keeper.status() if one.snapshot_version == version)
        return list(said.loading_stand_ins), list(said.refused_stand_ins), "standins.lmdb" in said.why_refused

    heard = []
    for _ in range(2):
        await stage.settle(members=(OWN, NEIGHBOUR))
        heard.append(told())
        stage.now += 1000
    copies.write_bytes(good)
    await stage.settle(members=(OWN, NEIGHBOUR))
    assert heard == [([1], [], False), ([], [1], True)]
    assert told() == ([], [], False)


@pytest.mark.parametrize("fault", ["missing", "truncated", "flipped"])
async def test_a_version_that_fails_a_check_is_refused_and_the_one_before_is_served(stage: Stage, fault: str) -> None:
    """With one clear line, however often it is tried."""
    version, path = stage.pointer.current, stage.folder(stage.pointer.current) / "taste" / "directions.npy"
    good = path.read_bytes()
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(good[:-1] if fault == "truncated" else bytes([*good[:-1], good[-1] ^ 1]))
    with capture_logs() as logs:
        await stage.settle()
        stage.now += 1000
        await stage.settle()
    assert stage.warm() == {stage.pointer.previous: EVERYTHING}
    assert stage.state == pb.SHARD_STATE_DEGRADED
    assert [line["snapshot"] for line in logs if line["event"] == "snapshot.refused"] == [version]


async def test_a_version_is_opened_although_the_manifest_of_the_one_before_is_spoilt(stage: Stage) -> None:
    """It proves nothing; to promote another one is the way out of it, and is allowed."""
    path = stage.folder(stage.pointer.previous) / FILE_NAME
    path.write_bytes(path.read_bytes()[:-2])
    with capture_logs() as logs:
        await stage.settle()
    assert stage.warm() == {stage.pointer.current: EVERYTHING}
    assert stage.state == pb.SHARD_STATE_READY
    assert {line["snapshot"] for line in logs if line["event"] == "snapshot.refused"} == {stage.pointer.previous}


@pytest.mark.parametrize(
    ("fault", "event"),
    [
        (StoreUnreachable("no answer"), "partition.not_given"),
        (StoreError("403 AccessDenied"), "partition.not_given"),
        (DiskFailed("the cache does not take copies: No space left on device"), "partition.not_given"),
        (OSError(errno.EIO, "Input/output error"), "partition.not_given"),
        (OSError(errno.EMFILE, "Too many open files"), "partition.not_given"),
        (MemoryError(), "partition.not_given"),
        (NoSuchSnapshot("the store has no such snapshot"), "partition.refused"),
        (SnapshotRefused("items.npy does not have the checksum"), "partition.refused"),
        (FileNotFoundError(errno.ENOENT, "items.npy"), "partition.refused"),
        (RuntimeError("a model raised"), "partition.refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_fails_is_told_once_and_tried_again(stage: Stage, fault: Exception, event: str) -> None:
    """What is warm is served meanwhile. What a store or this machine cannot do is no fault of the snapshot's."""
    await stage.settle(members=(OWN, NEIGHBOUR))
    Store.fault = fault
    with capture_logs() as logs:
        for _ in range(3):
            stage.now += 1000
            await stage.settle()
    told = [line["event"] for line in logs if line["log_level"] == "error"]
    assert {line["snapshot"] for line in logs if line["event"] == event} == {stage.pointer.current}
    during = stage.warm()[stage.pointer.current]
    refused = any(one.refused for one in stage.keeper.status())
    Store.fault = None
    stage.now += 1000
    await stage.settle()
    assert told == [event]
    assert refused is (event == "partition.refused")
    assert (during, stage.warm()[stage.pointer.current]) == ([0, 2], EVERYTHING)


async def test_at_the_start_a_store_that_serves_nothing_ends_it(tmp_path: Path) -> None:
    """A misconfiguration is loud."""
    stage = Stage(tmp_path)
    await stage.settle(Pointer())
    with pytest.raises(StoreError, match="serves no snapshot"):
        await stage.keeper.ready()


async def test_at_the_start_a_version_that_fails_a_check_ends_it_where_there_is_no_other(stage: Stage) -> None:
    """Nobody would be served."""
    (stage.folder(stage.pointer.current) / "taste" / "directions.npy").unlink()
    alone = Pointer(1, {stage.pointer.current: stage.pointer.states[stage.pointer.current]})
    await stage.settle(alone)
    with pytest.raises(SnapshotRefused):
        await stage.keeper.ready()


async def test_a_store_that_is_gone_is_counted_although_there_is_a_copy(stage: Stage, tmp_path: Path) -> None:
    """Serving goes on from the copies; whoever watches the numbers learns of it all the same."""
    cached = CachedStore(stage.store, tmp_path / "cache")
    cached.pointer()
    stage.store.root.rename(tmp_path / "elsewhere")
    keeper = Keeper(
        cached, OWN, replicas=1, limits=Limits(0, 60.0), warm_requests=0, changed=lambda: None, clock=lambda: stage.now
    )
    before = metrics.REGISTRY.get_sample_value("trunkshow_shard_store_errors_total") or 0.0
    await keeper.pointing.look()
    assert metrics.REGISTRY.get_sample_value("trunkshow_shard_store_errors_total") == before + 1
