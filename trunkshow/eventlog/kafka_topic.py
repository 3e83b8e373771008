"""The topic that is a log: its lanes, how far each is written, and what tells it from one that came after it.

The client's calls block, so they are made on a thread of their own, one after another; whoever stops waiting takes the
question back. A topic's id, with the cluster's and the number of its partitions, is the log's name: whoever deletes a
topic and makes another begins another log, and so does whoever gives it more partitions, since users change lanes then,
and nothing that was said of the old ones holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from trunkshow.eventlog.kafka_limits import LimitsWatch
from trunkshow.eventlog.log import LogMissing, LogUnavailable
from trunkshow.eventlog.settings import LogSettings
from trunkshow.eventlog.watermark import LANES_MAX

ANSWER_S_MAX = 2.0
"""Seconds for one answer of the cluster."""

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")

Identity = Callable[[AdminClient, str], str]
"""What tells a topic from another of its name, by a client and the name; it may block so long."""


class Topic(NamedTuple):
    """A topic.

    Attributes:
        log: its name as a log.
        lanes: its partitions.
    """

    log: str
    lanes: int


def topic_id(client: AdminClient, name: str) -> str:
    """The id that the cluster gave a topic when it was made; clusters before Kafka 3.1 give none.

    Raises:
        KafkaException: it does not say.
    """
    asked = client.describe_topics(TopicCollection([name]), request_timeout=ANSWER_S_MAX)
    return str(asked[name].result(ANSWER_S_MAX).topic_id)


class Asker:
    """Asks a cluster about one topic.

    Args:
        config: of the client.
        name: of the topic.
        settings: limits, with which the topic is made if there is none.
        identity: a port: tells topics of the same name apart.
        limits: told whenever the topic was found.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        settings: LogSettings,
        identity: Identity,
        limits: LimitsWatch | None = None,
    ) -> None:
        self._config = config
        self._name = name
        self._settings = settings
        self._identity = identity
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-asker")
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None
        self._known: Topic | None = None

    @property
    def known(self) -> Topic | None:
        """The topic as it was when it was last asked for; None before."""
        return self._known

    async def topic(self, *, anew: bool = False) -> Topic:
        """The topic, made now if there is none.

        Args:
            anew: ask, though it is known.

        Raises:
            LogUnavailable: the cluster does not say.
        """
        if self._known is None or anew:
            self._known = await self._asked(self._look)
            if self._limits is not None:
                self._limits.look(self._known.lanes)
        return self._known

    async def ends(self, lanes: int) -> dict[int, tuple[int, int]]:
        """The first count that is left and the count of all records, lane by lane.

        Raises:
            LogUnavailable: the cluster does not say.
        """
        return await self._asked(lambda: {lane: self._end(lane) for lane in range(lanes)})

    async def close(self) -> None:
        """Let go of the cluster."""
        if self._consumer is not None:
            await self._asked(self._consumer.close)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _asked(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, question)
        except (KafkaException, TimeoutError) as error:
            raise LogUnavailable(f"topic {self._name}: {why(error)}") from error

    def _opened(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(dict(self._config) | {"group.id": self._name})
        return self._consumer

    def _administered(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(dict(self._config))
        return self._admin

    def _look(self) -> Topic:
        until_s = time.monotonic() + 2 * ANSWER_S_MAX
        listed = self._listed()
        while not listed.topics[self._name].partitions:
            if not self._settings.makes:
                raise LogMissing(f"there is no topic {self._name}")
            if time.monotonic() > until_s:
                raise TimeoutError("it is not there, and was not made in time")
            self._make()
            listed = self._listed()
        lanes = len(listed.topics[self._name].partitions)
        if lanes > LANES_MAX:
            raise LogUnavailable(f"topic {self._name} has {lanes} partitions; a log has {LANES_MAX} at most")
        several = f"/{lanes}" if lanes > 1 else ""
        identity = f"{listed.cluster_id}/{self._identity(self._administered(), self._name)}{several}"
        name = f"{self._name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        return Topic(name, lanes)

    def _listed(self) -> Any:
        return self._opened().list_topics(self._name, timeout=ANSWER_S_MAX)

    def _make(self) -> None:
        wants = [wanted(self._name, self._settings)]
        made = self._administered().create_topics(wants, request_timeout=ANSWER_S_MAX)
        made[self._name].exception(ANSWER_S_MAX)  # somebody else may have been first; the list tells
        _log.info("log.made", topic=self._name, lanes=self._settings.lanes)

    def _end(self, lane: int) -> tuple[int, int]:
        found = self._opened().get_watermark_offsets(TopicPartition(self._name, lane), timeout=ANSWER_S_MAX)
        if found is None:
            raise TimeoutError("it did not answer in time")
        return found


def wanted(name: str, settings: LogSettings) -> NewTopic:
    """How a log's topic is made."""
    kept = settings.bytes_max // settings.lanes if settings.sheds else -1
    return NewTopic(
        name,
        num_partitions=settings.lanes,
        replication_factor=settings.copies,
        config={
            "retention.ms": str(int(settings.age_s_max * 1000)),
            "retention.bytes": str(kept),
            # All that are in step acknowledge a record, which may be one alone: most copies have to be.
            "min.insync.replicas": str(settings.copies // 2 + 1),
        },
    )


def why(error: Exception) -> str:
    """What went wrong, for a person."""
    if isinstance(error, KafkaException) and error.args:
        return str(getattr(error.args[0], "str", lambda: error.args[0])())
    return str(error) or "it did not answer in time"
