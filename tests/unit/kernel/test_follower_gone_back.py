"""A log that was restored from an older copy, or was gone for a while, is told from the one that was read."""

from __future__ import annotations

import pytest
from watched_follower import Watched, event, filled, turns

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.lineage import digest_of
from trunkshow.online.positions import Since


async def test_a_log_that_began_anew_is_read_from_its_beginning() -> None:
    """Its places are its own."""
    log = await filled(2)
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 2)
        log.name, log.records = "another", []
        await log.append([event(9)], 1)
        await turns(lambda: len(watched.heard) == 3)
        assert watched.heard[-1] == ("e9", 1)
        assert watched.follower.progress.text == "another/0:1"


async def test_a_snapshot_of_a_longer_log_is_read_for_from_the_beginning() -> None:
    """The log was restored from an older copy; or it has grown since, and has another record where that ends."""
    watched = Watched(await filled(5))
    last = (3, digest_of(watched.log.records[2]))
    for until, record, same in ((3, last, True), (6, last, False), (3, (3, "another"), False)):
        since = Since(Watermark("log", {0: until}), 0, {0: record})
        assert await watched.follower.start_of(since) == (since.start if same else None)
    assert await watched.follower.start_of(Since(None, 0)) is None
    assert await watched.follower.start_of(Since(Watermark("another", {0: 9}), 0)) == Watermark("another", {0: 0})


async def test_a_log_that_went_back_is_heard_on_from_there() -> None:
    """One restored from an older copy has the same name, and what comes next is new, the first record as well."""
    log = await filled(5)
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 5)
        log.records = log.records[:2]
        log.begin_at = 2
        await log.append([event(9)], 1)
        await turns(lambda: len(watched.heard) == 6)
        assert watched.heard[-1] == ("e9", 3)
        await turns(lambda: len(watched.heard) == 9)  # from its beginning: what came since may be anywhere
        assert watched.heard[6:] == [("e1", 1), ("e2", 2), ("e9", 3)]
        assert watched.follower.progress.text == "log/0:3"
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        assert watched.went_back == 1


async def test_who_follows_a_log_from_its_end_goes_on_where_it_ends_once_it_went_back() -> None:
    """Its end tells, before anything is read; who replays is told that there is something to replay."""
    log = await filled(5)
    async with Watched(log).following(from_end=True) as watched:
        await turns(lambda: watched.follower.progress.watermark is not None)
        log.records = log.records[:2]
        log.turn()
        await turns(lambda: watched.went_back == 1)
        assert watched.follower.progress.text == "log/0:2"
        for number in (6, 7, 8, 9):
            await log.append([event(number)], 1)
        await turns(lambda: len(watched.heard) == 4)
        assert watched.heard == [("e6", 3), ("e7", 4), ("e8", 5), ("e9", 6)]
        assert watched.went_back == 1


async def test_a_log_that_seems_to_end_early_for_a_moment_is_the_same() -> None:
    """As a topic may after a change of its leader."""
    log = await filled(5)
    async with Watched(log).following() as watched:
        await turns(lambda: len(watched.heard) == 5)
        whole, log.records = log.records, log.records[:2]
        looked = len(watched.slept)
        await turns(lambda: len(watched.slept) > looked + 4)
        log.records = whole
        await log.append([event(6)], 1)
        await turns(lambda: len(watched.heard) == 6)
        looked = len(watched.slept)
        await turns(lambda: len(watched.slept) > looked + 30)
        assert (watched.went_back, len(watched.heard)) == (0, 6)


@pytest.mark.parametrize(("kept", "back"), [(3, 0), (1, 1)], ids=["as it was", "restored, and longer than it was"])
async def test_a_log_that_was_gone_is_known_by_the_last_record_that_was_read(kept: int, back: int) -> None:
    """Its end would not tell: as many records came as had been lost, and more."""
    log = await filled(3)
    async with Watched(log).following() as watched:
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        await turns(lambda: len(watched.slept) > 3)  # in which the log was looked at
        log.gone = True
        await turns(lambda: watched.follower._gone)
        log.gone = False
        log.records = log.records[:kept]
        for number in range(6, 10):
            await log.append([event(number)], 1)
        await turns(lambda: not watched.follower._gone)
        came = {(f"e{number}", kept - 5 + number) for number in range(6, 10)}
        await turns(lambda: came <= set(watched.heard))
        assert watched.went_back == back
