"""An event log by its address: `nats://HOST:PORT[,HOST:PORT…]/STREAM` or `kafka://HOST:PORT[,HOST:PORT…]/TOPIC`.

Nothing is connected yet: a server starts whether or not the log is there. Addresses hold no credentials, so they can be
shown; those come from the environment (`credentials`).
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from trunkshow.eventlog.credentials import Credentials
from trunkshow.eventlog.log import AnyLog, EventLog, ItemLog, Tombstones
from trunkshow.eventlog.settings import DAY_S, LogSettings

HOW = "write nats://HOST:PORT/STREAM or kafka://HOST:PORT/TOPIC, several servers with commas between them"
SERVERS_MAX = 16
TOMBSTONE_DAYS = 3650
TOMBSTONE_BYTES_MAX = 64 << 20
"""About 400,000 people; a full log refuses to forget more, and says so."""

ITEM_DAYS = 90
ITEM_BYTES_MAX = 256 << 20
"""Some 800,000 items as they are told; a full log takes no more until the oldest are too old, and says so."""

_FORGOTTEN = "-forgotten"
_ITEMS = "-items"
_SERVER = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class LogUnknown(ValueError):
    """The address names no event log."""


class Address(NamedTuple):
    """Of a log.

    Attributes:
        kind: nats or kafka.
        servers: HOST:PORT each.
        name: of the stream, or of the topic.
    """

    kind: str
    servers: tuple[str, ...]
    name: str


def parse(url: str) -> Address:
    """What an address says.

    Raises:
        LogUnknown: nothing, or more than it may. The message does not repeat what could be a password.
    """
    kind, _, rest = url.partition("://")
    hosts, _, name = rest.partition("/")
    if "@" in rest:
        raise LogUnknown(f"an event log's address holds no credentials; set {', '.join(_VARIABLES)}; {HOW}")
    servers = tuple(hosts.split(","))
    if kind not in {"nats", "kafka"} or not _NAME.fullmatch(name):
        raise LogUnknown(f"{url!r} names no event log; {HOW}")
    if len(servers) > SERVERS_MAX or not all(map(_SERVER.fullmatch, servers)):
        raise LogUnknown(f"{url!r} names no servers, or more than {SERVERS_MAX}; {HOW}")
    return Address(kind, servers, name)


def open_log(url: str, settings: LogSettings = LogSettings(), environment: Mapping[str, str] = os.environ) -> EventLog:
    """The log at an address; called on the event loop that will use it.

    Args:
        url: the address.
        settings: limits.
        environment: where credentials come from.

    Raises:
        LogUnknown: the address names none, or one that needs a package that is not installed.
    """
    return _opened(parse(url), settings, Credentials.of(environment))


def open_tombstones(
    url: str, settings: LogSettings = LogSettings(), environment: Mapping[str, str] = os.environ
) -> Tombstones:
    """The tombstones of the log at an address; the rest is `open_log`'s.

    They are kept for `TOMBSTONE_DAYS`, whatever events are: longer than any snapshot, export or file of the builder's
    that may know the person.
    """
    address = parse(url)
    kept = replace(settings, age_s_max=TOMBSTONE_DAYS * DAY_S, bytes_max=TOMBSTONE_BYTES_MAX, lanes=1, sheds=False)
    return _opened(address._replace(name=address.name + _FORGOTTEN), kept, Credentials.of(environment))


def open_items(url: str, settings: LogSettings = LogSettings(), environment: Mapping[str, str] = os.environ) -> ItemLog:
    """The new items beside the log at an address; the rest is `open_log`'s.

    They are kept for `ITEM_DAYS`, whatever events are: until a build has them, and what served before it is gone.
    """
    address = parse(url)
    kept = replace(settings, age_s_max=ITEM_DAYS * DAY_S, bytes_max=ITEM_BYTES_MAX, lanes=1)
    return _opened(address._replace(name=address.name + _ITEMS), kept, Credentials.of(environment))


def _opened(address: Address, settings: LogSettings, credentials: Credentials) -> AnyLog:
    if address.kind == "nats":
        return _nats(address, settings, credentials)
    return _kafka(address, settings, credentials)


def _nats(address: Address, settings: LogSettings, credentials: Credentials) -> AnyLog:
    from trunkshow.eventlog.nats_log import NatsLog

    if credentials.credentials_file and importlib.util.find_spec("nkeys") is None:
        raise LogUnknown("a credentials file needs the package nkeys: pip install nkeys")

    async def options() -> Mapping[str, Any]:
        return credentials.for_nats()

    return NatsLog([f"nats://{server}" for server in address.servers], address.name, settings, options)


def _kafka(address: Address, settings: LogSettings, credentials: Credentials) -> AnyLog:
    try:
        from trunkshow.eventlog.kafka_log import KafkaLog
    except ImportError:
        raise LogUnknown("a log on Kafka needs confluent-kafka: pip install 'trunkshow[kafka]'") from None
    return KafkaLog(address.servers, address.name, settings, credentials.for_kafka())


_VARIABLES = ("TRUNKSHOW_LOG_USER", "TRUNKSHOW_LOG_PASSWORD_FILE")
