"""`trunkshow forget` and `trunkshow forgotten`: forget a person, and see where they still are.

`forgotten` reads the tombstones and the log itself, opens every snapshot's directory in the store, looks into exports
and data sets (`cli.whereabouts`), and asks routers for a slate, whose receipt says whether the cluster knows them, and
how many tombstones they and their shards have read. What it was not told to look at it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli import output
from cli.access import NOTHING, Access
from cli.ask import CONNECT_WITHIN_S, DEFAULT_TARGET, Json, Target
from cli.output import UsageError
from trunkshow.errors import TrunkshowError
from trunkshow.eventlog.log import EventLog, LogUnavailable
from trunkshow.eventlog.opening import open_log, open_tombstones
from trunkshow.eventlog.settings import READ_ONLY
from trunkshow.forgetting import Place
from trunkshow.online.forgotten import BuiltWith, Forgotten, Tombstone, watermark_of
from trunkshow.online.positions import position_of
from trunkshow.online.tombstones import read_all
from trunkshow.receipts import Reason, Receipt
from trunkshow.serving import telemetry
from trunkshow.snapshot.manifest import Manifest, SnapshotRefused
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.store import Store, StoreError, open_store

LOG_WITHIN_S = 10.0
SLATE_WITHIN_MS = 2000
"""Nobody waits for this page. A router takes its own `--deadline-ms` at most; its answer may come late all the same."""


@Parameter(name="*")
@dataclass(frozen=True)
class ForgetOptions:
    """Where."""

    target: Target = DEFAULT_TARGET
    """Address of the router."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown; forgetting needs the role operate."""

    json: Json = False
    """Print the receipt as JSON."""


@Parameter(name="*")
@dataclass(frozen=True)
class ForgottenOptions:
    """Where to look."""

    log: str
    """The event log: nats://HOST:PORT/STREAM or kafka://HOST:PORT/TOPIC."""

    store: str = ""
    """The snapshot store: a folder, or s3://BUCKET/PREFIX; snapshots are not looked at where empty."""

    export: Annotated[tuple[Path, ...], Parameter(show_default=False, metavar="FOLDER")] = ()
    """A folder of `trunkshow export-events`; may be repeated."""

    dataset: Annotated[tuple[Path, ...], Parameter(show_default=False, metavar="FILE")] = ()
    """A data set file, whose sources are read whole, and whose export is looked into, too; may be repeated."""

    target: Annotated[tuple[str, ...], Parameter(show_default=False)] = ()
    """Address of a router to ask; may be repeated, since each knows of itself and its shards alone."""

    access: Annotated[Access, Parameter(name="*")] = NOTHING
    """What the router is shown."""

    json: Json = False
    """Print it as JSON."""

    @property
    def unseen(self) -> list[str]:
        """What there may be, and was not named."""
        named = {
            "snapshots (--store)": self.store,
            "exports (--export)": self.export or self.dataset,
            "your own files (--dataset)": self.dataset,
            "routers and shards (--target)": self.target,
        }
        return [what for what, there in named.items() if not there]


FORGET = ForgetOptions()


def forget(user: str, /, *, options: ForgetOptions = FORGET) -> None:
    """Forget a person: no slate, export or build uses what they did up to now.

    Args:
        user: who.
        options: where.
    """
    with options.access.client(options.target) as client:
        client.connect(CONNECT_WITHIN_S)
        receipt = client.forget(user)
    if options.json:
        output.show_json(receipt.to_json())
        return
    output.show(f"forgotten at {receipt.timestamp:%Y-%m-%d %H:%M:%S} UTC; tombstone {receipt.id}")
    output.show(*_lines(receipt.places))


def forgotten(user: str, /, *, options: ForgottenOptions) -> None:
    """See, place by place, where a person still is and where not; exit code 2 where they were not forgotten.

    Args:
        user: who.
        options: where to look.
    """
    telemetry.configure("warning")
    tombstone, of_log = asyncio.run(_in_logs(user, options.log))
    places = [*of_log]
    if options.store:
        places += _in_snapshots(user, tombstone, open_store(options.store))
    if options.export or options.dataset:
        places += _in_files(user, tombstone, options)
    for target in options.target:
        places += _in_cluster(user, tombstone, target, options.access)
    unseen = options.unseen
    if options.json:
        told = {"user": user, "forgotten": tombstone is not None, "places": [asdict(one) for one in places]}
        output.show_json({**told, "not_looked_at": unseen})
    else:
        output.show(*_lines(places), *([f"not looked at: {', '.join(unseen)}"] if unseen else []))
    if tombstone is None:
        raise UsageError("there is no tombstone of this person; `trunkshow forget` makes one")


def _lines(places: Iterator[Place] | list[Place] | tuple[Place, ...]) -> Iterator[str]:
    for one in places:
        yield f"{'[green]gone [/]' if one.done else '[yellow]still[/]'}  [bold]{one.place}[/]: {one.message}"


