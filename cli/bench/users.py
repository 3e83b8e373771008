"""Whom to ask for: users that a file names, or that a snapshot store knows; and the requests that ask for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cli.bench.arrivals import visits
from cli.bench.judging import Wanted
from cli.output import UsageError
from trunkshow.snapshot.reader import Snapshot
from trunkshow.v1 import recommendation_pb2 as pb

USERS_MAX = 5_000
BATCHES = 500
"""Batches drawn; they are sent in turns."""


class Resident(NamedTuple):
    """A user whom a snapshot knows, and the partition that is home."""

    user: str
    partition: int


def of_file(path: Path) -> list[str]:
    """Users of a text file, one a line, the most asked for first; at most `USERS_MAX`.

    Raises:
        UsageError: it cannot be read, or names nobody.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = [line.strip() for line in itertools.islice((one for one in file if one.strip()), USERS_MAX)]
    except OSError as error:
        raise UsageError(f"--users {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--users {path} is not text in UTF-8") from None
    if not lines:
        raise UsageError(f"--users {path} names nobody; write one user id a line")
    return lines


def of_snapshot(snapshot: Snapshot, most: int = USERS_MAX) -> list[Resident]:
    """Users of every partition in turn, spread over each."""
    found = []
    for number in range(snapshot.partitions):
        opened = snapshot.open_partition(number)
        found.append([Resident(user, number) for user in opened.sample_users(most // snapshot.partitions + 1)])
        opened.close()
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*found))
    return [one for one in in_turn if one is not None][:most]


def requests_for(users: Sequence[str], wanted: Wanted, seed: int) -> list[bytes]:
    """One request per user; or, for more than one slate a call, batches that the same users come in as often."""
    if wanted.slates == 1:
        return [_request(user, wanted).SerializeToString() for user in users]
    return [
        pb.RecommendBatchRequest(
            requests=[_request(users[rank], wanted) for rank in ranks], together=True
        ).SerializeToString()
        for ranks in _ranks(len(users), wanted.slates, seed)
    ]


def _ranks(users: int, size: int, seed: int) -> Iterator[list[int]]:
    drawn = visits(users, BATCHES * size, seed).tolist()
    return (drawn[at : at + size] for at in range(0, len(drawn), size))


def _request(user: str, wanted: Wanted) -> pb.RecommendRequest:
    return pb.RecommendRequest(user_id=user, carousels=wanted.carousels, items_per_carousel=wanted.items)
