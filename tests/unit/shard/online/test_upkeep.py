"""What users do is in their next slate, whatever happens to the shard, to what it holds and to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import datasets
import pytest
from followed_log import FollowedLog
from online_shard import NEW, USER, Shard, click, event, items, nearness, turns, unlike

from shard.online.opened import Opened
from shard.online.state import EVENTS_MAX, Event
from shard.online.statistics import Heard
from shard.online.upkeep import Upkeep
from shard.online.users import Users
from shard.predict import Predictor
from shard.scene import Kind, Piece
from trunkshow.online import lineage
from trunkshow.online.forgotten_file import FILE_NAME
from trunkshow.online.newcomers import Newcomers, home_of
from trunkshow.online.progress import FRESH_WITHIN_S
from trunkshow.snapshot.additions import Addition, Additions
from trunkshow.snapshot.likeness import Description
from trunkshow.snapshot.partition import Partition
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import events_pb2, shard_pb2
from trunkshow.v1 import recommendation_pb2 as pb


async def test_what_was_liked_is_in_the_next_slate(shard: Callable[..., Shard]) -> None:
    """It moves towards that, at the rung FRESH, and its receipt says how much it knows."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        before = await up.slate(USER)
        liked = unlike(up, USER)
        mark = await up.hears(*(event(USER, item, events_pb2.INTERACTION_LIKE) for item in liked))
        after = await up.slate(USER)
        assert nearness(up, after, liked) > nearness(up, before, liked)
        assert {one.rung for one in after.carousels} == {pb.RUNG_FRESH}
        receipt = after.receipt
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_FRESH, str(mark), len(liked))


async def test_a_receipt_says_how_old_its_knowledge_is_at_most(shard: Callable[..., Shard]) -> None:
    """So long ago the log was asked for its end, all of which was read; where it never said one, nothing is claimed."""
    log = FollowedLog()
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        await up.hears(click(USER, unlike(up, USER)[0]))
        await turns(up.residents.is_fresh)
        log.gone = True
        asked_s = up.now
        up.now += 1.5
        assert (await up.slate(USER)).receipt.watermark_age_ms == pytest.approx((up.now - asked_s) * 1000)
    log.held = True
    async with shard(log).up() as late:
        late.residents.homes.hold(frozenset(late.partitions))
        late.residents.homes.replayed(frozenset(late.partitions))
        assert not (await late.slate(USER)).receipt.HasField("watermark_age_ms")


async def test_one_click_is_enough_for_a_carousel_about_it(shard: Callable[..., Shard]) -> None:
    """The history has it first."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        liked = unlike(up, USER)[0]
        await up.hears(click(USER, liked))
        slate = await up.slate(USER, wanted=("because-you-liked",))
        assert up.snapshot.catalogue.title(up.snapshot.catalogue.row(liked)) in slate.carousels[0].title


async def test_who_did_nothing_is_served_as_before(shard: Callable[..., Shard]) -> None:
    """Fresh, since that is known."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        slate = await up.slate(USER)
        plain = Predictor(up.snapshot, up.partitions, clock=lambda: up.now)
        up.predictor = plain
        assert items(slate) == items(await up.slate(USER))
        assert (slate.receipt.rung, slate.receipt.events_folded) == (pb.RUNG_FRESH, 0)
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_SNAPSHOT


async def test_a_shard_that_starts_again_knows_what_the_one_before_knew(shard: Callable[..., Shard]) -> None:
    """Before it says that it is warm; nothing is lost, and nothing counts twice."""
    log, users = FollowedLog(), [datasets.user_id(number) for number in range(20)]
    async with shard(log).up() as first:
        await first.hold(*first.partitions)
        for user in users:
            await first.hears(click(user, unlike(first, user)[0]), click(user, unlike(first, user)[1]))
        known = {user: items(await first.slate(user)) for user in users}
    log.twice = True
    async with shard(log).up() as second:
        await second.hold(*second.partitions)
        assert {user: items(await second.slate(user)) for user in users} == known
        assert {(await second.slate(user)).receipt.events_folded for user in users} == {2}


