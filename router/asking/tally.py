"""How askings of shards ended since this router started, but for batches: read for its status and its metrics."""

from __future__ import annotations

from collections import Counter

from router.asking.attempts import Attempt
from trunkshow.v1 import recommendation_pb2 as pb


class Tally:
    """Counts attempts.

    Attributes:
        ended: attempts by their outcome, and by whether they were hedges.
    """

    def __init__(self) -> None:
        self.ended: Counter[tuple[pb.Outcome, bool]] = Counter()

    def note(self, attempt: Attempt) -> None:
        """An attempt has ended."""
        self.ended[attempt.outcome, attempt.hedge] += 1

    @property
    def hedges(self) -> int:
        """Second replicas asked, whatever came of it."""
        return sum(count for (_, hedge), count in self.ended.items() if hedge)
