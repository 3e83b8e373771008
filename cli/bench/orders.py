"""What a driver is to do, as a value and as JSON; and the file of requests that it sends."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cli.bench.judging import Kind, Wanted

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Orders:
    """What to ask for, and how.

    Attributes:
        method: path of the method.
        kind: what it answers with.
        wanted: of each slate.
        seconds: after the warm-up.
        rate: calls per second, in an open loop; 0 for a closed one.
        callers: in a closed loop.
        seed: of whom is asked for, and when.
        pids: processes of this machine to weigh, by name.
        connections: to share the calls.
    """

    method: str
    kind: Kind
    wanted: Wanted
    seconds: float
    rate: float = 0.0
    callers: int = 0
    seed: int = 0
    pids: Mapping[str, int] = field(default_factory=dict)
    connections: int = 1

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Orders:
        """The orders that `to_json` wrote."""
        wanted = Wanted(**{**raw["wanted"], "carousels": tuple(raw["wanted"]["carousels"])})
        return cls(**{**raw, "wanted": wanted})


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """Write requests for a driver to send, the most asked first."""
    path.write_bytes(b"".join(_LENGTH.pack(len(one)) + one for one in requests))


def read_requests(path: Path) -> list[bytes]:
    """The requests of a file."""
    data, at, requests = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + size
        requests.append(data[at - size : at])
    return requests
