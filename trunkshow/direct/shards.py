"""Which shard is asked, how long it is waited for, and for how long it is left alone: what a client knows of shards.

    good       one at random of those with the fewest requests of ours under way
    resting    failed, was late, refused the work, or was overtaken three times in a row: asked again after a while that
               doubles with each time, up to ten seconds

Nobody has to be asked: where all who hold a partition rest, the router is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from trunkshow.hedging import PATIENCE, Patience
from trunkshow.latencies import Latencies
from trunkshow.serving.backoff import Backoff

REST = Backoff(first_s=0.25, longest_s=10.0)
OVERTAKEN_MAX = 3
LINES_MAX = 256
"""Shards that one client has lines to; what others hold is left to the router."""

IN_FLIGHT_MAX = 128
"""Requests of one client under way to one shard; more go to the router, which sees all clients."""


class Ending(Enum):
    """How an asking ended."""

    ANSWERED = auto()
    FAILED = auto()
    LATE = auto()
    OVERLOADED = auto()
    NOT_HELD = auto()
    UNFIT = auto()
    """It answered, but not with a whole slate: no fault of the shard's."""
    OVERTAKEN = auto()
    """The router was asked as well, and was faster."""
    ABANDONED = auto()
    """The caller gave up."""


@dataclass
class _Known:
    in_flight: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    failures: int = 0
    overtaken: int = 0
    rests_until: float = 0.0


class Shards:
    """The shards of a cluster, as one client knows them.

    Args:
        chance: from [0, 1).
        patience: before the router is asked as well.
    """

    def __init__(self, chance: Callable[[], float], patience: Patience = PATIENCE) -> None:
        self._chance = chance
        self._patience = patience
        self._known: dict[str, _Known] = {}

    def keep(self, addresses: Iterable[str]) -> None:
        """Know these, and no others."""
        self._known = {one: self._known.get(one) or _Known() for one in addresses}

    def choose(self, holders: Sequence[str], now: float) -> str | None:
        """Whom to ask; None where nobody should be."""
        able = [
            (known.in_flight, self._chance(), one)
            for one in holders
            if (known := self._known.get(one)) and known.rests_until <= now and known.in_flight < IN_FLIGHT_MAX
        ]
        return min(able)[2] if able else None

    def patience_ms(self, address: str) -> float:
        """How long a shard is waited for before the router is asked as well."""
        known = self._known.get(address)
        return self._patience.of(known.latencies.tail_ms if known else 0.0)

    def began(self, address: str) -> None:
        """It is asked."""
        if (known := self._known.get(address)) is not None:
            known.in_flight += 1

    def ended(self, address: str, ending: Ending, ms: float, now: float) -> None:
        """An asking has ended so, after so long."""
        known = self._known.get(address)
        if known is None:
            return
        known.in_flight = max(known.in_flight - 1, 0)
        if ending in (Ending.ANSWERED, Ending.UNFIT):
            known.failures = known.overtaken = 0
            known.latencies.add(ms)
        elif ending is Ending.OVERTAKEN:
            known.overtaken += 1
            if known.overtaken >= OVERTAKEN_MAX:
                known.overtaken = 0
                self._rest(known, now)
        elif ending is not Ending.ABANDONED:
            self._rest(known, now)

    def _rest(self, known: _Known, now: float) -> None:
        if known.rests_until <= now:  # several under way that fail together are one failure
            known.failures += 1
        known.rests_until = now + REST.after(known.failures, self._chance())