async def _in_logs(user: str, url: str) -> tuple[Tombstone | None, list[Place]]:
    try:
        log, tombstones = open_log(url, READ_ONLY), open_tombstones(url, READ_ONLY)
    except ValueError as error:
        raise UsageError(f"--log: {error}") from None
    try:
        people = await read_all(tombstones, LOG_WITHIN_S)
        return people.find(user), [_tombstone(people.find(user)), await _in_events(user, log, people)]
    except LogUnavailable as error:
        raise UsageError(str(error)) from None
    finally:
        await log.close()
        await tombstones.close()


def _tombstone(found: Tombstone | None) -> Place:
    if found is None:
        return Place("tombstone", False, "there is none: nobody was asked to forget them")
    when = datetime.fromtimestamp(found.time_ms / 1000, UTC)
    return Place("tombstone", True, f"of {when:%Y-%m-%d %H:%M:%S} UTC, number {found.at.number}")


async def _in_events(user: str, log: EventLog, people: Forgotten) -> Place:
    """Every record that is left in the log is read."""
    covered = afterwards = 0
    before, end = None, await log.end(LOG_WITHIN_S)
    async for read in log.read(None, end):
        at, before = position_of(before, read.watermark), read.watermark
        for event in read.record.events:
            if event.user_id == user:
                hidden = people.covers(user, at, event.timestamp.ToMilliseconds())
                covered, afterwards = covered + hidden, afterwards + (not hidden)
    new = f"; {afterwards} since then, of somebody new" if afterwards else ""
    if covered or people.find(user) is None:
        counted = covered or afterwards
        return Place("event log", False, f"{counted} of their events, until these are too old to be kept{new}")
    return Place("event log", True, f"none of their events{new}")


def _in_snapshots(user: str, tombstone: Tombstone | None, store: Store) -> Iterator[Place]:
    for version in store.versions():
        place = f"snapshot {version}"
        try:
            with closing(Snapshot.open(store, version)) as snapshot:
                yield _in_snapshot(place, snapshot.manifest, tombstone, knows=snapshot.directory.find(user) is not None)
        except (StoreError, SnapshotRefused, OSError) as error:
            yield Place(place, False, f"cannot be looked into: {error}")


def _in_snapshot(place: str, manifest: Manifest, tombstone: Tombstone | None, *, knows: bool) -> Place:
    if not knows:
        return Place(place, True, "does not know them")
    if tombstone is None:
        return Place(place, False, "knows them, and serves them")
    if BuiltWith.of(manifest).has(tombstone):
        return Place(place, True, "was built without what they did before; it knows somebody new")
    when = datetime.fromtimestamp(tombstone.time_ms / 1000, UTC)
    message = f"its files know them until `trunkshow gc` removes it; not served from since {when:%Y-%m-%d %H:%M:%S} UTC"
    return Place(place, False, message)


def _in_files(user: str, tombstone: Tombstone | None, options: ForgottenOptions) -> Iterator[Place]:
    try:
        from cli.whereabouts import in_files
    except ImportError as error:
        raise UsageError(f"the builder is not installed ({error.name}); install trunkshow[builder]") from error
    return in_files(user, tombstone, options.export, options.dataset)


def _in_cluster(user: str, tombstone: Tombstone | None, target: str, access: Access) -> Iterator[Place]:
    """A router and its shards: how many tombstones each has read; and a slate, whose receipt says who is known."""
    place = f"router {target}"
    try:
        with access.client(target, deadline_ms=SLATE_WITHIN_MS) as client:
            client.connect(CONNECT_WITHIN_S)
            receipt, status = client.recommend(user).receipt, client.status()
    except TrunkshowError as error:
        yield Place(place, False, f"cannot be asked: {error}")
        return
    yield _by_tombstones(place, tombstone, status.event_log.forgotten if status.event_log else "", "")
    for shard in status.shards:
        lost = "" if shard.reachable else f" (not reachable now: {shard.last_error})"
        yield _by_tombstones(f"shard {shard.address}", tombstone, shard.forgotten, lost)
    yield _in_slate(f"slate of {target}", receipt)


def _by_tombstones(place: str, tombstone: Tombstone | None, read: str, lost: str) -> Place:
    """Whoever has read the tombstone has dropped their events, and uses nothing of older snapshots."""
    if not read:
        return Place(place, False, f"has read no tombstones{lost}")
    if tombstone is None or not tombstone.is_known_to(watermark_of(read)):
        return Place(place, False, f"has read tombstones up to {read}, and none of theirs{lost}")
    return Place(place, True, f"has read the tombstone{lost}")


def _in_slate(place: str, receipt: Receipt) -> Place:
    if Reason.USER_UNKNOWN in receipt.reasons:
        return Place(place, True, "they are a stranger to it")
    made = f"it made a slate of the rung {receipt.rung.name.lower()}, with {receipt.events_folded} events folded in"
    return Place(place, False, made)
