"""What limits a topic keeps is asked for, compared with what was wanted, and told once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigEntry, ConfigResource
from structlog.testing import capture_logs

from trunkshow.eventlog import kafka_limits
from trunkshow.eventlog.kafka_limits import AGAIN_AFTER_S, Limits, LimitsWatch, differing, limits_of, topic_settings
from trunkshow.eventlog.settings import DAY_S, LogSettings

WANTED = LogSettings(age_s_max=30 * DAY_S, bytes_max=1000, lanes=16)
AS_WANTED = {"retention.ms": "2592000000", "retention.bytes": "62", "cleanup.policy": "delete"}


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (AS_WANTED, Limits(30 * DAY_S, 62, "delete")),
        ({"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "compact"}, Limits(0, -1, "compact")),
        ({"retention.ms": "1500"}, Limits(1.5, -1, "delete")),
    ],
)
def test_limits_are_read_as_the_cluster_writes_them(said: Mapping[str, str], limits: Limits) -> None:
    """Without a limit a topic says -1."""
    assert limits_of(said) == limits


@pytest.mark.parametrize("said", [{}, {"retention.ms": ""}, {"retention.ms": "week"}])
def test_what_says_no_age_is_no_limit(said: Mapping[str, str]) -> None:
    """Rather than guessed."""
    with pytest.raises(ValueError, match=r"retention\.ms|invalid literal"):
        limits_of(said)


@pytest.mark.parametrize(
    ("change", "lanes", "sheds", "differs"),
    [
        ({}, 16, True, False),
        ({"bytes_max": 250}, 4, True, False),
        ({"age_s": 7 * DAY_S}, 16, True, True),
        ({"age_s": 0.0}, 16, True, True),
        ({"bytes_max": -1}, 16, True, True),
        ({"bytes_max": 62}, 4, True, True),
        ({"policy": "compact,delete"}, 16, True, True),
        ({"bytes_max": -1}, 1, False, False),
        ({"bytes_max": 1 << 40}, 1, False, True),
    ],
)
def test_other_limits_than_were_wanted_are_named(
    change: Mapping[str, Any], lanes: int, sheds: bool, differs: bool
) -> None:
    """Bytes are those of all lanes, however many there are; a topic of tombstones must have no limit of them."""
    settings = LogSettings(WANTED.age_s_max, WANTED.bytes_max, lanes=WANTED.lanes, sheds=sheds)
    assert bool(differing(Limits(30 * DAY_S, 62, "delete")._replace(**change), lanes, settings)) is differs


class Cluster:
    """Says what it is told to; counts how often it was asked."""

    def __init__(self) -> None:
        self.said: Mapping[str, str] | Exception = AS_WANTED
        self.asked = 0

    def settings(self, config: Mapping[str, Any], name: str) -> Mapping[str, str]:
        """As it is told."""
        del config, name
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def told(
    cluster: Cluster, settings: LogSettings, *says: Mapping[str, str] | Exception
) -> tuple[LimitsWatch, list[Any]]:
    """What a log says as a cluster says these, one after the other."""
    watch = LimitsWatch({}, "EVENTS", settings, cluster.settings)
    with capture_logs() as logs:
        for cluster.said in says:
            watch.ask(16)
    return watch, logs


def test_what_differs_is_told_once_with_what_to_do() -> None:
    """And again once it is something else."""
    week, day = AS_WANTED | {"retention.ms": "604800000"}, AS_WANTED | {"retention.ms": "86400000"}
    watch, logs = told(Cluster(), WANTED, AS_WANTED, week, week, day)
    assert [(one["event"], one["age_s"] / DAY_S) for one in logs] == [
        ("log.settings_differ", 7),
        ("log.settings_differ", 1),
    ]
    assert (logs[0]["age_s_wanted"], logs[0]["log_level"]) == (30 * DAY_S, "warning")
    assert "--alter" in logs[0]["then"]
    assert watch.known == Limits(DAY_S, 62, "delete")


def test_who_only_reads_compares_nothing() -> None:
    """Nobody told it what to want; it knows the topic's all the same."""
    watch, logs = told(Cluster(), LogSettings(makes=False), AS_WANTED | {"retention.ms": "1000"})
    assert (watch.known, logs) == (Limits(1.0, 62, "delete"), [])


@pytest.mark.parametrize("error", [TimeoutError(), KafkaException(KafkaError(29, "not allowed")), ValueError("no")])
def test_a_cluster_that_does_not_say_is_told_of_once(error: Exception) -> None:
    """What it said before is believed on."""
    watch, logs = told(Cluster(), WANTED, AS_WANTED, error, error)
    assert [one["event"] for one in logs] == ["log.limits_unknown"]
    assert watch.known == Limits(30 * DAY_S, 62, "delete")


def test_the_cluster_is_asked_every_now_and_then() -> None:
    """However often the topic is looked at."""
    cluster, now = Cluster(), [0.0]
    watch = LimitsWatch({}, "EVENTS", WANTED, cluster.settings, clock=lambda: now[0])
    for moment in (0.0, 0.25, AGAIN_AFTER_S - 1, AGAIN_AFTER_S):
        now[0] = moment
        watch.look(16)
    watch._thread.shutdown(wait=True)
    assert cluster.asked == 2
    watch.close()


def test_the_question_is_the_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name; settings without a value are empty."""

    class Admin:
        """A cluster's client."""

        def __init__(self, config: Mapping[str, Any]) -> None:
            assert config == {"a": 1}

        def describe_configs(self, asked: list[ConfigResource], **within: float) -> dict[ConfigResource, Future[Any]]:
            """Answers at once."""
            assert within
            answer: Future[Any] = Future()
            entries = (ConfigEntry("retention.ms", "5"), ConfigEntry("other", None))
            answer.set_result({one.name: one for one in entries})
            assert asked == [ConfigResource(ConfigResource.Type.TOPIC, "EVENTS")]
            return dict.fromkeys(asked, answer)

    monkeypatch.setattr(kafka_limits, "AdminClient", Admin)
    assert topic_settings({"a": 1}, "EVENTS") == {"retention.ms": "5", "other": ""}
