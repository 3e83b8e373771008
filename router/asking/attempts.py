"""What came of asking shards: values that the ladder decides over and the receipt tells of.

An attempt is one asking of one shard, whatever became of it. The whole story is kept, in the order in which the
askings began: the one that answered, the ones that failed before it, and the one that it outran.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2


class Attempt(NamedTuple):
    """One asking of a shard.

    Attributes:
        replica: its address.
        outcome: what came of it.
        reason: what that means for the answer; unspecified where it means nothing: answered, or outrun.
        error: what the shard said; empty where nothing went wrong.
        ms: how long it took, or was waited for.
        rung: that it stood for.
        hedge: it was sent because an earlier one took long.
    """

    replica: str
    outcome: pb.Outcome
    reason: pb.Reason = pb.REASON_UNSPECIFIED
    error: str = ""
    ms: float = 0.0
    rung: pb.Rung = pb.RUNG_SNAPSHOT
    hedge: bool = False

    @property
    def failed(self) -> bool:
        """Whether it went wrong, rather than answered or outrun."""
        return self.outcome not in (pb.OUTCOME_ANSWERED, pb.OUTCOME_CANCELLED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking for one partition.

    Attributes:
        answer: the first good one; None where nobody gave one.
        attempts: all, in the order in which they began.
        reasons: why there is no answer, each once; empty where there is one.
    """

    answer: shard_pb2.PredictResponse | None
    attempts: tuple[Attempt, ...] = ()
    reasons: tuple[pb.Reason, ...] = ()

    @property
    def hedged(self) -> bool:
        """Whether a second replica was asked because the first took long."""
        return any(attempt.hedge for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of asking for several partitions.

    Attributes:
        answers: one per call that succeeded.
        answered: partitions that these stand for.
        attempts: all.
        reasons: why partitions are missing, each once.
    """

    answers: tuple[shard_pb2.PredictResponse, ...] = ()
    answered: int = 0
    attempts: tuple[Attempt, ...] = ()
    reasons: tuple[pb.Reason, ...] = ()

    @property
    def hedged(self) -> bool:
        """Whether a second replica was asked because the first took long."""
        return any(attempt.hedge for attempt in self.attempts)

    @classmethod
    def sum(cls, parts: Iterable[Gathered]) -> Gathered:
        """All parts as one."""
        listed = list(parts)
        return cls(
            tuple(answer for part in listed for answer in part.answers),
            sum(part.answered for part in listed),
            tuple(attempt for part in listed for attempt in part.attempts),
            tuple(once(reason for part in listed for reason in part.reasons)),
        )


def disappointing(attempts: Iterable[Attempt]) -> frozenset[str]:
    """Addresses that were late, failed or were outrun: for the same slate they are asked last, and as no hedge."""
    return frozenset(one.replica for one in attempts if one.outcome != pb.OUTCOME_ANSWERED)


def reasons_of(attempts: Iterable[Attempt]) -> tuple[pb.Reason, ...]:
    """Why attempts that failed did, each reason once, in the order in which they arose."""
    return tuple(once(attempt.reason for attempt in attempts if attempt.failed))


def once(reasons: Iterable[pb.Reason]) -> list[pb.Reason]:
    """Each reason once, in the order in which it arose."""
    return list(dict.fromkeys(reasons))
