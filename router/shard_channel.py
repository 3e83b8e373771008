"""The line to one shard: a long-lived channel, its methods over bytes, and how much is on its way."""

from __future__ import annotations

from typing import Any

import grpc.aio

from trunkshow.serving.server import MESSAGE_BYTES_MAX

_SERVICE = "/trunkshow.v1.ShardService/"

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


class ShardChannel:
    """A channel to one shard.

    Attributes:
        address: of the shard.
        in_flight: requests to it, or users where a call carries several, that were not answered yet.
        last_error: of a call to it; empty where none failed.
        predict: Predict over bytes.
        predict_batch: PredictBatch over bytes.
        watch: Watch over bytes.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self.last_error = ""
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        self.predict: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_SERVICE + "Predict")
        self.predict_batch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            _SERVICE + "PredictBatch"
        )
        self.watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(_SERVICE + "Watch")

    async def close(self) -> None:
        """Cut the line."""
        await self._channel.close()
