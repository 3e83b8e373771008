"""How far behind a log its reader is, by the ends that were asked for and reached."""

from __future__ import annotations

from watched_follower import Watched, filled, turns

from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.progress import ENDS_MAX, FRESH_WITHIN_S, Progress
from trunkshow.serving import metrics


async def test_the_lag_told_is_that_of_the_reader_that_is_most_behind() -> None:
    """A process may have several; one that ended has none, and is not kept."""
    log, held = await filled(1), await filled(1)
    held.held = True
    async with Watched(log).following() as watched:
        await turns(lambda: watched.follower.progress.is_caught_up(watched.now))
        watched.now += 3
        assert lag_told() == watched.follower.lag_s
        async with Watched(held).following() as behind:
            await turns(lambda: held.reads != [])
            assert lag_told() == behind.follower.lag_s == float("inf")
        assert lag_told() == watched.follower.lag_s
    assert lag_told() == 0.0


def lag_told() -> float | None:
    """As Prometheus reads it."""
    return metrics.REGISTRY.get_sample_value("trunkshow_log_lag_seconds")


def test_a_reader_is_as_fresh_as_the_last_end_that_it_reached() -> None:
    """It lags by the time since it asked for that."""
    progress = Progress()
    assert not progress.is_caught_up(1000.0)
    progress.began(Watermark("log", {0: 5}))
    progress.ended(Watermark("log", {0: 7}), 10.0)
    assert not progress.is_caught_up(10.0)
    progress.read(Watermark("log", {0: 7}))
    assert progress.lag_s(12.0) == 2.0
    assert (progress.is_caught_up(10 + FRESH_WITHIN_S), progress.is_caught_up(10.1 + FRESH_WITHIN_S)) == (True, False)


def test_a_log_that_began_anew_and_is_empty_is_known_at_once() -> None:
    """There is nothing in it to be read."""
    progress = Progress()
    progress.began(Watermark("log", {0: 5}))
    progress.ended(Watermark("log", {0: 9}), 10.0)
    progress.ended(Watermark("another"), 20.0)
    assert (progress.lag_s(21.0), progress.text) == (1.0, "another/")


def test_a_reader_that_stays_behind_reaches_an_end_all_the_same() -> None:
    """However long ago that was asked for: of the ends that wait too many are dropped, and not the oldest."""
    progress, late = Progress(), 1000
    progress.began(Watermark("log"))
    for moment in range(10 * late):
        progress.ended(Watermark("log", {0: moment + 1}), float(moment))
        if moment >= late:
            progress.read(Watermark("log", {0: moment - late + 1}))
    assert late <= progress.lag_s(10.0 * late) < 2 * late
    assert len(progress._ends) <= ENDS_MAX


def test_ends_that_a_log_went_back_from_are_not_waited_for() -> None:
    """They may never be reached again."""
    progress = Progress()
    progress.began(Watermark("log", {0: 5}))
    progress.ended(Watermark("log", {0: 9}), 10.0)
    progress.read(Watermark("log", {0: 3}))
    progress.ended(Watermark("log", {0: 4}), 20.0)
    progress.read(Watermark("log", {0: 4}))
    assert progress.lag_s(21.0) == 1.0
