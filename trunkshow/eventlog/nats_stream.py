"""The stream that is a log: made where it is missing, told apart from one of the same name that came after it.

A stream's sequence numbers are positions, and its name with the time of its making is the log's name: whoever deletes a
stream and makes another begins another log.
"""

from __future__ import annotations

from typing import NamedTuple

import structlog
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from trunkshow.eventlog.log import LogMissing, LogUnavailable
from trunkshow.eventlog.nats_connection import Connection
from trunkshow.eventlog.settings import LogSettings

_NEEDS_NO_WINDOW_S = 1.0
"""Events are told apart by their ids, by readers; the server's own way of it remembers for minutes only."""

_log = structlog.get_logger(__name__)


class Stream(NamedTuple):
    """A stream as it was a moment ago.

    Attributes:
        log: its name as a log.
        first: sequence number of the first record that is left.
        last: of the last one that was written; less than `first` where none is left.
        age_s: for which it keeps a record; 0 without a limit.
        bytes_max: that it keeps; -1 without a limit.
    """

    log: str
    first: int
    last: int
    age_s: float = 0.0
    bytes_max: int = -1


async def look_up(connection: Connection, name: str, settings: LogSettings) -> Stream:
    """The stream, made now if there is none.

    Raises:
        OSError | NatsError | TimeoutError: the server does not say.
        LogMissing: there is none, and it is not to be made here.
        LogUnavailable: it is not what a log must be.
    """
    try:
        info = await connection.answered(connection.stream.stream_info(name))
    except NotFoundError:
        if not settings.makes:
            raise LogMissing(f"there is no stream {name}") from None
        info = await _made(connection, name, settings)
    if unfit := why_unfit(info.config):
        raise LogUnavailable(f"stream {name} {unfit}; delete it, or name another one")
    made_us = int(info.created.timestamp() * 1_000_000) if info.created else 0
    kept = (info.config.max_age or 0.0, info.config.max_bytes or -1)
    return Stream(f"{name}-{made_us:x}", info.state.first_seq, info.state.last_seq, *kept)


def wanted(name: str, settings: LogSettings) -> StreamConfig:
    """How a log's stream is made."""
    return StreamConfig(
        name=name,
        subjects=[name],
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        max_age=settings.age_s_max,
        max_bytes=settings.bytes_max,
        num_replicas=settings.copies,
        duplicate_window=min(_NEEDS_NO_WINDOW_S, settings.age_s_max),
    )


def why_unfit(config: StreamConfig) -> str:
    """Why a stream that exists cannot be a log; empty where it can."""
    if config.storage == StorageType.MEMORY:
        return "is kept in memory, where nothing is durable"
    if config.retention not in (None, RetentionPolicy.LIMITS):
        return f"has the retention policy {config.retention}, which removes what one reader has read"
    if _forgets(config):
        return "forgets its oldest records when it is full, unread ones included"
    return ""


def _forgets(config: StreamConfig) -> bool:
    """Whether a record may go before it is too old; what is kept of one subject goes by a policy of its own."""
    refuses = config.discard == DiscardPolicy.NEW
    whole = max(config.max_bytes or -1, config.max_msgs or -1) > 0
    of_one_subject = config.max_msgs_per_subject > 0
    return (whole and not refuses) or (of_one_subject and not (refuses and config.discard_new_per_subject))


async def _made(connection: Connection, name: str, settings: LogSettings) -> StreamInfo:
    try:
        info = await connection.answered(connection.stream.add_stream(wanted(name, settings)))
    except APIError as refused:
        # Somebody else may have made it first: with other limits; or with these: a server that is no cluster looks
        # for room for another one of that size before it looks whether there is one.
        try:
            return await connection.answered(connection.stream.stream_info(name))
        except NotFoundError:
            raise refused from None
    _log.info("log.made", stream=name, age_s_max=settings.age_s_max, bytes_max=settings.bytes_max)
    return info
