"""What a shard holds follows the pointer and the membership; whatever fails on the way, what is warm is served."""

from __future__ import annotations

import asyncio
import errno
import gc
import math
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from structlog.testing import capture_logs

from builder.pipeline import BuildSettings, build
from shard import opening
from shard.heard import Word
from shard.holdings import LINGER_S, SETTLE_S, TURN_S
from shard.keeper import Keeper
from shard.online.port import NoLog, Online
from shard.opening import HANGS_S, HELD_S, HELD_UP_S
from shard.placement import share
from shard.scene import Kind, Limits, Piece
from trunkshow import pacing
from trunkshow.serving import metrics
from trunkshow.snapshot import partition
from trunkshow.snapshot.cached_store import CachedStore
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.lifecycle import Pointer, Who
from trunkshow.snapshot.manifest import FILE_NAME, SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import DiskFailed, NoSuchSnapshot, StoreError, StoreUnreachable
from trunkshow.v1 import shard_pb2 as pb

OWN = "own:1"
PARTITIONS = 4
WITHIN_S = 60
WHO = Who("2026-01-01T00:00:00Z")


class Store(FolderStore):
    """A folder that fails when it is told to."""

    fault: Exception | None = None

    def ensure(self, version: str, files: object) -> Path:
        """Its files, or the fault."""
        if Store.fault is not None:
            raise Store.fault
        return super().ensure(version, files)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions, the second one current. Look, but do not touch."""
    folder = tmp_path_factory.mktemp("two")
    settings = BuildSettings(partitions=PARTITIONS, factors=8)
    for number in (1, 2):
        dataset = datasets.write(datasets.clustered(120, 80, 12, seed=number), folder / f"data-{number}")
        build(dataset, folder / "store", settings, lambda *_: None)
    return folder / "store"


class Stage:
    """A keeper on a store of its own; time, the membership and routers' words are the test's."""

    def __init__(self, store: Path) -> None:
        self.now = 1000.0
        self.said = 0
        self.store = Store(store)
        self.keeper = Keeper(
            self.store,
            OWN,
            replicas=1,
            limits=Limits(1 << 30, 60.0),
            warm_requests=2,
            changed=self._changed,
            clock=lambda: self.now,
        )
        self.pointer = self.store.pointer()

    def _changed(self) -> None:
        self.said += 1

    async def settle(self, pointer: Pointer | None = None, members: tuple[str, ...] = (OWN,)) -> None:
        """Until there is nothing left to open, or everything left has to rest."""
        self.keeper.joined(members)
        self.keeper.pointed(pointer or self.pointer)
        for _ in range(6 * PARTITIONS):
            self.keeper.tend()
            await self.keeper.bring_next()
        self.keeper.tend()

    def folder(self, version: str) -> Path:
        """Where a version's files are."""
        return self.store.folder(version)

    def warm(self) -> dict[str, list[int]]:
        """Partitions, by version."""
        return {version: sorted(one.warm) for version, one in self.keeper.generations.items()}

    @property
    def state(self) -> pb.ShardState:
        """As it is reported."""
        return self.keeper.state()


@pytest.fixture
async def stage(two: Path, tmp_path: Path) -> Iterator[Stage]:  # type: ignore[misc]
    """A keeper on a copy of the two versions, to be broken."""
    Store.fault = None
    made = Stage(Path(shutil.copytree(two, tmp_path / "store")))
    yield made
    made.keeper.close()


EVERYTHING = list(range(PARTITIONS))
NEIGHBOUR = next(
    name for name in map("other-{}:1".format, range(1000)) if share(OWN, (OWN, name), PARTITIONS, 1) == (0, 2)
)


def everywhere(version: str, at: float, others: int = 1) -> Word:
    """A router that sees so many others hold everything."""
    return Word(at, {(version, number): others for number in EVERYTHING})


