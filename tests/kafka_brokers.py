"""librdkafka's mock brokers, which can be brought down and up again, and keep what was written meanwhile.

The Python client starts such a cluster, but hands out nothing to harm it by; so this calls the same library itself, the
one that came with the client.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BROKERS = 3
_PRODUCER = 0


class KafkaBrokers:
    """A mock cluster with one topic. It makes no topics by itself on request of a client: it has no controller.

    Attributes:
        servers: HOST:PORT of each broker.

    Args:
        topic: its name.
        lanes: its partitions.
        brokers: how many there are.
    """

    def __init__(self, topic: str, lanes: int, brokers: int = BROKERS) -> None:
        self._library = _library()
        said = ctypes.create_string_buffer(512)
        self._client = self._library.rd_kafka_new(_PRODUCER, self._library.rd_kafka_conf_new(), said, len(said))
        assert self._client, said.value.decode()
        self._brokers = brokers
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        assert not self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), lanes, brokers)
        self.servers = tuple(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(","))

    def down(self) -> None:
        """Every broker hangs up, and takes no connection."""
        for broker in range(1, self._brokers + 1):
            assert not self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self) -> None:
        """They are there again."""
        for broker in range(1, self._brokers + 1):
            assert not self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def close(self) -> None:
        """End the cluster."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@contextmanager
def running(topic: str, lanes: int, brokers: int = BROKERS) -> Iterator[KafkaBrokers]:
    """Brokers for the time of the context."""
    made = KafkaBrokers(topic, lanes, brokers)
    try:
        yield made
    finally:
        made.close()


def _library() -> ctypes.CDLL:
    """The library that the Python client loads, with the types of what is called here."""
    spec = importlib.util.find_spec("confluent_kafka")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.with_name("confluent_kafka.libs").glob("librdkafka-*.so*")
    library = ctypes.CDLL(str(path))
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_new", pointer, [number, pointer, ctypes.c_char_p, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, ctypes.c_char_p, number, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
