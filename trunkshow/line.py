"""A blocking client's way to the router: one connection to ask over, one to record over, and who is calling.

What is asked is `trunkshow.client`'s business, what is recorded `trunkshow.recorder`'s; both are made of this.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from trunkshow import channel as wire
from trunkshow.errors import from_rpc_error
from trunkshow.rival_rules import hedges
from trunkshow.rivals import raced_blocking
from trunkshow.targets import Routers


class Line:
    """Connections to a router; see `trunkshow.client.Client` for the arguments."""

    def __init__(
        self,
        target: str,
        *,
        deadline_ms: float = wire.DEADLINE_MS,
        credentials: grpc.ChannelCredentials | None = None,
        api_key: str = "",
        token: wire.Token = "",
    ) -> None:
        self.target = target
        self.deadline_ms = deadline_ms
        self._channel = wire.open_channel(target, credentials)
        self._recording = wire.open_channel(target, credentials, wire.RECORDING_OPTIONS)  # connects when it is used
        self._identity = wire.identify(api_key, token)
        self._hedges = hedges(Routers(target).count)
        self._hedge = self._hedges[wire.RECOMMEND.path]

    def __repr__(self) -> str:
        return f"Client({self.target!r}, deadline_ms={self.deadline_ms:g})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()
        self._recording.close()

    def connect(self, timeout_s: float = wire.CONNECT_TIMEOUT_S) -> None:
        """Connect ahead of the first request, which then spends nothing of its deadline on it.

        Raises:
            Unavailable: nobody answered within `timeout_s`.
        """
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=timeout_s)
        except grpc.FutureTimeoutError:
            ready.cancel()
            raise wire.nobody_answered(self.target, timeout_s) from None

    def _deadline(self, deadline_ms: float | None) -> float:
        return self.deadline_ms if deadline_ms is None else deadline_ms

    def _call(
        self,
        method: wire.Method[wire.Request, wire.Response],
        message: wire.Request,
        deadline_ms: float,
        request_id: str,
        channel: grpc.Channel | None = None,
    ) -> wire.Response:
        channel = self._channel if channel is None else channel
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        shown, timeout_s = (*wire.metadata(request_id), *self._identity()), deadline_ms / 1e3
        waits = wire.waits(message)
        hedge = self._hedges.get(method.path)
        patience_s = hedge.patience_s(timeout_s, waits=waits) if hedge is not None else None
        try:
            if hedge is None or patience_s is None:  # a call that blocks takes less than one that is waited for
                return call(message, timeout=timeout_s, metadata=shown)
            answer: wire.Response = raced_blocking(
                hedge,
                lambda seconds: call.future(message, timeout=seconds, metadata=shown),
                patience_s,
                timeout_s,
                waits=waits,
                by=wire.router_of,
            )
            return answer
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