async def test_the_current_version_is_opened_then_the_one_before(stage: Stage) -> None:
    """So that rolling back needs no loading."""
    await stage.settle()
    assert stage.warm() == {stage.pointer.current: EVERYTHING, stage.pointer.previous: EVERYTHING}
    assert list(stage.warm()) == [stage.pointer.current, stage.pointer.previous]
    assert stage.state == pb.SHARD_STATE_READY


async def test_without_room_for_it_the_previous_version_is_not_open(stage: Stage) -> None:
    """Neither its partitions nor what they share, from when its manifest was read; and it is not opened again."""
    stage.keeper = Keeper(
        stage.store,
        OWN,
        replicas=1,
        limits=Limits(0, 60.0),
        warm_requests=2,
        changed=lambda: None,
    )
    with capture_logs() as logs:
        await stage.settle()
    opened = [line["snapshot"] for line in logs if line["event"] == "snapshot.opened"]
    assert opened == [stage.pointer.current, stage.pointer.previous]
    assert stage.warm() == {stage.pointer.current: EVERYTHING}


async def test_what_nobody_has_is_opened_without_a_rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a start; what is opened while the version before is served gives way to requests."""
    shares: dict[Piece | str, float] = {}
    paced = pacing.paced
    opening = stage.keeper.opening
    bring = opening.bring

    async def noted(key: Piece | str, parent: str, share: float, *, passing: bool) -> Exception | None:
        shares[key] = share
        return await bring(key, parent, share, passing=passing)

    monkeypatch.setattr(opening, "bring", noted)
    asked: list[float] = []
    monkeypatch.setattr(pacing, "paced", lambda share: asked.append(share) or paced(share))
    await stage.settle()
    current, previous = stage.pointer.current, stage.pointer.previous
    hurried = {current, *(Piece(current, Kind.HOME, number) for number in EVERYTHING)}
    assert {key for key, share in shares.items() if share == pacing.ALL} == hurried
    assert previous in shares
    assert asked == list(shares.values())


async def test_ready_is_said_as_soon_as_the_current_version_is_whole(stage: Stage) -> None:
    """Not before, and not only after the previous one is."""
    stage.keeper.joined((OWN,))
    stage.keeper.pointed(stage.pointer)
    states = []
    for _ in range(2 * PARTITIONS + 1):
        stage.keeper.tend()
        await stage.keeper.bring_next()
        stage.keeper.tend()
        states.append(stage.state)
    assert states[-2:] == [pb.SHARD_STATE_LOADING, pb.SHARD_STATE_READY]
    assert stage.pointer.previous not in stage.keeper.generations


@pytest.mark.parametrize(("variance", "opened"), [(0.5, False), (math.inf, True)])
async def test_a_version_unlike_the_one_before_is_not_opened_beyond_the_variance(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, variance: float, opened: bool
) -> None:
    """Counts are compared with the version before; without a limit they may be anything."""
    ours, before = stage.pointer.current, stage.pointer.previous
    parent = stage.store.manifest(before)
    grown = replace(parent, counts={**parent.counts, "users": 10 * parent.counts["users"]})
    manifest = stage.store.manifest
    monkeypatch.setattr(Store, "manifest", lambda _, version: grown if version == before else manifest(version))
    stage.keeper.opening.variance = variance
    await stage.settle()
    assert (ours in stage.keeper.generations) is opened
    assert before in stage.keeper.generations


async def test_a_version_is_opened_although_the_manifest_of_the_one_before_is_spoilt(stage: Stage) -> None:
    """It proves nothing; to promote another one is the way out of it, and is allowed."""
    path = stage.folder(stage.pointer.previous) / FILE_NAME
    path.write_bytes(path.read_bytes()[:-2])
    with capture_logs() as logs:
        await stage.settle()
    assert stage.warm() == {stage.pointer.current: EVERYTHING}
    assert stage.state == pb.SHARD_STATE_READY
    assert {line["snapshot"] for line in logs if line["event"] == "snapshot.refused"} == {stage.pointer.previous}


async def test_a_shard_holds_its_share_and_the_copies_of_its_neighbours_users(stage: Stage) -> None:
    """And nothing else is open: more shards, less memory each."""
    await stage.settle(members=(OWN, NEIGHBOUR))
    held = stage.keeper.generations[stage.pointer.current]
    assert (sorted(held.warm), sorted(held.stand_ins)) == ([0, 2], [1, 3])


async def test_what_moved_is_surplus_until_others_have_it(stage: Stage) -> None:
    """It is served, and said to be surplus, and then it is closed."""
    await stage.settle()
    await stage.settle(members=(OWN, NEIGHBOUR))
    version = stage.pointer.current
    surplus = [list(one.surplus) for one in stage.keeper.status() if one.snapshot_version == version]
    assert (surplus, stage.warm()[version]) == ([[1, 3]], EVERYTHING)
    stage.now += SETTLE_S
    stage.keeper.hear("router", everywhere(version, stage.now))
    stage.keeper.tend()
    stage.now += LINGER_S + TURN_S  # the other one's turn is first
    stage.keeper.tend()
    assert stage.warm()[version] == [0, 2]


class Hanging:
    """A store that does not come back with the partitions of one version, or so many of them."""

    def __init__(self, stage: Stage, version: str, monkeypatch: pytest.MonkeyPatch, times: float = math.inf) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.hung = 0
        ensure = Store.ensure

        def hangs(store: Store, of: str, files: Collection[str]) -> Path:
            if of == version and self.hung < times and any(path.startswith("partitions/") for path in files):
                self.hung += 1
                self.asked.set()
                self.go.wait(WITHIN_S)
            return ensure(store, of, files)

        monkeypatch.setattr(Store, "ensure", hangs)
        self.pointer = replace(stage.pointer, states={stage.pointer.current: State.CURRENT, version: State.REHEARSING})

    async def until(self, so: Callable[[], object]) -> None:
        """Bounded: what is waited for is done by threads."""
        async with asyncio.timeout(WITHIN_S):
            while not so():  # noqa: ASYNC110  # a thread sets no event of ours
                await asyncio.sleep(0.002)


async def test_a_candidate_whose_files_hang_does_not_hold_up_what_is_served(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour leaves meanwhile, and what it had is in this shard's own cache."""
    current, candidate = stage.pointer.current, stage.pointer.previous
    await stage.settle(replace(stage.pointer, states={current: State.CURRENT}), members=(OWN, NEIGHBOUR))
    store = Hanging(stage, candidate, monkeypatch)
    keeper = stage.keeper
    keeper.pointed(store.pointer)
    keeper.tend()
    await keeper.bring_next()  # what its partitions share
    keeper.tend()
    hung = asyncio.ensure_future(keeper.bring_next())
    await store.until(store.asked.is_set)
    keeper.joined((OWN,))
    keeper.tend()
    await keeper.pass_by()
    assert stage.warm()[current] == [0, 2]  # not before it is clear that it hangs
    stage.now += HELD_UP_S
    for _ in range(2 * PARTITIONS):
        await keeper.pass_by()
    assert stage.warm() == {current: EVERYTHING, candidate: []}
    store.go.set()
    await hung
    assert len(stage.warm()[candidate]) == 1


