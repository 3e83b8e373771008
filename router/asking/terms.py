"""What askings have in common: with the others of a race (Terms), and with all that a router does (Rules).

Values and ports; what is done on these terms is `router.asking.race`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from router.asking.attempts import Attempt
from router.asking.failover import Failovers
from router.asking.health import Sign
from router.cluster.shard_channel import ShardChannel
from trunkshow.hedging import Patience, Tokens
from trunkshow.latencies import Kind
from trunkshow.serving.deadline import Clock, Deadline
from trunkshow.v1 import recommendation_pb2 as pb


class Timer(Protocol):
    """What a timer is, once it was set."""

    def cancel(self) -> None:
        """Let it pass without a word."""
        ...


SetTimer = Callable[[float, Callable[[], None]], Timer]
"""A port: seconds, and what is to be called after them."""


class Observe(Protocol):
    """Told how many milliseconds shards took for a slate, or until they were given up, and which of the two it was."""

    def __call__(self, ms: float, *, answered: bool) -> None:
        """One slate."""
        ...


class Terms(NamedTuple):
    """What all askings of a race have in common.

    Attributes:
        request: a serialised PredictRequest.
        until: when an answer must be there.
        request_id: for the shards' logs.
        rung: that the asking stands for.
        kind: whose times it is compared with.
        why_unheld: the reason where a shard says that it does not hold what it was asked for.
    """

    request: bytes
    until: Deadline
    request_id: str
    rung: pb.Rung
    kind: Kind
    why_unheld: Callable[[], pb.Reason]


class Rules(NamedTuple):
    """What all races of a router have in common.

    Attributes:
        patience: before a rival is asked.
        tokens: that rivals cost.
        failovers: budgets of those who are asked because somebody failed.
        ended: told of every attempt that has ended, with the shard that it was made of and what it says of that shard.
        clock: monotonic.
        set_timer: on the same clock.
    """

    patience: Patience
    tokens: Tokens
    failovers: Failovers
    ended: Callable[[ShardChannel, Kind, Attempt, Sign], None]
    clock: Clock
    set_timer: SetTimer
