"""Answers that came late, with what their receipts say of where the time went: so that the cause can be read off later.

A latecomer is kept as it was measured, and travels as JSON from drivers to the report. How many are kept, and how many
are late at all, is `cli.chaos.tally`'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from trunkshow.v1 import recommendation_pb2 as pb

Asking = tuple[str, str, float]
"""Of a shard: its address, the outcome, milliseconds."""


@dataclass(frozen=True)
class Latecomer:
    """One late answer.

    Attributes:
        sent_at: seconds of the wall clock, to be found again in the logs of the processes.
        took_ms: as the caller measured it.
        stood_ms: of these, those in which the caller's own process stood still.
        router_ms: what the receipt says that the router needed; the rest went by before that, or on the way.
        rung: of the receipt.
        reasons: of the receipt.
        stages: of the receipt, with milliseconds.
        attempts: of the receipt.
    """

    sent_at: float
    took_ms: float
    stood_ms: float
    router_ms: float
    rung: str
    reasons: tuple[str, ...]
    stages: tuple[tuple[str, float], ...]
    attempts: tuple[Asking, ...]

    @classmethod
    def of(cls, receipt: pb.Receipt, sent_at: float, took_ms: float, stood_ms: float) -> Latecomer:
        """What there is to tell of an answer."""
        return cls(
            round(sent_at, 3),
            round(took_ms, 1),
            round(stood_ms, 1),
            round(receipt.elapsed_ms, 1),
            pb.Rung.Name(receipt.rung).removeprefix("RUNG_"),
            tuple(pb.Reason.Name(reason).removeprefix("REASON_") for reason in receipt.reasons),
            tuple((stage.name, round(stage.ms, 1)) for stage in receipt.stages),
            tuple(
                (one.replica, pb.Outcome.Name(one.outcome).removeprefix("OUTCOME_"), round(one.ms, 1))
                for one in receipt.attempts
            ),
        )

    def told(self, places: Mapping[str, str]) -> str:
        """In one line, for a person.

        Args:
            places: what the addresses of attempts are called.
        """
        when = datetime.fromtimestamp(self.sent_at, UTC).strftime("%H:%M:%S.%f")[:-3]
        parts = [f"{self.took_ms:.0f} ms, sent at {when}", f"{self.router_ms:.0f} of them in the router"]
        if self.stood_ms:
            parts.append(f"{self.stood_ms:.0f} while the caller stood still")
        parts.append(" ".join((self.rung, *self.reasons)))
        parts += [f"{name} {ms:.0f}" for name, ms in self.stages]
        parts += [f"{places.get(replica, replica)} {outcome} {ms:.0f}" for replica, outcome, ms in self.attempts]
        return "; ".join(parts)

    def named(self, places: Mapping[str, str]) -> Latecomer:
        """With places for those addresses that are known: the next run's processes have others, or the same again."""
        asked = tuple((places.get(replica, replica), outcome, ms) for replica, outcome, ms in self.attempts)
        return replace(self, attempts=asked)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Latecomer:
        """The one that `to_json` wrote."""
        sequences = {name: tuple(map(_frozen, raw[name])) for name in ("reasons", "stages", "attempts")}
        return cls(**{**raw, **sequences})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
