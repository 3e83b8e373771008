"""New items into their log beside the event log: what breaks the contract is answered for, the rest is written.

Outcomes are those of recording events (`router.recording.recorder`). What makes an item right is
`trunkshow.eventlog.item_validation`'s to say; how its readers show it, `trunkshow.online.growth`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from router.recording.recorder import ANSWER_MS, ASK_AGAIN_MS
from trunkshow.errors import NOT_AGAIN, Overloaded, Unavailable
from trunkshow.eventlog import item_validation
from trunkshow.eventlog.log import ItemLog, LogFull, LogUnavailable
from trunkshow.eventlog.watermark import Watermark
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, Deadline, monotonic
from trunkshow.v1 import events_pb2 as pb

RECORDED = metrics.counter("trunkshow_items_recorded_total", "New items that are in their log.")
REFUSED = metrics.counter("trunkshow_items_refused_total", "New items that break the contract.", ("reason",))

log = structlog.get_logger()


class ItemRecorder:
    """Writes items.

    Args:
        item_log: that they are written to; None where there is none.
        now: a port: seconds since 1970.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self, item_log: ItemLog | None, now: Callable[[], float] = time.time, clock: Clock = monotonic
    ) -> None:
        self._log = item_log
        self._now = now
        self._clock = clock

    async def record(self, items: Sequence[pb.NewItem], deadline: Deadline) -> pb.RecordItemsResponse:
        """Write what is right of these items.

        Args:
            items: of one call.
            deadline: of the call.

        Raises:
            InvalidArgument: there are none, or too many.
            Unavailable: it is not known whether they are in the log.
            Overloaded: there is no room; a part of them may be in the log all the same.
        """
        checked = item_validation.check(items, self._now())
        watermark = await self._tell(checked.right, deadline) if checked.right else None
        RECORDED.inc(len(checked.right))
        for one in checked.refused:
            REFUSED.labels(one.reason).inc()
        return pb.RecordItemsResponse(
            recorded=len(checked.right),
            refused=[one.to_message() for one in checked.refused],
            watermark=str(watermark or ""),
        )

    async def _tell(self, items: Sequence[pb.NewItem], deadline: Deadline) -> Watermark:
        if self._log is None:
            message = "this router has no event log, and no log of items beside it; it is started with --log"
            raise Unavailable(message, reason="NO_EVENT_LOG", retry_after_ms=NOT_AGAIN)
        began = self._clock()
        try:
            watermark = await self._log.tell(items, deadline.reserving(ANSWER_MS, began).remaining_s(began))
        except LogFull as error:
            message = f"the items' log has no room ({error}); send these items again, it may have some of them"
            raise Overloaded(message, reason="LOG_FULL", retry_after_ms=ASK_AGAIN_MS) from error
        except LogUnavailable as error:
            message = f"the items' log did not say that it has these ({error}); send them again"
            raise Unavailable(message, reason="LOG_UNAVAILABLE") from error
        log.info("items.recorded", items=len(items), watermark=str(watermark))
        return watermark
