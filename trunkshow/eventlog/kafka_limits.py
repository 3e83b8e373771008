"""Which limits a topic keeps, as the cluster says, and where these are not the ones that were asked for.

A topic that exists keeps its own limits, whatever a router was started with. The cluster is asked on a thread of its
own, beside everything else: one that does not tell (its version, or what this client may do) keeps nothing waiting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import ConfigResource as Resource  # type: ignore[attr-defined]  # it is there, not named

from trunkshow.eventlog.settings import LogSettings
from trunkshow.serving.deadline import Clock, monotonic

ANSWER_S_MAX = 5.0
AGAIN_AFTER_S = 60.0
"""They may be changed while a router runs."""

_AGE, _BYTES, _POLICY = "retention.ms", "retention.bytes", "cleanup.policy"
_log = structlog.get_logger(__name__)

Ask = Callable[[Mapping[str, Any], str], Mapping[str, str]]
"""A topic's settings, by the client's configuration and the name; it may block so long."""


class Limits(NamedTuple):
    """Of a topic.

    Attributes:
        age_s: for which it keeps a record; 0 without a limit.
        bytes_max: that each of its lanes keeps; -1 without a limit.
        policy: what it does with what is beyond them.
    """

    age_s: float
    bytes_max: int
    policy: str


def topic_settings(config: Mapping[str, Any], name: str) -> Mapping[str, str]:
    """What the cluster says, its own defaults included.

    Raises:
        KafkaException: it does not say.
        TimeoutError: nor does it answer.
    """
    topic = Resource(Resource.Type.TOPIC, name)
    asked = AdminClient(dict(config)).describe_configs([topic], request_timeout=ANSWER_S_MAX)
    return {entry.name: entry.value or "" for entry in asked[topic].result(ANSWER_S_MAX).values()}


def limits_of(said: Mapping[str, str]) -> Limits:
    """The limits among a topic's settings.

    Raises:
        ValueError: they are not there.
    """
    if _AGE not in said:
        raise ValueError(f"it does not say {_AGE}")
    age_ms = int(said[_AGE])
    return Limits(max(age_ms, 0) / 1000, max(int(said.get(_BYTES, -1)), -1), said.get(_POLICY, "delete"))


def differing(kept: Limits, lanes: int, settings: LogSettings) -> dict[str, float | int | str]:
    """What a topic keeps, and what was wanted, where that is not the same; empty where it is."""
    of_all = kept.bytes_max * lanes if kept.bytes_max >= 0 else -1
    wanted = settings.bytes_max if settings.sheds else -1
    same_bytes = of_all == wanted or (min(of_all, wanted) >= 0 and abs(of_all - wanted) < max(lanes, settings.lanes))
    if math.isclose(kept.age_s, settings.age_s_max, abs_tol=0.001) and same_bytes and kept.policy == "delete":
        return {}
    return {
        "age_s": kept.age_s,
        "age_s_wanted": settings.age_s_max,
        "bytes_max": of_all,
        "bytes_max_wanted": wanted,
        "cleanup_policy": kept.policy,
    }


class LimitsWatch:
    """Knows the limits of one topic.

    Attributes:
        known: as the cluster said last; None where it did not.

    Args:
        config: of the client.
        name: of the topic.
        settings: what was asked for; not compared where the topic is not this process's to make.
        ask: a port: asks the cluster.
        clock: a port: monotonic seconds.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        settings: LogSettings,
        ask: Ask = topic_settings,
        clock: Clock = monotonic,
    ) -> None:
        self.known: Limits | None = None
        self._config = config
        self._name = name
        self._settings = settings
        self._ask = ask
        self._clock = clock
        self._again_at = -math.inf
        self._told: object = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-limits")

    def look(self, lanes: int) -> None:
        """Have the cluster asked, unless it was lately; returns at once."""
        now = self._clock()
        if now >= self._again_at:
            self._again_at = now + AGAIN_AFTER_S
            self._thread.submit(self.ask, lanes)

    def ask(self, lanes: int) -> None:
        """Ask, and tell what is not as it was asked for; it blocks."""
        try:
            self.known = limits_of(self._ask(self._config, self._name))
        except (KafkaException, TimeoutError, ValueError) as error:
            then = "allow this client DescribeConfigs of the topic; meanwhile it is taken to keep what was asked for"
            self._tell("log.limits_unknown", error=str(error) or "it did not answer in time", then=then)
            return
        if self._settings.makes and (differs := differing(self.known, lanes, self._settings)):
            then = "change the topic's (kafka-configs.sh --alter), or start routers with its own"
            self._tell("log.settings_differ", **differs, then=then)

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _tell(self, event: str, **what: object) -> None:
        """Once, until there is something else to tell."""
        if self._told != (event, what):
            self._told = event, what
            _log.warning(event, topic=self._name, **what)
