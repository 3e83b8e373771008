"""For how long events are kept is a router's setting; tombstones and items have times of their own."""

from __future__ import annotations

import time

import pytest
from worlds import WITHIN_S, NatsWorld, event

from router.config import RouterConfig
from router.logs import items_of, log_of, recorder_of, tombstones_of
from trunkshow.eventlog.opening import ITEM_DAYS, TOMBSTONE_DAYS
from trunkshow.eventlog.settings import DAY_S
from trunkshow.serving.deadline import Deadline, monotonic

DAYS = 2.5


@pytest.fixture
def config(nats_world: NatsWorld) -> RouterConfig:
    """Of a router that keeps events for so long."""
    return RouterConfig(store="", shards=("127.0.0.1:1",), log=nats_world.url, log_days=DAYS, log_gib_max=0.25)


async def test_a_routers_setting_is_the_logs_own_limit_and_changes_no_other_logs(config: RouterConfig) -> None:
    """The server says so itself."""
    kept_days = []
    for log in (log_of(config), tombstones_of(config), items_of(config)):
        assert log is not None
        await log.end(WITHIN_S)
        assert log.age_s is not None
        kept_days.append(log.age_s / DAY_S)
        await log.close()
    assert kept_days == [DAYS, TOMBSTONE_DAYS, ITEM_DAYS]


async def test_an_event_that_is_older_than_the_log_keeps_is_refused_and_named(config: RouterConfig) -> None:
    """By the same setting; the one beside it is recorded."""
    log = log_of(config)
    recorder = recorder_of(config, log, lambda _: None, lambda: 0, monotonic)
    young, old = event("ada", 0), event("ada", 1)
    now_s = int(time.time())
    young.timestamp.seconds, old.timestamp.seconds = (now_s - round(days * DAY_S) for days in (DAYS - 1, DAYS + 1))
    done = await recorder.record([old, young], Deadline.after(1000 * WITHIN_S, monotonic()))
    assert [(one.field, one.reason) for one in done.refused] == [("events[0].timestamp", "TIMESTAMP_ANCIENT")]
    assert done.recorded == 1
    assert log is not None
    await log.close()