async def test_a_partition_that_is_taken_over_is_whole_before_it_is_warm(shard: Callable[..., Shard]) -> None:
    """What its users did while it was elsewhere is replayed, of nobody else."""
    async with shard().up() as up:
        home = up.home(USER)
        stranger = next(user for user in map(datasets.user_id, range(400)) if up.home(user) != home)
        await up.hold(up.home(stranger))
        await up.hears(click(USER, unlike(up, USER)[0]), click(stranger, unlike(up, stranger)[0]))
        assert list(up.upkeep.hearing.users) == [stranger]
        await up.hold(up.home(stranger), home)
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.events_folded) == (pb.RUNG_FRESH, 1)
        await up.hold(home)
        await turns(lambda: list(up.upkeep.hearing.users) == [USER])


async def test_a_log_that_is_gone_keeps_nothing_from_being_served(shard: Callable[..., Shard]) -> None:
    """From the snapshot, until it is back."""
    log = FollowedLog()
    await log.append([click(USER, "item-0001")], 1)
    log.gone = True
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_SNAPSHOT, "", 0)
        log.gone = False
        await turns(lambda: not up.residents.homes.lacking)
        await turns(lambda: up.residents.is_fresh())
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_FRESH


async def test_what_was_folded_in_stays_when_the_log_goes(shard: Callable[..., Shard]) -> None:
    """But nobody can say any more that it is fresh."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        mark = await up.hears(click(USER, unlike(up, USER)[0]))
        fresh = await up.slate(USER)
        up.log.gone = True
        up.now += FRESH_WITHIN_S + 2
        slate = await up.slate(USER)
        receipt = slate.receipt
        assert items(slate) == items(fresh)
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_SNAPSHOT, str(mark), 1)


async def test_a_router_is_told_what_must_not_stand_in_for_an_empty_carousel(shard: Callable[..., Shard]) -> None:
    """A newcomer who did nothing but to hide items has no taste: the router's list would begin with what they hid."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(*(event(NEW, f"item-000{number}", events_pb2.INTERACTION_HIDE) for number in (3, 5)))
        request = pb.RecommendRequest(user_id=NEW).SerializeToString()
        asked = {"snapshot_version": up.snapshot.version, "partitions": [0], "request": request}
        empty = await up.predictor.predict(shard_pb2.PredictRequest(**asked, carousels=["for-you"]))
        assert [one.reason for one in empty.missing] == [pb.REASON_CAROUSEL_EMPTY]
        assert (list(empty.hidden), list(empty.had)) == (["item-0005", "item-0003"], [])
        whole = await up.predictor.predict(shard_pb2.PredictRequest(**asked, carousels=["popular"]))
        assert not (whole.missing or whole.hidden)


async def test_what_is_hidden_is_not_shown_again(shard: Callable[..., Shard]) -> None:
    """Nor what was ordered, where an item does not come back; though a click alone hides nothing."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        first, second, third, *_ = items(await up.slate(USER))
        hidden, ordered = events_pb2.INTERACTION_HIDE, events_pb2.INTERACTION_ORDER
        await up.hears(event(USER, first, hidden), event(USER, second, ordered))
        assert first not in items(await up.slate(USER))
        assert (second in items(await up.slate(USER))) == up.snapshot.repeat
        await up.hears(click(USER, third))
        assert third in items(await up.slate(USER))


async def test_what_is_to_be_in_the_slate_is_waited_for(shard: Callable[..., Shard]) -> None:
    """And where it does not come in time, the receipt says so."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        up.log.held = True
        mark = str(await up.log.append([click(USER, unlike(up, USER)[0])], 1))
        late = (await up.slate(USER, at_least_as_fresh=mark)).receipt
        waiting = asyncio.create_task(up.slate(USER, at_least_as_fresh=mark))
        await asyncio.sleep(0)
        up.log.held = False
        up.log.turn()
        there = (await waiting).receipt
        assert (list(late.reasons), late.events_folded) == ([pb.REASON_NOT_AS_FRESH], 0)
        assert (list(there.reasons), there.events_folded, there.watermark) == ([], 1, mark)
        another = (await up.slate(USER, at_least_as_fresh="another/0:1")).receipt
        assert list(another.reasons) == [pb.REASON_NOT_AS_FRESH]


