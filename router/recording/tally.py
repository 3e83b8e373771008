"""What became of a stream of batches, summed up: at most so many refusals are kept, all are counted."""

from __future__ import annotations

from dataclasses import replace

from router.recording.recorder import Outcome
from trunkshow.eventlog.validation import Refusal
from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import events_pb2 as pb

REFUSED_MAX = 100


class Tally:
    """Of one stream.

    Attributes:
        recorded: events so far.
    """

    def __init__(self) -> None:
        self.recorded = 0
        self._seen = 0
        self._refused = 0
        self._first_refused: list[pb.RefusedEvent] = []
        self._watermark: Watermark | None = None

    def add(self, outcome: Outcome) -> None:
        """One more batch; where its refusals stand in it becomes where they stand in the stream."""
        for one in outcome.refused[: REFUSED_MAX - len(self._first_refused)]:
            self._first_refused.append(_moved(one, self._seen))
        self._seen += outcome.recorded + len(outcome.refused)
        self._refused += len(outcome.refused)
        self.recorded += outcome.recorded
        self._watermark = _later(self._watermark, outcome.watermark)

    def answer(self) -> pb.StreamEventsResponse:
        """The sum."""
        return pb.StreamEventsResponse(
            recorded=self.recorded,
            refused=self._refused,
            first_refused=self._first_refused,
            watermark=str(self._watermark or ""),
        )


def _moved(refusal: Refusal, by: int) -> pb.RefusedEvent:
    index = refusal.index + by
    field = refusal.field.replace(f"[{refusal.index}]", f"[{index}]", 1)
    message = refusal.message.replace(refusal.field, field, 1)
    return replace(refusal, index=index, field=field, message=message).to_message()


def _later(one: Watermark | None, other: Watermark | None) -> Watermark | None:
    """The least that covers both; of two logs, that of the later: the one before is gone."""
    if one is None or other is None or one.log != other.log:
        return other or one
    return one.joined(other)
