"""How far a shard is: what `Watch` reports, from a plan, what is open and what could not be opened. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

from shard.scene import Kind, Piece, Plan
from shard.work import Failures
from trunkshow.v1 import shard_pb2 as pb

WITNESSED = 2
"""Tries in a row that must have failed before something that no other shard holds is called spoilt."""


@dataclass(frozen=True)
class Standing:
    """A shard as it stands.

    Attributes:
        current: version.
        planned: versions whose manifests were known to the plan.
        plan: what it should hold.
        open: what it holds.
        failures: what could not be opened.
    """

    current: str
    planned: frozenset[str]
    plan: Plan
    open: frozenset[Piece]
    failures: Failures[Piece | str]

    @property
    def state(self) -> pb.ShardState:
        """How far it is with the current version: everything warm, all the rest refused, or on the way."""
        refused = self.failures.refused()
        if self.current not in self.planned:
            return pb.SHARD_STATE_DEGRADED if self.current in refused else pb.SHARD_STATE_LOADING
        lacking = {piece for piece in self.plan.wanted if piece.version == self.current} - self.open
        if not lacking:
            return pb.SHARD_STATE_READY
        return pb.SHARD_STATE_DEGRADED if lacking <= refused else pb.SHARD_STATE_LOADING

    @property
    def refused(self) -> dict[Piece, str]:
        """What is told as refused, and why."""
        failed = {key: self.failures.of[key] for key in self.failures.refused() if isinstance(key, Piece)}
        return {key: one.why for key, one in failed.items() if key.kind is Kind.HOME or one.times >= WITNESSED}

    @property
    def loading(self) -> frozenset[Piece]:
        """What is on its way, or tried again."""
        return frozenset(self.plan.wanted) - self.open - frozenset(self.refused)