async def test_a_stranger_is_served_where_their_first_click_leads(shard: Callable[..., Shard]) -> None:
    """After two clicks, as anybody who lives there; and after a restart too."""
    log = FollowedLog()
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        liked, *more = unlike(up, USER)
        await up.hears(click(NEW, "of-nobody"), event(NEW, more[2], events_pb2.INTERACTION_HIDE))
        assert up.residents.homes.partition_of(NEW) is None
        await up.hears(click(NEW, liked), click(NEW, more[0]))
        slate = await up.slate(NEW)
        assert (slate.receipt.rung, slate.receipt.events_folded) == (pb.RUNG_FRESH, 3)
        assert set(more[1:]) & set(items(slate)) - {more[2]}
        assert more[2] not in items(slate)
        home = up.home(NEW)
    async with shard(log).up() as elsewhere:
        await elsewhere.hold(*(number for number in elsewhere.partitions if number != home))
        await turns(lambda: not list(elsewhere.upkeep.hearing.users))
        await elsewhere.hold(*elsewhere.partitions)
        assert items(await elsewhere.slate(NEW)) == items(slate)


async def test_a_snapshot_is_told_from_the_log_by_its_watermark(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was built with is not folded in again, also where it is sent again later."""
    log = FollowedLog()
    built_with = event(USER, "item-0001", events_pb2.INTERACTION_CLICK, after_s=-1)
    mark = await log.append([built_with], 1)
    await log.append([click(USER, "item-0002")], 1)
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, log_watermark=str(mark)))
    async with Shard(snapshot, log, partitions).up() as up:
        await up.hold(*partitions)
        await up.hears(built_with)
        assert (await up.slate(USER)).receipt.events_folded == 1


LONGER = {"log_watermark": "log/0:9", "forgotten_watermark": "gone/0:9"}
"""Of a snapshot that was built with more of its logs than is in them now."""


async def test_a_snapshot_of_a_log_that_was_restored_from_an_older_copy_is_served_with_what_came_since(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came has the numbers of what the snapshot was built with; a shard that starts reads all of it."""
    monkeypatch.setattr(lineage, "LOOKS_MIN", 1)
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, **LONGER))
    log = FollowedLog()
    await log.append([event(USER, "item-0001", events_pb2.INTERACTION_CLICK, after_s=-1)], 1)
    await log.append([click(USER, "item-0002")], 1)
    async with Shard(snapshot, log, partitions).up() as up:
        await up.hold(*partitions)
        await up.hears(click(USER, "item-0003"))
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.events_folded) == (pb.RUNG_FRESH, 2)


