"""The lines to shards: a long-lived channel each, its methods over bytes, and what is known of it from asking.

Who belongs to the cluster is for others to say; they add and remove addresses here, and whoever asks looks them up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog

from router.cluster.lines import PLAIN, ShardLines
from trunkshow.latencies import Kind, Latencies
from trunkshow.serving.limits import MESSAGE_BYTES_MAX

_SERVICE = "/trunkshow.v1.ShardService/"

RENEWAL_GRACE_S = 10.0

KEPT_LOOKS = 5
"""Looks at a new channel, about a second apart, after which it is told that the old one is kept."""

Metadata = tuple[tuple[str, str], ...]
UnaryCall = grpc.aio.UnaryUnaryCall[bytes, bytes]
UnaryMethod = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
StreamMethod = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
StreamCall = grpc.aio.UnaryStreamCall[bytes, bytes]

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A killed shard is back in seconds; gRPC's own backoff would look for it after minutes. The minimum is also
    # the time that one attempt to connect may take, 20 s by default.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A line that a firewall forgot is noticed in 13 s. Shards that hang are noticed by their silence, before that.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # One channel per shard: nothing to share, and nobody else's backoff to inherit.
    ("grpc.use_local_subchannel_pool", 1),
    # Shards are neighbours; a proxy for the internet is never the way to them.
    ("grpc.enable_http_proxy", 0),
)


log = structlog.get_logger()


@dataclass
class _Coming:
    """A channel with newer certificates, which takes over once it is connected."""

    version: int
    channel: grpc.aio.Channel
    looks: int = 0


class ShardChannel:
    """A channel to one shard.

    Attributes:
        address: of the shard.
        in_flight: requests to it, or users where a call carries several, that were not answered yet.
        last_error: of a call to it; empty where none failed.
        latencies: of its recent answers, by kind.
    """

    def __init__(self, address: str, lines: ShardLines = PLAIN) -> None:
        self.address = address
        self.in_flight = 0
        self.last_error = ""
        self.latencies = {kind: Latencies() for kind in Kind}
        self._lines = lines
        self._retired: set[asyncio.Future[None]] = set()
        self._coming: _Coming | None = None
        self._version = lines.version
        self._open()

    def _open(self) -> None:
        """Open the line."""
        self._take(self._lines.open(self.address, OPTIONS))

    def _take(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._predict: UnaryMethod = self._channel.unary_unary(_SERVICE + "Predict")
        self._predict_batch: StreamMethod = self._channel.unary_stream(_SERVICE + "PredictBatch")
        self._watch: StreamMethod = self._channel.unary_stream(_SERVICE + "Watch")
        self._observe: UnaryMethod = self._channel.unary_unary(_SERVICE + "Observe")
        self._read_features: UnaryMethod = self._channel.unary_unary(_SERVICE + "ReadFeatures")

    def predict(self, request: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> UnaryCall:
        """Predict over bytes."""
        return self._predict(request, timeout=timeout, metadata=(*metadata, *self._lines.metadata))

    def predict_batch(self, request: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> StreamCall:
        """PredictBatch over bytes."""
        return self._predict_batch(request, timeout=timeout, metadata=(*metadata, *self._lines.metadata))

    def watch(self, request: bytes) -> StreamCall:
        """Watch over bytes."""
        return self._watch(request, metadata=self._lines.metadata)

    def observe(self, request: bytes, *, timeout: float | None = None) -> UnaryCall:
        """Observe over bytes."""
        return self._observe(request, timeout=timeout, metadata=self._lines.metadata)

    def read_features(self, request: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> UnaryCall:
        """ReadFeatures over bytes."""
        return self._read_features(request, timeout=timeout, metadata=(*metadata, *self._lines.metadata))

    def renewed(self) -> bool:
        """Whether this router's certificates changed, so that calls from now on go over a new channel.

        That takes over once it is connected: certificates that the shard does not accept cut nobody off from it while
        the old ones are good. What is on its way over the old one gets a grace to end.
        """
        version = self._lines.version
        if version == self._version:
            return False
        coming = self._coming
        if coming is None or coming.version != version:
            if coming is not None:
                self._retire(coming.channel)
            coming = self._coming = _Coming(version, self._lines.open(self.address, OPTIONS))
        if coming.channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            coming.looks += 1
            if coming.looks == KEPT_LOOKS:
                log.warning("credentials.kept", shard=self.address)
            return False
        self._retire(self._channel)
        self._take(coming.channel)
        self._version, self._coming = version, None
        return True

    def _retire(self, channel: grpc.aio.Channel) -> None:
        closing = asyncio.ensure_future(channel.close(RENEWAL_GRACE_S))
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)

    def forget_latencies(self) -> None:
        """Judge it anew by what comes."""
        self.latencies = {kind: Latencies() for kind in Kind}

    async def close(self, grace_s: float | None = None) -> None:
        """Cut the line, after what is on its way has ended, where it does so within the grace."""
        coming, self._coming = self._coming, None
        if coming is not None:
            await coming.channel.close()
        await self._channel.close(grace_s)


class ShardChannels:
    """The lines that are open, by address.

    Args:
        addresses: to begin with.
        opening: makes the channel to an address.
    """

    def __init__(self, addresses: Iterable[str] = (), opening: Callable[[str], ShardChannel] = ShardChannel) -> None:
        self._opening = opening
        self._open = {address: opening(address) for address in addresses}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Whom there is a line to, in the order in which they were added."""
        return tuple(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[ShardChannel]:
        return iter(tuple(self._open.values()))

    def get(self, address: str) -> ShardChannel | None:
        """The line to an address; None where there is none, any more."""
        return self._open.get(address)

    def add(self, address: str) -> ShardChannel:
        """The line to an address, opened where there is none."""
        shard = self._open.get(address)
        if shard is None:
            shard = self._open[address] = self._opening(address)
        return shard

    def remove(self, address: str, grace_s: float = 1.0) -> Coroutine[None, None, None]:
        """Ask this address nothing more; what is on its way gets the grace to end, which is what can be awaited.

        The line is gone at once: who adds the address again gets another one, and not one that is about to be cut.
        """
        return _cut(self._open.pop(address, None), grace_s)

    async def close(self) -> None:
        """Cut every line."""
        while self._open:
            _, shard = self._open.popitem()
            await shard.close()


async def _cut(shard: ShardChannel | None, grace_s: float) -> None:
    if shard is not None:
        await shard.close(grace_s)
