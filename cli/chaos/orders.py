"""What a driver is told to do, as one line of JSON on its standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Orders:
    """What a driver is to do.

    Attributes:
        target: of the routers, as gRPC resolves it.
        oracle: folder of all versions that may be served.
        version: whose users and items are asked for.
        seed: of everything drawn.
        rate: requests a second, sent in an open loop; 0 for a closed one.
        callers: of a closed loop.
        check: share of the answers that are held against the model.
    """

    target: str
    oracle: Path
    version: str
    seed: int
    rate: float = 0.0
    callers: int = 8
    check: float = 1.0

    def to_json(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "oracle": str(self.oracle)})

    @classmethod
    def from_json(cls, line: str) -> Orders:
        """The orders in a line."""
        raw = json.loads(line)
        return cls(**{**raw, "oracle": Path(raw["oracle"])})