async def test_a_tombstone_of_after_the_logs_were_restored_is_honoured(
    snapshot: Snapshot, partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the number of one that the snapshot was built with, and the snapshot was built without it."""
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, **LONGER))
    async with Shard(snapshot, FollowedLog(), partitions).up() as up:
        await up.hold(*partitions)
        assert not await up.unknown(USER)
        await up.forgets(USER, after_s=100)
        assert await up.unknown(USER)


async def test_what_came_while_the_log_of_a_shard_was_restored_is_replayed(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read on behind what it knows; it sees that the log ends before that, and reads all of it again."""
    monkeypatch.setattr(lineage, "LOOKS_MIN", 1)
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(click(USER, "item-0001"))
        await up.hears(click(USER, "item-0002"))
        await up.hears(click(USER, "item-0003"))
        up.log.records = up.log.records[:1]
        await up.log.append([click(USER, "item-0004")], 1)
        await turns(lambda: up.upkeep.follower.progress.text == "log/0:2")
        await turns(lambda: len(up.upkeep.hearing.users.of(USER)) == 4)
        await turns(lambda: len(up.residents.homes.whole) == len(up.partitions))
        assert (await up.slate(USER)).receipt.events_folded == 4


async def test_there_is_a_limit_to_what_is_kept(shard: Callable[..., Shard]) -> None:
    """Whose events had to go is served from the snapshot, and it says so."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        up.upkeep.hearing.users._events_max = 2
        others = [datasets.user_id(number) for number in (3, 4)]
        await up.hears(*(click(user, "item-0001") for user in (USER, *others)))
        receipt = (await up.slate(USER)).receipt
        assert (receipt.rung, receipt.watermark, up.upkeep.hearing.users.events) == (pb.RUNG_SNAPSHOT, "", 2)
        assert (await up.slate(others[0])).receipt.rung == pb.RUNG_FRESH


async def test_who_did_more_than_is_kept_of_one_user_is_served_by_what_is_left_and_it_says_so(
    shard: Callable[..., Shard],
) -> None:
    """Not FRESH, and not as fresh as it was asked to be; others are."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        seen = unlike(up, USER)
        await up.hears(*(click(USER, seen[number % len(seen)]) for number in range(EVENTS_MAX)))
        assert (await up.slate(USER)).receipt.rung == pb.RUNG_FRESH
        mark = await up.hears(click(USER, seen[0]))
        receipt = (await up.slate(USER, at_least_as_fresh=str(mark))).receipt
        assert (receipt.rung, receipt.watermark, receipt.events_folded) == (pb.RUNG_SNAPSHOT, "", EVENTS_MAX)
        assert list(receipt.reasons) == [pb.REASON_NOT_AS_FRESH]
        assert (await up.slate(datasets.user_id(3))).receipt.rung == pb.RUNG_FRESH


async def test_what_was_merely_shown_takes_no_room(shard: Callable[..., Shard]) -> None:
    """It is most of what is recorded."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(event(USER, "item-0001", events_pb2.INTERACTION_IMPRESSION))
        assert up.upkeep.hearing.users.events == 0


async def test_a_forgotten_user_is_a_stranger_at_once(shard: Callable[..., Shard]) -> None:
    """Their events go, and what the snapshot knows of them is not used; another user's is."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        await up.hears(click(USER, unlike(up, USER)[0]))
        await up.forgets(USER, after_s=100)
        assert await up.unknown(USER)
        assert up.upkeep.hearing.users.of(USER) == ()
        assert not await up.unknown(datasets.user_id(18))


async def test_a_forgotten_user_is_a_stranger_after_a_restart(shard: Callable[..., Shard]) -> None:
    """Before the first answer, and whatever the log still has of them."""
    before = shard()
    async with before.up():
        await before.hold(*before.partitions)
        await before.hears(click(USER, unlike(before, USER)[0]))
        await before.forgets(USER, after_s=100)
    after = shard(before.log)
    after.tombstones.records = before.tombstones.records
    async with after.up():
        await after.hold(*after.partitions)
        assert await after.unknown(USER)


async def test_a_forgotten_user_is_a_stranger_after_a_restart_beside_a_log_that_is_gone(
    shard: Callable[..., Shard], tmp_path: Path
) -> None:
    """What was heard of them lies where the copies of the snapshots lie; the log has not said a word yet."""
    before = shard(cache=tmp_path)
    async with before.up():
        await before.forgets(USER, after_s=100)
        await turns(lambda: (tmp_path / FILE_NAME).exists())
    after = shard(cache=tmp_path)  # nothing of it runs
    assert await after.unknown(USER)
    assert after.upkeep.forgotten.watermark is None


@pytest.mark.parametrize("kind", [Kind.HOME, Kind.STAND_IN])
async def test_where_the_forgotten_come_first_nothing_is_served_before_they_are_known(
    shard: Callable[..., Shard], kind: Kind
) -> None:
    """However long the log does not answer; otherwise a partition is served after a while, and a stand-in at once."""
    for first in (False, True):
        made = shard(forgotten_first=first)
        made.tombstones.gone = True
        async with made.up():
            piece = Piece(made.snapshot.version, kind, made.home(USER))
            made.upkeep.want([piece])
            made.now += 3600
            served = asyncio.create_task(made.upkeep.whole(piece))
            for _ in range(50):
                await asyncio.sleep(0)
            assert served.done() is not first
            made.tombstones.gone = False
            await made.forgets(USER, after_s=100)
            await turns(served.done)
            assert await made.unknown(USER)


async def test_who_comes_back_is_somebody_new(shard: Callable[..., Shard]) -> None:
    """Known by what they did since, and by nothing else; what was done before and comes late is forgotten, too."""
    async with shard().up() as up:
        await up.hold(*up.partitions)
        old, new = unlike(up, USER)[:2]
        await up.forgets(USER, after_s=100)
        await up.hears(
            event(USER, old, events_pb2.INTERACTION_LIKE, after_s=50),
            event(USER, new, events_pb2.INTERACTION_LIKE, after_s=150),
        )
        folded = up.residents.folded(USER, None)
        assert folded is not None
        assert [up.snapshot.catalogue.id(row) for row in folded.record.items.tolist()] == [new]
        assert up.residents.homes.has(USER)
        assert (await up.slate(USER)).receipt.events_folded == 1


class Listening:
    """Hears of categories, as the snapshot has them that is open then."""

    name = "listening"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.opened: Opened | None = None

    def hear(self, heard: Heard) -> None:
        """The category of its item."""
        assert self.opened is not None
        self.heard.append(self.opened.category_of(heard.event.item_id))

    def forget(self, user_id: str) -> None:
        """Nothing is kept of anybody."""


async def test_what_is_counted_over_everybody_waits_for_a_snapshot_however_late_it_comes(snapshot: Snapshot) -> None:
    """Without one no category is known, nor a segment, and the past is heard once."""
    log, listening = FollowedLog(), Listening()
    mark = await log.append([click(USER, snapshot.catalogue.id(1))], 1)
    upkeep = Upkeep(log, None, (listening,), events_max=10, impressions_max=10, within_s=0.0)
    listening.opened = upkeep.opened
    upkeep.prepare(snapshot)
    running = asyncio.create_task(upkeep.run())
    await turns(lambda: upkeep.follower.progress.covers(mark))
    for _ in range(50):
        await asyncio.sleep(0)
    assert (listening.heard, upkeep.statistics.known_from_ms) == ([], None)
    upkeep.admit(snapshot)
    await turns(lambda: upkeep.statistics.known_from_ms is not None)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert listening.heard == [snapshot.catalogue.category(1)]
    assert listening.heard[0]


def test_an_item_that_comes_since_has_its_category_although_it_was_asked_for_before(
    shard: Callable[..., Shard], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of categories is of items that were built, which never change."""
    monkeypatch.setattr(snapshot.catalogue, "additions", Additions(len(snapshot.catalogue)))
    residents, built = shard().residents, snapshot.catalogue.id(1)
    assert [residents.category_of(item) for item in ("brand-new", built) * 2] == [
        "",
        snapshot.catalogue.category(1),
    ] * 2
    snapshot.add([Addition("brand-new", Description("Oat milk", "taste 1"))])
    assert residents.category_of("brand-new") == "taste 1"


async def test_who_is_unsettled_is_kept_by_every_shard_until_they_settle(
    shard: Callable[..., Shard], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever their first event with an item that was built leads: all that they did before is there."""
    log, others = FollowedLog(), FollowedLog()
    monkeypatch.setattr(snapshot.catalogue, "additions", Additions(len(snapshot.catalogue)))
    snapshot.add([Addition("brand-new", Description("Oat milk", "taste 1"))])
    async with shard(log).up() as here, shard(others).up() as there:
        liked = unlike(here, USER)[0]
        row = snapshot.catalogue.built_row(liked)
        assert row is not None
        home = home_of(snapshot.ials.equations, snapshot.codebook, row)
        await here.hold(home)
        await there.hold(*(number for number in there.partitions if number != home))
        first, hidden = click(NEW, "brand-new"), event(NEW, "item-0003", events_pb2.INTERACTION_HIDE)
        for one in (here, there):
            await one.hears(first, hidden)
            assert len(one.upkeep.hearing.users.of(NEW)) == 2
            one.upkeep._replaying.tidy_up()
            await turns(lambda one=one: not one.upkeep._replaying._untidy)  # type: ignore[misc]
            assert len(one.upkeep.hearing.users.of(NEW)) == 2
        settles = click(NEW, liked)
        await here.hears(settles)
        await there.hears(settles)
        assert (await here.slate(NEW)).receipt.events_folded == 3
        there.upkeep._replaying.tidy_up()
        await turns(lambda: not list(there.upkeep.hearing.users))
        assert len(here.upkeep.hearing.users.of(NEW)) == 3


async def test_whom_there_is_no_room_for_is_not_said_to_be_known_and_the_others_stay_where_they_live(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much comes, and on a shard that starts afterwards, too: FRESH is who has all of their events in it."""
    monkeypatch.setattr("shard.online.homes.Newcomers", partial(Newcomers, most=2))
    log, users = FollowedLog(), ("new-0", "new-1", "new-2")
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        liked = unlike(up, USER)
        await up.hears(*(click(user, liked[number]) for number, user in enumerate(users)))
        mark = await up.hears(*(click(user, liked[3]) for user in reversed(users)))
        await turns(up.residents.is_fresh)
        homes = [up.residents.homes.partition_of(user) for user in users]
        assert (homes[0] is None, homes[1] is None, homes[2]) == (False, False, None)
        live = [(await up.slate(user)).receipt for user in users[:2]]
    async with shard(log).up() as late:
        await late.hold(*late.partitions)
        await turns(late.residents.is_fresh)
        assert [late.residents.homes.partition_of(user) for user in users] == homes
        told = [(await late.slate(user)).receipt for user in users[:2]]
        for receipt in (*live, *told):
            assert (receipt.rung, receipt.events_folded) == (pb.RUNG_FRESH, 2)
        assert not late.upkeep.hearing.users.of("new-2")
        assert await late.residents.reached(mark, 1)
        assert not any(late.residents.is_whole("new-2", number) for number in late.partitions)
        assert late.residents.is_whole("new-0", homes[0] or 0)
        assert not late.residents.is_whole("new-0", int(homes[0] == 0))


async def test_events_that_are_no_good_cost_their_own_user_alone(
    shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others' events of the same record are in their slates; whoever lacks one has no slate that says FRESH."""
    other, add = datasets.user_id(3), Users.add

    def broken(users: Users, user_id: str, kept: Event) -> None:
        if user_id == other:
            raise ZeroDivisionError
        add(users, user_id, kept)

    monkeypatch.setattr(Users, "add", broken)
    log = FollowedLog()
    async with shard(log).up() as up:
        liked = unlike(up, USER)
        far, shown = click(USER, liked[2]), event(USER, liked[3], events_pb2.INTERACTION_IMPRESSION)
        far.timestamp.seconds, shown.timestamp.seconds = 10**12, -10_000_000
        await up.hold(*up.partitions)
        await up.hears(click(other, liked[0]), far, shown, click(USER, liked[1]))
        await turns(up.residents.is_fresh)
        live = [(await up.slate(user)).receipt for user in (USER, other)]
    async with shard(log).up() as late:
        await late.hold(*late.partitions)
        await turns(late.residents.is_fresh)
        for receipts in (live, [(await late.slate(user)).receipt for user in (USER, other)]):
            told = [(receipt.rung, receipt.events_folded) for receipt in receipts]
            assert told == [(pb.RUNG_FRESH, 1), (pb.RUNG_SNAPSHOT, 0)]
        assert len(late.upkeep.hearing.shown.to(USER) or ()) == 1


async def test_what_was_shown_before_the_snapshot_is_known_after_a_restart_too(
    shard: Callable[..., Shard], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would come back with every shard that starts, and replicas would differ; so far as the log has it."""
    log, stranger = FollowedLog(), "nobody-who-lives-here"
    async with shard(log).up() as up:
        await up.hold(*up.partitions)
        for user in (USER, stranger):
            shown = [event(user, "item-0001", events_pb2.INTERACTION_IMPRESSION, 60.0 * at) for at in range(1, 5)]
            await up.hears(*shown)
        before = up.upkeep.hearing.shown.to(USER)
        assert before is not None
        mark = await log.end(1)
    monkeypatch.setattr("trunkshow.online.positions.OVERLAP_RECORDS", 0)
    monkeypatch.setattr(snapshot, "manifest", replace(snapshot.manifest, log_watermark=str(mark)))
    async with shard(log).up() as late:
        await late.hold(*late.partitions)
        await turns(lambda: len(late.upkeep.hearing.shown.to(USER) or ()) == len(before))
        after = late.upkeep.hearing.shown.to(USER)
        assert after is not None
        assert dict(after.repeated(2)) == dict(before.repeated(2))
        assert stranger not in late.upkeep.hearing.shown
