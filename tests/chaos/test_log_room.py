"""The room of the event log: little of it is left, and given back."""

from __future__ import annotations

from pathlib import Path

import nats_servers

from cli.chaos import log_room
from trunkshow.eventlog.log import EventLog, LogFull
from trunkshow.eventlog.opening import open_log
from trunkshow.eventlog.settings import LogSettings
from trunkshow.v1 import events_pb2

WITHIN_S = 60.0
ROOM_BYTES = 4096


async def recorded(log: EventLog, events: int) -> int:
    """How many of so many events a log takes, one by one."""
    for number in range(events):
        event = events_pb2.Event(event_id=f"{number}", user_id="ada", context={"note": "x" * 256})
        try:
            await log.append([event], WITHIN_S)
        except LogFull:
            return number
    return events


async def test_a_log_has_so_much_room_and_no_more_and_then_all_of_it_again(tmp_path: Path) -> None:
    """What it held stays, and what it refused it takes afterwards."""
    with nats_servers.running(tmp_path) as server:
        log = open_log(server.url, LogSettings(), {})
        assert await recorded(log, 50) == 50
        await log_room.leave(server.url, ROOM_BYTES)
        taken = await recorded(log, 50)
        assert 0 < taken < ROOM_BYTES / 256
        assert await recorded(log, 1) == 0
        assert (await log.end(WITHIN_S)).counts == {0: 50 + taken}
        await log_room.allow(server.url, LogSettings().bytes_max)
        assert await recorded(log, 50) == 50
        await log.close()
