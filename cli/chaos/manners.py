"""How impatient callers ask: in haste, for an error rather than a poor slate, for their newest events, or briefly.

Drawn apart from what is asked (`cli.chaos.visitors`), so that a seed asks for the same slates whatever becomes of these
shares. What is right of such a call is `cli.chaos.wishes`' to say, what it counts as `cli.chaos.counting`'s.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import Enum

from trunkshow.eventlog.watermark import Watermark
from trunkshow.v1 import recommendation_pb2 as pb

HURRIED = 0.02
HURRIED_MS = (80.0, 180.0)
"""Less than what the router takes without being told; not so little that a busy machine alone needs it."""

CHOOSY = 0.01
WORST_RUNGS = (pb.RUNG_SNAPSHOT, pb.RUNG_PREVIOUS, pb.RUNG_STAND_IN, pb.RUNG_SEGMENT)

BRIEF = 0.01
BRIEF_MS = (1.0, 30.0)
"""Evenly by its logarithm: most answers take a few milliseconds, and who was answered before has not hung up."""

UP_TO_DATE = 0.009
WAITING = 0.001
"""These take most of the time that there is, by their own wish; many of them would be another load."""

FAR = 10**9
"""Records beyond what is known; nobody waits long enough for so many."""


class AsFresh(Enum):
    """The watermark that a caller names."""

    NONE = "none"
    SEEN = "seen"
    """One that an answer before it had: it is known to somebody, though perhaps not to everybody yet."""
    NEVER = "never"
    """One that does not come."""


@dataclass(frozen=True)
class Manner:
    """How a call is made.

    Attributes:
        deadline_ms: of its own; 0 for the usual one.
        hangs_up_ms: after which its caller does; 0 for one who does not.
        worst_rung: that it accepts rather than an error; UNSPECIFIED for one who takes what can be had.
        as_fresh: what it is to know.
    """

    deadline_ms: float = 0.0
    hangs_up_ms: float = 0.0
    worst_rung: pb.Rung = pb.RUNG_UNSPECIFIED
    as_fresh: AsFresh = AsFresh.NONE


PLAIN = Manner()


def drawn(draw: random.Random) -> Manner:
    """The manner of one call; mostly plain."""
    kind = draw.random()
    if kind < HURRIED:
        return Manner(deadline_ms=draw.uniform(*HURRIED_MS))
    if kind < HURRIED + CHOOSY:
        return Manner(worst_rung=draw.choice(WORST_RUNGS))
    if kind < HURRIED + CHOOSY + BRIEF:
        return Manner(hangs_up_ms=math.exp(draw.uniform(*map(math.log, BRIEF_MS))))
    if kind < HURRIED + CHOOSY + BRIEF + UP_TO_DATE:
        return Manner(as_fresh=AsFresh.SEEN)
    return Manner(as_fresh=AsFresh.NEVER) if kind < HURRIED + CHOOSY + BRIEF + UP_TO_DATE + WAITING else PLAIN


def watermark(wanted: AsFresh, seen: str) -> str:
    """What a call names, as text.

    Args:
        wanted: which.
        seen: the watermark of an answer; empty where none had one yet, and then nothing is named.
    """
    if wanted is AsFresh.NONE or not seen:
        return ""
    if wanted is AsFresh.SEEN:
        return seen
    known = Watermark.parse(seen)
    return str(Watermark(known.log, {lane: count + FAR for lane, count in (known.counts or {0: 0}).items()}))