async def test_partitions_whose_files_hang_do_not_hold_up_the_others_of_what_is_served(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These may be in this shard's own cache; each that hangs, too, has its own time to show that it does."""
    current = stage.pointer.current
    store = Hanging(stage, current, monkeypatch, times=2)
    keeper = stage.keeper
    keeper.joined((OWN,))
    keeper.pointed(replace(stage.pointer, states={current: State.CURRENT}))
    keeper.tend()
    await keeper.bring_next()  # what its partitions share
    keeper.tend()
    hung = []
    for lane in (keeper.bring_next, keeper.pass_by):
        hung.append(asyncio.ensure_future(lane()))
        await store.until(lambda: store.hung == len(hung))
        stage.now += HELD_UP_S
        await keeper.pass_by()
        assert stage.warm()[current] == []  # not before it is clear that it hangs
        stage.now += HANGS_S - HELD_UP_S
    for _ in range(2 * PARTITIONS):
        await keeper.pass_by()
    assert len(stage.warm()[current]) == PARTITIONS - 2
    store.go.set()
    await asyncio.gather(*hung)
    assert stage.warm()[current] == EVERYTHING


async def test_what_a_thread_reads_that_nobody_waits_for_any_more_stays_open(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version was refused meanwhile; to unmap what is being read would end the process."""
    current, candidate = stage.pointer.current, stage.pointer.previous
    await stage.settle(replace(stage.pointer, states={current: State.CURRENT}))
    store = Hanging(stage, candidate, monkeypatch)
    keeper = stage.keeper
    keeper.pointed(store.pointer)
    keeper.tend()
    await keeper.bring_next()
    keeper.tend()
    monkeypatch.setattr(opening, "OPEN_WITHIN_S", 0.01)
    await keeper.bring_next()
    await store.until(store.asked.is_set)
    keeper.pointed(replace(store.pointer, states={current: State.CURRENT, candidate: State.REFUSED}))
    keeper.tend()
    assert candidate in keeper.generations
    store.go.set()
    await store.until(lambda: not keeper.opening._read)
    keeper.tend()
    assert candidate not in keeper.generations


async def test_what_is_read_is_not_closed(stage: Stage) -> None:
    """A request that began before goes on to its end; later ones do not see the partition."""
    await stage.settle()
    held = stage.keeper.generations[stage.pointer.current]
    going = held.warm[1]
    with held.uses.reading():
        held.drop(next(piece for piece in held.pieces if piece.number == 1 and piece.kind is Kind.HOME))
        assert 1 not in held.warm
        assert going.user(going.sample_users(1)[0]) is not None
        assert held.uses.waiting == 1
    assert held.uses.waiting == 0


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


async def test_who_hears_of_a_version_hears_what_of_it_is_on_the_way(stage: Stage) -> None:
    """Never that nothing is: a router would take the version for whole."""
    heard: list[pb.GenerationStatus] = []
    stage.keeper = Keeper(
        stage.store,
        OWN,
        replicas=1,
        limits=Limits(1 << 30, 60.0),
        warm_requests=2,
        changed=lambda: heard.extend(stage.keeper.status()),
    )
    await stage.settle(members=(OWN, NEIGHBOUR))
    first = next(one for one in heard if one.snapshot_version == stage.pointer.current)
    assert (list(first.loading), list(first.loading_stand_ins)) == ([0, 2], [1, 3])


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


async def test_a_swap_keeps_what_was_serving_until_the_new_version_is_everywhere(stage: Stage) -> None:
    """Of two versions that are both not current any more, none is closed before."""
    first, second = stage.pointer.previous, stage.pointer.current
    back = stage.pointer.rolled_back(WHO)
    await stage.settle(back)
    assert (back.current, stage.warm()) == (first, {first: EVERYTHING})
    assert second not in stage.keeper.generations


async def test_what_is_closed_for_good_is_forgotten_by_the_store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its copies go; those of what may be rolled back to do not."""
    forgotten: list[str] = []
    monkeypatch.setattr(Store, "forget", lambda _, version: forgotten.append(version))
    await stage.settle()
    before = list(forgotten)
    stage.keeper.pointed(stage.pointer.rolled_back(WHO))
    stage.keeper.tend()
    stage.now += LINGER_S
    await stage.settle(stage.pointer.rolled_back(WHO))
    assert (before, forgotten) == ([], [stage.pointer.current])


def is_mapped(version: str) -> bool:
    """Whether this process has any of a version's files mapped."""
    return f"/{version}/" in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
async def test_what_is_closed_for_good_is_mapped_no_more(stage: Stage) -> None:
    """Also where something that holds it is held in a circle, as tasks that ended are: the collector may come late."""
    await stage.settle()
    current = stage.pointer.current
    circle: list[object] = [stage.keeper.generations[current].snapshot]
    circle.append(circle)
    del circle
    gc.disable()
    try:
        stage.keeper.pointed(stage.pointer.rolled_back(WHO))
        stage.keeper.tend()
        stage.now += LINGER_S
        await stage.settle(stage.pointer.rolled_back(WHO))
        assert is_mapped(current)  # somebody may be at it still, who lets go by themselves
        stage.now += HELD_S
        await stage.keeper.bring_next()
    finally:
        gc.enable()
    assert current not in stage.keeper.generations
    assert not is_mapped(current)


async def test_what_is_closed_is_closed_a_few_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once would keep every request waiting, in every shard at the same moment."""
    monkeypatch.setattr("shard.keeper.CLOSED_AT_ONCE", 1)
    await stage.settle()
    gone = stage.pointer.current
    stage.keeper.pointed(stage.pointer.rolled_back(WHO))
    stage.keeper.tend()
    stage.now += LINGER_S
    for left in reversed(range(len(stage.keeper.generations[gone].pieces))):
        stage.keeper._poked.clear()
        stage.keeper.tend()
        assert len(stage.keeper.generations[gone].pieces if left else ()) == left
        assert stage.keeper._poked.is_set() is bool(left)  # the next turn comes at once, where something is left
    assert gone not in stage.keeper.generations


async def test_a_rollback_needs_no_loading_and_the_poisoned_version_goes(stage: Stage) -> None:
    """Ready at once: the previous version was open all along."""
    await stage.settle()
    stage.keeper.pointed(stage.pointer.rolled_back(WHO))
    stage.keeper.tend()
    at_once = stage.state
    stage.now += LINGER_S
    stage.keeper.tend()
    assert (at_once, stage.warm()) == (pb.SHARD_STATE_READY, {stage.pointer.previous: EVERYTHING})


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


async def test_who_never_was_a_member_counts_himself_in(stage: Stage) -> None:
    """He is on his way there; who was one, and is not, holds nothing in the end."""
    await stage.settle(members=(NEIGHBOUR,))
    joining = stage.warm()[stage.pointer.current]
    await stage.settle(members=(OWN, NEIGHBOUR))
    await stage.settle(members=(NEIGHBOUR,))
    stage.now += SETTLE_S
    stage.keeper.hear("router", everywhere(stage.pointer.current, stage.now))
    stage.keeper.tend()
    stage.now += LINGER_S + TURN_S  # the other one's turn is first
    stage.keeper.tend()
    assert (joining, stage.warm()[stage.pointer.current]) == ([0, 2], [])


async def test_a_leaving_shard_waits_for_nobody_where_no_router_speaks(stage: Stage) -> None:
    """There is nobody to keep waiting for."""
    await stage.settle()
    stage.keeper.watchers = 1
    await stage.keeper.handed_over()
    stage.keeper.watchers = 0
    stage.keeper.hear("router", Word(stage.now))
    await stage.keeper.handed_over()


async def test_a_leaving_shard_goes_once_the_routers_say_that_others_have_its_share(stage: Stage) -> None:
    """And hears them while it waits."""
    await stage.settle(members=(OWN, NEIGHBOUR))
    stage.keeper.watchers = 1
    stage.keeper.hear("router", Word(stage.now))
    leaving = asyncio.create_task(stage.keeper.handed_over())
    await asyncio.sleep(0)
    early = leaving.done()
    stage.now += SETTLE_S
    stage.keeper.hear("router", everywhere(stage.pointer.current, stage.now))
    await asyncio.wait_for(leaving, 60)
    assert not early


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
    await stage.keeper.bring_next()
    stage.keeper.tend()
    bringing = asyncio.create_task(stage.keeper.bring_next())
    await online.asked.wait()
    assert stage.warm() == {stage.pointer.current: []}
    online.known.set()
    await bringing
    assert len(stage.warm()[stage.pointer.current]) == 1
    stage.keeper.close()


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
    await stage.keeper.bring_next()
    current = stage.pointer.current
    assert (closed, online.dismissed) == (online.snapshots, [current])
    assert list(stage.keeper.opening.failures.of) == [current]
    assert stage.warm() == {}
    stage.keeper.close()
