"""Whether the event log answers, and how far it is: as told by who writes to it, or asked where nobody wrote lately."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Never

import structlog

from trunkshow.eventlog.log import EventLog, LogUnavailable
from trunkshow.eventlog.watermark import Watermark

LOOK_EVERY_S = 1.0
ANSWER_WITHIN_S = 1.0

log = structlog.get_logger()


@dataclass(frozen=True)
class LogState:
    """A log as it was last heard.

    Attributes:
        url: of it, without credentials.
        reachable: whether it answered.
        position: the newest watermark that was heard; None before the first.
        last_error: why it did not answer; empty where it did.
    """

    url: str
    reachable: bool = False
    position: Watermark | None = None
    last_error: str = ""

    def after(self, heard: Watermark | LogUnavailable) -> LogState:
        """As it is once this was heard. Positions only grow, unless the log began anew."""
        if isinstance(heard, LogUnavailable):
            return LogState(self.url, False, self.position, str(heard))
        known = self.position
        return LogState(self.url, True, known.joined(heard) if known and known.log == heard.log else heard)


class LogWatch:
    """Keeps the state of a log.

    Attributes:
        state: as of now.

    Args:
        event_log: to be asked.
    """

    def __init__(self, event_log: EventLog) -> None:
        self.state = LogState(event_log.url)
        self._log = event_log
        self._heard = False

    def hear(self, heard: Watermark | LogUnavailable) -> None:
        """What came of a try."""
        before, self.state = self.state, self.state.after(heard)
        self._heard = True
        if self.state.reachable and not before.reachable:
            log.info("log.reachable", log=self.state.url, position=str(self.state.position))
        elif before.reachable and not self.state.reachable:
            log.error("log.unreachable", log=self.state.url, error=self.state.last_error)

    async def run(self) -> Never:
        """Ask it every second in which nobody wrote."""
        while True:
            if not self._heard:
                await self._ask()
            self._heard = False
            await asyncio.sleep(LOOK_EVERY_S)

    async def _ask(self) -> None:
        try:
            self.hear(await self._log.end(ANSWER_WITHIN_S))
        except LogUnavailable as error:
            self.hear(error)
