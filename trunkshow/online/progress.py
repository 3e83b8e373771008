"""How far a reader of the log is, and how fresh that makes it. No I/O; time is the caller's.

The log is asked for its end every now and then. Once everything up to there was read, the reader knew everything as of
when it asked: its lag is the time since then. So the lag of a reader that keeps up is about the time between two
questions, and that of one whose log does not answer grows.
"""

from __future__ import annotations

from collections import deque

from trunkshow.eventlog.watermark import Watermark

FRESH_WITHIN_S = 5.0
"""A reader with a smaller lag is caught up."""

ENDS_MAX = 64
"""That wait to be reached."""


class Progress:
    """Of one reader.

    Attributes:
        watermark: of what was read; None before anything is known.
        text: of the watermark; empty where there is none.
    """

    def __init__(self) -> None:
        self.watermark: Watermark | None = None
        self._text = ""
        self._known_at = -float("inf")
        self._ends: deque[tuple[float, Watermark]] = deque()

    @property
    def text(self) -> str:
        """The watermark as answers have it; empty where there is none."""
        if not self._text and self.watermark is not None:
            self._text = str(self.watermark)
        return self._text

    def began(self, watermark: Watermark | None) -> None:
        """Reading begins after a watermark."""
        self.watermark, self._text = watermark, ""

    def read(self, watermark: Watermark) -> None:
        """So much was read."""
        self.watermark, self._text = watermark, ""
        if self._ends:
            self._settle()

    def ended(self, end: Watermark, asked_at: float) -> None:
        """The log said where it ended when it was asked."""
        if not any(end.counts.values()) and (self.watermark is None or self.watermark.log != end.log):
            self.began(end)  # a log that began anew, and has nothing to read yet
        # An end of a log that is gone, or that the log went back from, may not be reached.
        waiting = [one for one in self._ends if one[1].log == end.log and end.covers(one[1])]
        if len(waiting) >= ENDS_MAX:
            waiting = waiting[::2]  # the oldest stays: one that is reached tells a lag, if a coarser one
        self._ends = deque([*waiting, (asked_at, end)])
        self._settle()

    def covers(self, watermark: Watermark) -> bool:
        """Whether everything up to there was read; never so for another log."""
        known = self.watermark
        return known is not None and known.log == watermark.log and known.covers(watermark)

    def lag_s(self, now: float) -> float:
        """Seconds since everything was known; infinite where that never was so."""
        return now - self._known_at

    def is_caught_up(self, now: float) -> bool:
        """Whether hardly anything can be missing."""
        return now - self._known_at <= FRESH_WITHIN_S

    def _settle(self) -> None:
        """Ends that were reached need not be waited for."""
        while self._ends and self.covers(self._ends[0][1]):
            self._known_at = self._ends.popleft()[0]
