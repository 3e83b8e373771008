"""Whether a log is still the one that was exported: by the record that stands where the export ended.

A log that is restored from an older copy keeps its name, and what comes then has the numbers of what was lost. As long
as it is shorter than what was exported its end tells that; once it has grown beyond, only its records do. So of each
lane the last record that was read is remembered, as a hash, and looked at again by the next export. One that the log
has removed since tells nothing. Reading is this module's only I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from hashlib import sha256
from typing import NamedTuple

from trunkshow.eventlog.log import EventLog
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import position_of
from trunkshow.v1 import log_pb2

DIGEST_CHARS = 32


class Last(NamedTuple):
    """The last record that was read of a lane.

    Attributes:
        number: of it in the lane, from 1.
        digest: of it.
    """

    number: int
    digest: str


Lineage = Mapping[int, Last]
"""By lane."""


def digest_of(record: log_pb2.Record) -> str:
    """The same for the same record, whoever read it."""
    return sha256(record.SerializeToString(deterministic=True)).hexdigest()[:DIGEST_CHARS]


async def is_same(log: EventLog, name: str, lineage: Lineage) -> bool:
    """Whether none of these records is another one by now.

    Args:
        log: to look into; at least as long as it was.
        name: of it, as watermarks have it.
        lineage: what stood there.

    Raises:
        LogUnavailable: the log does not answer.
    """
    if not lineage:
        return True
    before = Watermark(name, {lane: last.number - 1 for lane, last in lineage.items() if last.number > 1})
    until = Watermark(name, {lane: last.number for lane, last in lineage.items()})
    async with aclosing(log.read(before, until)) as reads:
        async for read in reads:
            at, before = position_of(before, read.watermark), read.watermark
            last = lineage.get(at.lane)
            if last is not None and last.number == at.number and last.digest != digest_of(read.record):
                return False
    return True
