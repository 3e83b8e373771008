"""What the growth benchmark's own driver still takes from here; others take it from `cli.bench`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from bench.wanted import WANTED
from cli.bench import arrivals
from cli.bench.orders import read_requests as read_requests
from cli.bench.orders import write_requests as write_requests

CAROUSELS, ITEMS = WANTED.carousels, WANTED.items
TIMEOUT_S = 5.0


class WrongReply(Exception):
    """A reply is not the whole slate that was asked for."""


def visits(requests: int, count: int = 100_000) -> Iterator[int]:
    """Which request comes next, for ever: Zipf over the requests, the same on every run."""
    return itertools.cycle(arrivals.visits(requests, count, seed=0).tolist())
